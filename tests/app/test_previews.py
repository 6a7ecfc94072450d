"""The hosts of a REPL's ports: getting in, what gets through, and who may call whom."""

import asyncio
import logging
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.types import Receive, Send
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.accounts import SignedIn
from orchestrator.domain import Repl
from runner.errors import DevexError
from tests.app.running_site import PASSWORD, Echoing, Site, site_of


def host_of(site: Site, repl: Repl, port: int) -> str:
    return f"{port}-{repl.slug}.localhost:{site.port}"


async def visit(site: Site, url: str, cookie: str = "", **headers: str) -> httpx.Response:
    """What a browser would send to that host; every name leads here."""
    parts = urlsplit(url)
    browser = await site.browser()
    del browser.headers["Origin"]
    given = {"Host": parts.netloc} | ({"Cookie": cookie} if cookie else {}) | headers
    return await browser.get(f"{parts.path}?{parts.query}" if parts.query else parts.path, headers=given)


async def entered(site: Site, owner: SignedIn, repl: Repl, port: int = 5000, **more: object) -> tuple[str, str]:
    """-> the cookie of the port's host and where it leads."""
    asked = await (await site.browser(owner)).post(f"/api/repls/{repl.id}/preview", json={"port": port, **more})
    assert asked.status_code == 200, asked.text
    answer = await visit(site, asked.json()["url"])
    assert answer.status_code == 303
    return answer.headers["set-cookie"].partition(";")[0], answer.headers["location"]


async def test_a_ticket_becomes_a_cookie_of_one_host_once(site: Site) -> None:
    owner = await site.user()
    repl = await site.repl(owner)
    asked = await (await site.browser(owner)).post(f"/api/repls/{repl.id}/preview", json={"port": 5000, "path": "/a?b"})
    url = asked.json()["url"]
    assert url.startswith(f"http://{host_of(site, repl, 5000)}/__devex/enter?ticket=")
    first = await visit(site, url)
    assert first.headers["location"] == "/a?b"
    attributes = first.headers["set-cookie"].split("; ")[1:]
    assert {"Path=/", "HttpOnly", "SameSite=None", "Partitioned", "Secure"} <= set(attributes)
    assert not any(attribute.lower().startswith("domain") for attribute in attributes)
    assert (await visit(site, url)).status_code == 401
    cookie = first.headers["set-cookie"].partition(";")[0]
    told = await visit(site, f"http://{host_of(site, repl, 5000)}/x%2Fy?z=1", cookie)
    assert told.json()["raw"] == "/ports/5000/x%2Fy"
    assert told.json()["query"] == "z=1"
    assert told.json()["writes"] is True


async def test_nobody_else_gets_in(site: Site) -> None:
    owner = await site.user()
    repl, neighbour = await site.repl(owner), await site.repl(owner)
    cookie, _ = await entered(site, owner, repl)
    host = host_of(site, repl, 5000)
    tampered = cookie[:-1] + ("0" if cookie[-1] != "0" else "1")
    for place, given in (
        (host, ""),
        (host, tampered),
        (host, "devex_preview=x.y"),
        (host, f"devex_session={owner.token}"),
        (host_of(site, repl, 5001), cookie),
        (host_of(site, neighbour, 5000), cookie),
        (f"5000-nothing-here.localhost:{site.port}", cookie),
    ):
        script = await visit(site, f"http://{place}/", given, Accept="*/*")
        assert (script.status_code, script.json()["error"]["code"]) == (401, "no_pass")
        framed = await visit(site, f"http://{place}/", given, Accept="text/html", **{"Sec-Fetch-Dest": "iframe"})
        assert framed.status_code == 401
        assert f'href="{site.origin}/"' in framed.text
        page = await visit(site, f"http://{place}/a?b=//c", given, Accept="text/html")
        assert page.status_code == 303
        assert page.headers["location"].startswith(f"{site.origin}/preview/")
        assert {"set-cookie"}.isdisjoint([*framed.headers, *page.headers])
        with pytest.raises(InvalidStatus):
            await site.socket("/", host=place, cookie=given or "a=b", origin=f"http://{place}")


