"""What only a real browser decides: cookies in frames, policies, and a page whose session or database fails."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from app.accounts import SignedIn
from app.pages import open_pages
from app.storage.models import Session
from orchestrator.domain import Goal
from tests.app.running_site import PASSWORD, Site, site_of
from tests.chromium import CHROMIUM, CHROMIUM_ARGUMENTS, PATIENCE_MS
from tests.ports import free_port


@pytest.fixture
async def context() -> AsyncIterator[BrowserContext]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGUMENTS))
        context = await browser.new_context()
        context.set_default_timeout(PATIENCE_MS)
        yield context
        await browser.close()


async def signed_in(context: BrowserContext, site: Site, who: SignedIn) -> Page:
    await context.add_cookies([{"name": "devex_session", "value": who.token, "url": site.origin, "httpOnly": True}])
    return await context.new_page()


async def test_a_preview_shows_in_a_frame_and_gets_nothing_of_ours(site: Site, context: BrowserContext) -> None:
    owner = await site.user()
    repl = await site.repl(owner)
    page = await signed_in(context, site, owner)
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    await page.goto(f"{site.origin}/account")
    show = """async ([repl, port]) => {
        const answer = await fetch(`/api/repls/${repl}/preview`, {method: "POST", body: JSON.stringify({port}),
                                   headers: {"Content-Type": "application/json"}});
        const frame = document.createElement("iframe");
        frame.src = (await answer.json()).url;
        const loaded = new Promise(done => frame.onload = done);
        document.body.append(frame);
        await loaded;
    }"""
    await page.evaluate(show, [repl.id, 5000])
    frame = page.frame(url=f"http://5000-{repl.slug}.localhost:{site.port}/")
    assert frame, said
    told = await frame.evaluate("fetch('/again').then(answer => answer.json())")
    assert told["path"] == "/ports/5000/again"
    assert await frame.evaluate("document.cookie") == ""
    ours = f"fetch('{site.origin}/api/session', {{credentials: 'include'}}).then(() => 'read', () => 'refused')"
    assert await frame.evaluate(ours) == "refused"
    opener = (
        f"new Promise(done => {{ const s = new WebSocket('{site.origin.replace('http', 'ws')}/repls/{repl.id}/echo');"
    )
    opener += "s.onopen = () => done('open'); s.onerror = () => done('refused'); })"
    assert await frame.evaluate(opener) == "refused"
    hot_reload = "new Promise(done => { const s = new WebSocket(`ws://${location.host}/hmr`);"
    hot_reload += "s.onopen = () => done('open'); s.onerror = () => done('refused'); })"
    assert await frame.evaluate(hot_reload) == "open"


async def test_our_pages_break_no_policy_of_theirs(site: Site, context: BrowserContext) -> None:
    page = await signed_in(context, site, await site.user())
    broken: list[str] = []
    page.on("console", lambda message: broken.append(message.text) if "Content Security" in message.text else None)
    page.on("pageerror", lambda error: broken.append(str(error)))
    await page.goto(f"{site.origin}/")
    await expect(page.get_by_role("heading", name="Your REPLs")).to_be_visible()
    assert broken == []


async def test_a_page_whose_session_ends_asks_to_sign_in(site: Site, context: BrowserContext) -> None:
    owner = await site.user()
    page = await signed_in(context, site, owner)
    await page.goto(f"{site.origin}/")
    await expect(page.get_by_role("heading", name="Your REPLs")).to_be_visible()
    await site.server.accounts.sessions.sign_out(owner.actor)
    async with asyncio.timeout(15):  # what is promised
        await page.wait_for_url(f"{site.origin}/sign-in?then=%2F")


async def test_who_signs_in_again_is_not_disturbed(site: Site, context: BrowserContext) -> None:
    """The browser still has the token of the session that ended: the page to sign in is not of that session."""
    owner = await site.user()
    await site.server.accounts.sessions.sign_out(owner.actor)
    page = await signed_in(context, site, owner)
    await page.goto(f"{site.origin}/sign-in")
    await page.get_by_label("User name").fill(owner.actor.name)
    assert owner.actor.session_id not in {one.session_id for one in open_pages.by_standing()}
    await site.server.sweep()
    await page.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Your REPLs")).to_be_visible()


async def test_a_page_of_a_revoked_session_changes_nothing(site: Site, context: BrowserContext) -> None:
    """Before the page is closed, its buttons ask again: also when a dialog was open already."""
    owner = await site.user()
    repl = await site.repl(owner)
    page = await signed_in(context, site, owner)
    await page.goto(f"{site.origin}/")
    await page.get_by_role("button", name=f"More for {repl.name}").click()
    await page.get_by_role("menuitem", name="Rename").click()
    await page.get_by_label("Name", exact=True).fill("renamed")
    await Session.filter(id=owner.actor.session_id).delete()  # as another process does
    refused = page.get_by_text("You are not signed in.").or_(page.get_by_label("User name"))
    await page.keyboard.press("Enter")
    await expect(refused.first).to_be_visible()
    stop = page.get_by_role("button", name="Stop", exact=True)
    if await stop.is_visible():
        await stop.click()
        await expect(refused.first).to_be_visible()
    now = await site.server.orchestrator.get(repl.id)
    assert (now.name, now.goal) == (repl.name, Goal.RUN)


async def test_failures_of_the_database_are_said_and_the_cards_go_on(site: Site, context: BrowserContext) -> None:
    """A table is missing when somebody presses a button, and what is in a row is nonsense when the cards change."""
    owner = await site.user()
    repl, other = await site.repl(owner), await site.repl(owner)
    page = await signed_in(context, site, owner)
    await page.goto(f"{site.origin}/")
    card = page.get_by_role("article").filter(has_text=repl.name)
    await expect(card.locator(".dx-chip")).to_have_text("Running")
    with closing(sqlite3.connect(site.server.settings.data_dir / "devex.sqlite3", isolation_level=None)) as database:
        database.execute("ALTER TABLE repls RENAME TO away")
        await card.get_by_role("button", name="Stop", exact=True).click()
        await expect(page.get_by_text("The database cannot be used just now.").first).to_be_visible()
        database.execute("ALTER TABLE away RENAME TO repls")
        database.execute("UPDATE repls SET goal = 'nonsense' WHERE id = ?", [other.id])
        await site.server.orchestrator.stop(repl.id)
        await expect(page.get_by_text("Something went wrong on the server.").first).to_be_visible()
        await expect(card.locator(".dx-chip")).to_have_text("Running")
        database.execute("UPDATE repls SET goal = 'run' WHERE id = ?", [other.id])
    await site.server.orchestrator.rename(repl.id, "Seen again")
    await expect(page.get_by_role("article").filter(has_text="Seen again").locator(".dx-chip")).to_have_text("Stopped")


async def test_a_preview_cannot_sign_anybody_in(tmp_path: Path, context: BrowserContext) -> None:
    """On a domain that the application shares, against the advice: its script plants a session for all of it."""
    port = free_port()
    ours = f"app.devex.localhost:{port}"
    async with site_of(tmp_path, port=port, preview_domain="devex.localhost", allowed_hosts=(ours,)) as site:
        victim, thief = await site.user("victim"), await site.user("thief")
        repl = await site.repl(victim)
        asked = await (await site.browser(victim)).post(f"/api/repls/{repl.id}/preview", json={"port": 5000})
        await context.add_cookies([{"name": "devex_session", "value": victim.token, "url": f"http://{ours}"}])
        page = await context.new_page()
        await page.goto(f"http://{ours}/account")
        await expect(page).to_have_url(f"http://{ours}/account")
        await page.goto(asked.json()["url"])
        await expect(page).to_have_url(f"http://5000-{repl.slug}.devex.localhost:{port}/")
        planted = f"devex_session={thief.token}; Path=/; Domain=devex.localhost"
        seen = await page.evaluate("it => { document.cookie = it; return document.cookie }", planted)
        assert thief.token in seen
        await page.goto(f"http://{ours}/account")
        await expect(page).to_have_url(f"http://{ours}/sign-in?then=%2Faccount")


async def test_a_preview_on_localhost_plants_nothing(site: Site, context: BrowserContext) -> None:
    """Browsers take localhost for a public suffix."""
    owner, thief = await site.user("owner"), await site.user("thief")
    repl = await site.repl(owner)
    asked = await (await site.browser(owner)).post(f"/api/repls/{repl.id}/preview", json={"port": 5000})
    page = await context.new_page()
    await page.goto(asked.json()["url"])
    await expect(page).to_have_url(f"http://5000-{repl.slug}.localhost:{site.port}/")
    for path in ("/", "/deeper"):  # its script does not read its own host's pass, and what it plants is beside it
        planted = f"devex_preview=planted; Path={path}"
        seen = await page.evaluate("it => { document.cookie = it; return document.cookie }", planted)
        assert seen == "devex_preview=planted"
    shown = await page.goto(f"http://5000-{repl.slug}.localhost:{site.port}/deeper/page")
    assert shown is not None
    assert shown.status == 200
    await page.evaluate("it => document.cookie = it", f"devex_session={thief.token}; Path=/; Domain=localhost")
    await page.goto(f"http://localhost:{site.port}/account")
    await expect(page).to_have_url(f"http://localhost:{site.port}/sign-in?then=%2Faccount")


async def test_pages_without_a_browser_are_so_many(
    tmp_path: Path, context: BrowserContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_pages, "WAITING_BY_ADDRESS", 2)
    async with site_of(tmp_path, trusted_proxies=("127.0.0.1",)) as site:
        page = await context.new_page()
        await page.set_extra_http_headers({"X-Forwarded-For": "192.0.2.1"})
        for _ in range(4):  # a browser connects, and what it left behind does not wait
            async with page.expect_websocket(lambda socket: "socket.io" in socket.url) as opening:
                await page.goto(f"{site.origin}/sign-in")
            await (await opening.value).wait_for_event("framereceived")
            await expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        robot = await site.browser(Accept="text/html")
        statuses = [
            (await robot.get("/sign-in", headers={"X-Forwarded-For": address})).status_code
            for address in ("192.0.2.2", "192.0.2.2", "192.0.2.2", "192.0.2.3")
        ]
        assert statuses == [200, 200, 429, 200]
        refused = await robot.get("/sign-in", headers={"X-Forwarded-For": "192.0.2.2", "Accept": "*/*"})
        assert (refused.json()["error"]["code"], refused.headers["retry-after"]) == ("pages", "60")
        script = await robot.get("/favicon.ico", headers={"X-Forwarded-For": "192.0.2.3"})
        assert script.status_code == 200
