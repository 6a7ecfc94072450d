"""Hosts, origins, headers, and that what is open ends with its session."""

import asyncio
import re
from pathlib import Path
from typing import Final

import httpx
import pytest
from nicegui import Client, background_tasks
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.pages import open_pages
from tests.app.running_site import PASSWORD, Site, site_of
from tests.orchestrator.fakes import HangsOnStart
from tests.waiting import until

EVIL_ORIGINS = [
    None,
    "null",
    "http://evil.test",
    "{origin}.evil.test",
    "{origin}0",
    "http://evil.test:{port}",
    "https://127.0.0.1:{port}",
    "http://127.0.0.1",
    "http://127.0.0.1:{port}/",
    "http://user@127.0.0.1:{port}",
    "http://5000-slug-abc.localhost:{port}",
    "http://localhost.evil.test:{port}",
    "file://",
    "",
]


def origins(site: Site) -> list[str | None]:
    return [text and text.format(origin=site.origin, port=site.port) for text in EVIL_ORIGINS]


async def test_sockets_open_for_our_pages_only(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    owner = await site.user()
    repl = await site.repl(owner)
    paths = [f"/repls/{repl.id}/echo", "/_nicegui_ws/socket.io/?EIO=4&transport=websocket", "/nothing", "/api/session"]
    for path in paths:
        for origin in origins(site):
            with pytest.raises(InvalidStatus) as refused:
                await site.socket(path, token=owner.token, origin=origin if origin != "" else " ")
            assert refused.value.response.status_code == 403, (path, origin)
    assert not caplog.records  # a refusal is no fault
    socket = await site.socket(paths[0], token=owner.token)
    await socket.send("hello")
    assert await socket.recv() == "hello"
    engine = await site.socket(paths[1], token=owner.token)
    assert str(await engine.recv()).startswith("0{")


async def test_strangers_leave_no_session_behind(site: Site) -> None:
    from nicegui import core

    before = len(core.sio.eio.sockets)
    browser = await site.browser()
    for _ in range(3):
        answer = await browser.get("/_nicegui_ws/socket.io/?EIO=4&transport=polling")
        assert answer.status_code == 400
    assert len(core.sio.eio.sockets) == before


async def test_sockets_open_for_who_may_only(site: Site) -> None:
    owner, other = await site.user("owner"), await site.user("other")
    repl = await site.repl(owner)
    revoked = await site.server.accounts.sign_in("owner", PASSWORD)
    await site.server.accounts.sessions.sign_out(revoked.actor)
    for token, status in (("", 401), ("x" * 43, 401), (revoked.token, 401), (other.token, 404)):
        with pytest.raises(InvalidStatus) as refused:
            await site.socket(f"/repls/{repl.id}/echo", token=token)
        assert refused.value.response.status_code == status
    with pytest.raises(InvalidStatus) as refused:
        await site.socket(f"/repls/{repl.id}/ports/5000/", token=owner.token)
    assert refused.value.response.status_code == 404  # programs never speak on our origin
    stopped = await site.repl(owner, start=False)
    with pytest.raises(InvalidStatus) as refused:
        await site.socket(f"/repls/{stopped.id}/echo", token=owner.token)
    assert refused.value.response.status_code == 409


async def test_changes_come_from_our_pages_only(site: Site) -> None:
    owner = await site.user()
    repl = await site.repl(owner)
    browser = await site.browser(owner)
    del browser.headers["Origin"]
    for method, path in (("POST", "/api/repls"), ("PUT", f"/repls/{repl.id}/files/a"), ("DELETE", "/api/session")):
        for origin in origins(site):
            headers = {} if origin is None else {"Origin": origin}
            answer = await browser.request(method, path, headers=headers, json={})
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin")
    assert (await browser.get("/api/session")).status_code == 200
    assert (await browser.get("/api/session", headers={"Origin": "http://evil.test"})).status_code == 403


OTHERS: Final = [
    *("evil.test", "127.0.0.1", "127.0.0.1:1", "localhost.evil.test:{port}", "evil.localhost:{port}", ""),
    *("127.0.0.1:{port}.x", "[::2]:{port}", "80-slug-abc.localhost:{port}", "x@127.0.0.1:{port}"),
    "5000-slug.localhost.evil.test:{port}",
]


async def test_other_hosts_are_not_ours(site: Site) -> None:
    browser = await site.browser(await site.user())
    for host in OTHERS:
        for path in (
            "/",
            "/sign-in",
            "/api/session",
            "/healthz",
            "/repls/x/tree",
            "/_nicegui/x",
            "/_nicegui_ws/socket.io/",
        ):
            answer = await browser.get(path, headers={"Host": host.format(port=site.port)})
            assert answer.status_code in (400, 421), (host, path, answer.status_code)


async def test_identity_and_forwarding_headers_of_strangers_mean_nothing(site: Site) -> None:
    repl = await site.repl(await site.user())
    browser = await site.browser()
    lies = {"X-Forwarded-User": "ada", "X-User": "ada", "X-Devex-Viewer": "ada", "X-Forwarded-Prefix": "/evil"}
    assert (await browser.get(f"/api/repls/{repl.id}", headers=lies)).status_code == 401
    page = await browser.get("/sign-in", headers=lies)
    assert "/evil" not in page.text


async def test_a_trusted_proxy_tells_the_address(tmp_path: Path) -> None:
    async with site_of(tmp_path, trusted_proxies=("127.0.0.1",)) as site:
        browser = await site.browser()
        wrong = {"name": "nobody", "password": "wrong password"}
        statuses = [
            (await browser.post("/api/session", json=wrong, headers={"X-Forwarded-For": address})).status_code
            for address in ["192.0.2.1"] * 11 + ["192.0.2.1, 192.0.2.2"]
        ]
        assert statuses == [401] * 10 + [429, 401]


async def test_pages_say_what_may_run_on_them(site: Site) -> None:
    owner = await site.user()
    repl = await site.server.orchestrator.create(owner.actor.user_id, "<script>alert(1)</script>", "python")
    browser = await site.browser(owner, Accept="text/html")
    for path in ("/", f"/repl/{repl.id}", "/account"):
        page = await browser.get(path)
        policy = page.headers["content-security-policy"]
        nonce = re.search(r"'nonce-([^']+)'", policy)
        assert nonce, path
        tags = re.findall(r"<script\b[^>]*>", page.text)
        assert len(tags) > 5
        assert all(f'nonce="{nonce[1]}"' in tag for tag in tags)
        assert "<script>alert" not in page.text
        assert f'nonce="{nonce[1]}">alert' not in page.text
        assert "frame-ancestors 'none'" in policy
        assert f"frame-src http://*.localhost:{site.port}" in policy
        assert "unsafe-inline" not in policy.partition("style-src")[0]


async def test_every_answer_is_hardened(site: Site) -> None:
    browser = await site.browser(await site.user())
    for path in ("/", "/sign-in", "/api/session", "/api/nothing", "/nothing", "/repls/x/y", "/healthz", "/favicon.ico"):
        headers = (await browser.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]


async def test_signing_out_closes_what_is_open(site: Site) -> None:
    owner = await site.user()
    repl = await site.repl(owner)
    browser, stream = await site.browser(owner), await site.browser(owner)
    other = await site.server.accounts.sign_in("ada", PASSWORD)
    kept = await site.socket(f"/repls/{repl.id}/echo", token=other.token)
    socket = await site.socket(f"/repls/{repl.id}/echo", token=owner.token)
    async with stream.stream("GET", f"/repls/{repl.id}/stream") as streaming:
        parts = streaming.aiter_bytes()
        assert await anext(parts) == b"begun"
        assert (await browser.delete("/api/session")).status_code == 204
        with pytest.raises(httpx.RemoteProtocolError):
            await asyncio.wait_for(anext(parts), 10)
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(socket.recv(), 10)
    assert socket.close_code == 1008
    await kept.send("still here")
    assert await kept.recv() == "still here"


async def test_signing_in_again_replaces_this_browsers_session(site: Site) -> None:
    owner = await site.user()
    repl = await site.repl(owner)
    socket = await site.socket(f"/repls/{repl.id}/echo", token=owner.token)
    browser = await site.browser(owner)
    wrong = await browser.post("/api/session", json={"name": "ada", "password": "not her password"})
    assert (wrong.status_code, (await browser.get("/api/session")).status_code) == (401, 200)
    again = await browser.post("/api/session", json={"name": "ada", "password": PASSWORD})
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(socket.recv(), 10)
    assert (await (await site.browser(owner)).get("/api/session")).status_code == 401
    token = again.headers["set-cookie"].partition(";")[0].partition("=")[2]
    assert (await site.server.accounts.sessions.current(token)).name == "ada"


async def test_the_sweep_closes_what_another_process_revoked(site: Site) -> None:
    from app.storage.models import Session

    owner = await site.user()
    repl = await site.repl(owner)
    page = await (await site.browser(owner, Accept="text/html")).get("/account")
    client_id = re.search(r"'?client_id'?: '([0-9a-f-]{36})'", page.text)
    assert client_id
    assert client_id[1] in Client.instances
    engine = await site.socket(
        f"/_nicegui_ws/socket.io/?EIO=4&transport=websocket&client_id={client_id[1]}", token=owner.token
    )
    socket = await site.socket(f"/repls/{repl.id}/echo", token=owner.token)
    await site.server.sweep()
    assert socket.close_code is None
    await Session.filter(id=owner.actor.session_id).delete()
    await site.server.sweep()
    with pytest.raises(ConnectionClosed):
        await asyncio.wait_for(socket.recv(), 10)
    assert client_id[1] not in Client.instances
    await engine.close()


async def test_a_page_whose_session_ends_while_it_is_built_does_nothing_more(tmp_path: Path) -> None:
    async with site_of(tmp_path, HangsOnStart()) as site:
        owner = await site.user()
        repl = await site.repl(owner, start=False)
        browser = await site.browser(owner, Accept="text/html")
        answer = asyncio.create_task(browser.get(f"/repl/{repl.id}"))

        def is_built() -> bool:
            return owner.actor.session_id in {one.session_id for one in open_pages.by_standing()}

        await until(lambda: is_built() or answer.done())
        await site.server.accounts.sessions.sign_out(owner.actor)
        assert not answer.done()
        await answer
        assert not [task for task in background_tasks.running_tasks if task.get_name().endswith(repl.id)]


async def test_a_page_that_waits_for_its_browser_ends_once(site: Site) -> None:
    owner = await site.user()
    page = await (await site.browser(owner, Accept="text/html")).get("/account")
    client_id = re.search(r"'?client_id'?: '([0-9a-f-]{36})'", page.text)
    assert client_id
    told = f"client_id={client_id[1]}&implicit_handshake=true&tab_id=tab&document_id=left&next_message_id=0"
    engine = await site.socket(f"/_nicegui_ws/socket.io/?EIO=4&transport=websocket&{told}", token=owner.token)
    assert str(await engine.recv()).startswith("0")
    await engine.send("40")
    assert str(await engine.recv()).startswith("40")
    await engine.close()
    await until(lambda: any(one.get_name() == "delete content left" for one in background_tasks.running_tasks))
    waiting = [one for one in background_tasks.running_tasks if one.get_name() == "delete content left"]
    await site.server.accounts.sessions.sign_out(owner.actor)
    assert client_id[1] not in Client.instances
    await asyncio.wait(waiting, timeout=10)
    assert waiting[0].cancelled()


async def test_the_sweep_is_done_often_enough_and_goes_on_after_a_failure(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app import server

    swept = asyncio.Event()

    async def fails_once() -> None:
        monkeypatch.setattr(site.server, "sweep", sweeps)
        raise ZeroDivisionError

    async def sweeps() -> None:
        swept.set()

    assert server.SWEEP_EVERY_S <= 10, "docs/security.md promises 15 s, and to close takes a moment"
    monkeypatch.setattr(server, "SWEEP_EVERY_S", 0.01)
    monkeypatch.setattr(site.server, "sweep", fails_once)
    sweeping = asyncio.create_task(site.server._keep_sweeping())
    await asyncio.wait_for(swept.wait(), 20)
    assert sweeping.cancel(), "the site's own might have come by meanwhile"


async def test_faults_of_ours_have_a_number_and_no_details(site: Site, capfd: pytest.CaptureFixture[str]) -> None:
    owner = await site.user()
    repl = await site.repl(owner)

    async def broken(scope: object, receive: object, send: object) -> None:
        raise ZeroDivisionError("a secret detail")

    site.backend.runner_app = lambda repl_id: broken  # type: ignore[method-assign]
    answer = await (await site.browser(owner)).get(f"/repls/{repl.id}/health")
    assert answer.status_code == 500
    error = answer.json()["error"]
    assert "secret" not in answer.text
    assert error["action"].endswith(f"tell the operator this number: {error['id']}.")
    logged = capfd.readouterr().out
    assert error["id"] in logged
    assert "a secret detail" in logged
