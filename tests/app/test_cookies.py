"""Cookies that somebody else planted: a page of a sibling domain may, and the browser sends them beside ours."""

from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.app.running_site import PASSWORD, Site, site_of
from tests.app.test_previews import entered, host_of, visit

HTTPS = "https://devex.test"


def behind_tls(site: Site, **headers: str) -> httpx.AsyncClient:
    """As the proxy that ends TLS asks for a browser."""
    given = {"Host": "devex.test", "Origin": HTTPS} | headers
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{site.port}", headers=given, trust_env=False)


async def test_nobody_is_signed_in_by_a_second_cookie(site: Site) -> None:
    victim, thief = await site.user("victim"), await site.user("thief")
    repl = await site.repl(victim)
    ours, planted = f"devex_session={victim.token}", f"devex_session={thief.token}"
    for cookie in (
        f"{planted}; {ours}",
        f"{ours}; {planted}",
        f"a=b; {ours}; devex_session=nonsense",
        f"{ours};{planted}",
    ):
        browser = await site.browser()
        assert (await browser.get("/api/session", headers={"Cookie": cookie})).status_code == 401
        page = await browser.get("/account", headers={"Cookie": cookie, "Accept": "text/html"})
        assert (page.status_code, page.headers["location"]) == (303, "/sign-in?then=%2Faccount")
        with pytest.raises(InvalidStatus) as refused:
            await site.socket(f"/repls/{repl.id}/echo", cookie=cookie)
        assert refused.value.response.status_code == 401
    lines = [("Cookie", ours), ("Cookie", planted)]
    assert (await (await site.browser()).get("/api/session", headers=httpx.Headers(lines))).status_code == 401
    again = [("Cookie", ours), ("Cookie", ours)]
    assert (await (await site.browser()).get("/api/session", headers=httpx.Headers(again))).status_code == 200


async def test_over_https_only_our_host_can_set_our_cookies(tmp_path: Path) -> None:
    async with site_of(tmp_path, public_url=HTTPS) as site, behind_tls(site) as browser:
        await site.user()
        answer = await browser.post("/api/session", json={"name": "ada", "password": PASSWORD})
        cookie, *attributes = answer.headers["set-cookie"].split("; ")
        assert cookie.startswith("__Host-devex_session=")
        assert {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(attributes)
        assert not any(attribute.lower().startswith("domain") for attribute in attributes)
        plain = cookie.removeprefix("__Host-")
        browser.cookies.clear()
        assert (await browser.get("/api/session", headers={"Cookie": plain})).status_code == 401
        assert (await browser.get("/api/session", headers={"Cookie": f"{plain}; {cookie}"})).status_code == 200
        page = await browser.get("/account", headers={"Cookie": cookie, "Accept": "text/html"})
        assert page.status_code == 200
        assert page.headers["set-cookie"].startswith("__Host-devex_ui=")


async def test_over_https_a_page_ends_with_its_session(tmp_path: Path) -> None:
    from nicegui import Client

    async with site_of(tmp_path, public_url=HTTPS) as site:
        owner = await site.user()
        cookie = f"__Host-devex_session={owner.token}"
        async with behind_tls(site, Accept="text/html", Cookie=cookie) as browser:
            before = set(Client.instances)
            assert (await browser.get("/account")).status_code == 200
        (opened,) = set(Client.instances) - before
        await site.server.accounts.sessions.sign_out(owner.actor)
        assert opened not in Client.instances


async def test_a_planted_pass_does_not_keep_us_out_of_a_preview(site: Site) -> None:
    owner, thief = await site.user("owner"), await site.user("thief")
    repl, theirs = await site.repl(owner), await site.repl(thief)
    ours, _ = await entered(site, owner, repl)
    planted, _ = await entered(site, thief, theirs)
    url = f"http://{host_of(site, repl, 5000)}/"
    for cookie in (f"{planted}; {ours}", f"{ours}; {planted}; devex_preview=nonsense"):
        assert (await visit(site, url, cookie)).status_code == 200
    assert (await visit(site, url, planted)).status_code == 401