async def test_who_comes_without_a_ticket_is_given_one_by_the_application(site: Site) -> None:
    owner, other = await site.user("owner"), await site.user("other")
    repl = await site.repl(owner)
    host = f"http://{host_of(site, repl, 5000)}"
    away = await visit(site, f"{host}/a%2Fb?c=d&e", Accept="text/html", **{"Sec-Fetch-Dest": "document"})
    assert away.headers["referrer-policy"] == "no-referrer"
    way_in = away.headers["location"]
    stranger = await (await site.browser(None, Accept="text/html")).get(way_in)
    assert stranger.headers["location"].startswith("/sign-in?then=%2Fpreview%2F")
    assert (await (await site.browser(other)).get(way_in)).status_code == 404
    given = await (await site.browser(owner)).get(way_in)
    assert given.status_code == 303
    assert given.headers["location"].startswith(f"{host}/__devex/enter?ticket=")
    entering = await visit(site, given.headers["location"])
    cookie = entering.headers["set-cookie"].partition(";")[0]
    back = host + entering.headers["location"]
    assert (await visit(site, back, cookie)).headers["location"] == "/a%2Fb?c=d&e"
    refusing = await visit(site, back, Accept="text/html")
    assert refusing.status_code == 401, "it does not begin again"
    assert "cookies" in refusing.text
    assert (await visit(site, f"{host}/a%2Fb?c=d&e", cookie)).status_code == 200


async def test_a_ticket_leads_nowhere_else(site: Site) -> None:
    owner = await site.user()
    repl = await site.repl(owner)
    browser = await site.browser(owner)
    for path in ("//evil.test/", "https://evil.test/", "/\\evil.test", "evil.test"):
        given = await browser.get(f"/preview/{repl.slug}/5000", params={"path": path})
        assert (await visit(site, given.headers["location"])).headers["location"] == "/"
    for place in (f"{repl.slug}/80", f"{repl.slug}/x", "evil.test/5000", f"{repl.slug}.evil.test/5000"):
        assert (await browser.get(f"/preview/{place}")).status_code in (404, 422)


async def test_another_user_cannot_ask_for_a_ticket(site: Site) -> None:
    repl = await site.repl(await site.user("owner"))
    other = await site.browser(await site.user("other"))
    assert (await other.post(f"/api/repls/{repl.id}/preview", json={"port": 5000})).status_code == 404
    mine = await site.browser(await site.user("owner"))
    for port in (80, 1023, 65536, -1):
        assert (await mine.post(f"/api/repls/{repl.id}/preview", json={"port": port})).status_code == 422


async def test_a_preview_ends_with_its_session(site: Site) -> None:
    owner = await site.user()
    repl = await site.repl(owner)
    cookie, _ = await entered(site, owner, repl)
    host = host_of(site, repl, 5000)
    socket = await site.socket("/ws", host=host, cookie=cookie, origin=f"http://{host}")
    await socket.send("hot reload")
    assert await socket.recv() == "hot reload"
    await site.server.accounts.sessions.sign_out(owner.actor)
    with pytest.raises(ConnectionClosed):
        await socket.recv()
    assert (await visit(site, f"http://{host}/", cookie)).status_code == 401


async def test_a_restarted_server_knows_its_passes(tmp_path: Path) -> None:
    backend = Echoing()
    async with site_of(tmp_path, backend) as before:
        owner = await before.user()
        repl = await before.repl(owner)
        cookie, _ = await entered(before, owner, repl)
    async with site_of(tmp_path, Echoing(backend.machine)) as after:
        assert (await visit(after, f"http://{host_of(after, repl, 5000)}/", cookie)).status_code == 200


async def test_ports_of_one_repl_may_call_one_another(site: Site) -> None:
    owner = await site.user()
    repl, neighbour = await site.repl(owner), await site.repl(owner)
    cookie, leads_to = await entered(site, owner, repl, 5173, also=[8000])  # of 8000, on the way
    assert urlsplit(leads_to).netloc == host_of(site, repl, 5173)  # 8000's host was entered first, on the way
    api, page = f"http://{host_of(site, repl, 8000)}", f"http://{host_of(site, repl, 5173)}"
    asks = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "x-mine"}
    browser = await site.browser()
    host = {"Host": urlsplit(api).netloc}
    preflight = await browser.options("/data", headers={**host, "Origin": page, **asks})
    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == page
    assert preflight.headers["access-control-allow-headers"] == "x-mine"
    called = await browser.get("/data", headers={**host, "Origin": page, "Cookie": cookie})
    assert (called.status_code, called.headers["access-control-allow-origin"]) == (200, page)
    refused = await browser.get("/data", headers={**host, "Origin": page})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, page)
    for stranger in (f"http://{host_of(site, neighbour, 5173)}", site.origin, "http://evil.test", "null"):
        answer = await browser.options("/data", headers={**host, "Origin": stranger, **asks})
        assert answer.status_code == 401
        assert "access-control-allow-origin" not in answer.headers
        posted = await browser.post("/data", headers={**host, "Origin": stranger, "Cookie": cookie})
        assert (posted.status_code, posted.json()["error"]["code"]) == (403, "origin")
        with pytest.raises(InvalidStatus):
            await site.socket("/", host=host["Host"], cookie=cookie, origin=stranger)
    with pytest.raises(InvalidStatus):
        await site.socket("/", host=host["Host"], cookie=cookie, origin=None)


async def test_a_stopped_repl_says_so(site: Site) -> None:
    owner = await site.user()
    repl = await site.repl(owner)
    cookie, _ = await entered(site, owner, repl)
    stopping = site.server.orchestrator.subscribe(repl_id=repl.id)
    await site.server.orchestrator.stop(repl.id)
    while (await anext(stopping)).phase != "stopped":
        pass
    url = f"http://{host_of(site, repl, 5000)}/"
    script = await visit(site, url, cookie, Accept="*/*")
    assert (script.status_code, script.json()["error"]["message"]) == (409, "This REPL is stopped.")
    browser = await site.browser(owner)
    assert (await browser.get(f"/repls/{repl.id}/files/main.py")).status_code == 200
    refused = await browser.post(f"/repls/{repl.id}/stop", json={})
    assert refused.json()["error"]["message"] == "This REPL is stopped."
    assert refused.json()["error"]["action"] == "Start it."


async def test_signing_in_again_does_not_revive_a_pass(site: Site) -> None:
    owner = await site.user()
    repl = await site.repl(owner)
    cookie, _ = await entered(site, owner, repl)
    await site.server.accounts.sessions.sign_out(owner.actor)
    await site.server.accounts.sign_in("ada", PASSWORD)
    assert (await visit(site, f"http://{host_of(site, repl, 5000)}/", cookie)).status_code == 401


async def test_a_repl_that_comes_up_is_waited_for(site: Site) -> None:
    owner = await site.user()
    repl = await site.server.orchestrator.create(owner.actor.user_id, "new", "python")
    browser = await site.browser(owner)
    assert (await browser.get(f"/repls/{repl.id}/health")).status_code == 200
    made = await browser.post("/api/repls", json={"name": "another", "template": "python"})
    socket = await site.socket(f"/repls/{made.json()['id']}/echo", token=owner.token)
    await socket.send("here")
    assert await socket.recv() == "here"


async def test_a_failure_after_the_browser_has_left_is_told_to_nobody(
    site: Site, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    left = asyncio.Event()

    async def failing(scope: object, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
        left.set()
        raise DevexError("gone", "It has gone.", "Try again.")

    owner = await site.user()
    repl = await site.repl(owner)
    cookie, _ = await entered(site, owner, repl)
    host = host_of(site, repl, 5000)
    site.backend.runner_app = lambda repl_id: failing  # type: ignore[method-assign]
    socket = await site.socket("/ws", host=host, cookie=cookie, origin=f"http://{host}")
    socket.transport.abort()
    await asyncio.wait_for(left.wait(), 10)
    assert (await visit(site, f"{site.origin}/healthz")).status_code == 200
    assert "unexpected" not in capfd.readouterr().out
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
