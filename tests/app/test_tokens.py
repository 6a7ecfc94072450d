"""Scripts that bear a token: what they may, and how it ends."""

import asyncio
import re
import subprocess
import sys
from datetime import timedelta

import pytest
from nicegui import Client
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from app.access import NOBODY
from app.accounts import Accounts
from app.accounts.attempts import TRIES_BY_ADDRESS, TooManyAttempts
from app.accounts.sessions import SESSIONS_MOST, TOKENS_MOST
from app.bearer import bearer_token
from app.storage.models import Session
from runner.errors import DevexError
from tests.app.running_site import PASSWORD, Site
from tests.orchestrator.fakes import ManualClock

DAY_S = timedelta(days=1).total_seconds()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def accounts(opened_database: str, clock: ManualClock) -> Accounts:
    return Accounts(clock, sign_up="open", session_days=14)


async def test_a_token_stands_for_its_user_until_it_ends(accounts: Accounts, clock: ManualClock) -> None:
    ada = await accounts.sign_up("ada", PASSWORD)
    made, token = await accounts.sessions.new_token(ada.actor.user_id, " backup\n", 30)
    assert (made.name, token[:6]) == ("backup", "devex_")
    assert not await Session.filter(id=token).exists()
    actor = await accounts.bearing(token, "a")
    assert (actor.name, actor.by_token, actor.session_id) == ("ada", True, made.id)
    assert await accounts.sessions.still(actor) == actor
    assert await accounts.sessions.current(token) == NOBODY, "it is no cookie"
    assert await accounts.bearing(ada.token, "a") == NOBODY, "and a cookie is no token"
    await clock.advance(29 * DAY_S)
    assert (await accounts.bearing(token, "a")).signed_in
    await clock.advance(DAY_S)
    assert not (await accounts.bearing(token, "a")).signed_in, "it is not prolonged by being used"


async def test_tokens_are_listed_bounded_and_revoked(accounts: Accounts) -> None:
    ada, bob = await accounts.sign_up("ada", PASSWORD), await accounts.sign_up("bob", PASSWORD)
    made = [await accounts.sessions.new_token(ada.actor.user_id, f"n{number}") for number in range(TOKENS_MOST)]
    for name, days in (("one more", 90), ("", 90), ("x" * 61, 90), ("x", 0), ("x", 366)):
        with pytest.raises(DevexError):
            await accounts.sessions.new_token(ada.actor.user_id, name, days)
    assert {one.name for one in await accounts.sessions.tokens(ada.actor)} == {f"n{n}" for n in range(TOKENS_MOST)}
    assert [one.id for one in await accounts.sessions.of(ada.actor)] == [ada.actor.session_id], "browsers only"
    ended: list[str] = []
    accounts.sessions.on_ended = ended.extend
    await accounts.sessions.end(bob.actor, made[0][0].id)
    assert (await accounts.bearing(made[0][1], "a")).signed_in, "it is not his"
    await accounts.sessions.end(ada.actor, made[0][0].id)
    assert ended == [made[0][0].id]
    assert await accounts.bearing(made[0][1], "a") == NOBODY
    for _ in range(SESSIONS_MOST):
        await accounts.sign_in("ada", PASSWORD)
    assert (await accounts.bearing(made[1][1], "a")).signed_in, "many browsers do not push it out"
    await accounts.change_password((await accounts.sign_in("ada", PASSWORD)).actor, PASSWORD, "another long one")
    assert await accounts.sessions.tokens(ada.actor) == []


async def test_who_is_disabled_has_no_token(accounts: Accounts) -> None:
    await accounts.set_up(await accounts.setup_link(), "chief", PASSWORD)
    ada = await accounts.sign_up("ada", PASSWORD)
    _, token = await accounts.sessions.new_token(ada.actor.user_id, "x")
    await accounts.set_disabled(ada.actor.user_id, True)
    assert await accounts.bearing(token, "a") == NOBODY


async def test_who_makes_tokens_while_all_are_revoked_has_none_left(accounts: Accounts) -> None:
    async def make_until_signed_out() -> None:
        while (actor := await accounts.sessions.still(thief.actor)).signed_in:
            try:
                await accounts.sessions.new_token(actor.user_id, "x", session_id=actor.session_id)
            except DevexError as refused:
                if refused.code == "too_many_tokens":
                    for token in await accounts.sessions.tokens(actor):
                        await accounts.sessions.end(actor, token.id)

    owner = await accounts.sign_up("ada", PASSWORD)
    for number in range(10):
        thief = await accounts.sign_in("ada", PASSWORD)
        makers = [asyncio.create_task(make_until_signed_out()) for _ in range(6)]
        while not await accounts.sessions.tokens(thief.actor):
            await asyncio.sleep(0)
        await accounts.sessions.end_all(owner.actor.user_id)
        await asyncio.gather(*makers)
        assert await accounts.sessions.tokens(owner.actor) == [], number


async def test_wrong_tokens_are_counted_and_hold_up_nobody_who_has_a_good_one(accounts: Accounts) -> None:
    ada = await accounts.sign_up("ada", PASSWORD)
    _, token = await accounts.sessions.new_token(ada.actor.user_id, "x")
    for number in range(TRIES_BY_ADDRESS):
        assert await accounts.bearing(f"devex_{number}", "a") == NOBODY
    for wrong in ("devex_x", "", "x" * 1000):
        with pytest.raises(TooManyAttempts):
            await accounts.bearing(wrong, "a")
    assert await accounts.bearing("devex_x", "b") == NOBODY
    assert (await accounts.bearing(token, "a")).signed_in


@pytest.mark.parametrize(
    ("values", "token"),
    [
        ([], None), ([b"Basic eDp5"], None), ([b"Bearerx y"], None), ([b"Bearer abc"], "abc"),
        ([b"bearer  abc "], "abc"), ([b"Bearer"], ""), ([b"Bearer a", b"Bearer b"], ""),
        ([b"Basic eDp5", b"Bearer b"], ""),
    ],
)  # fmt: skip
def test_what_is_borne_is_told_or_nothing(values: list[bytes], token: str | None) -> None:
    assert bearer_token([(b"authorization", value) for value in values]) == token


async def test_scripts_need_no_origin_and_pages_of_others_gain_nothing(site: Site) -> None:
    ada = await site.user()
    repl = await site.repl(ada)
    script = await site.script(ada)
    assert (await script.post("/api/repls", json={"name": "made", "template": "python"})).status_code == 201
    assert (await script.get("/api/session")).json()["name"] == "ada"
    for origin in ("http://evil.test", "null", ""):
        answer = await script.post("/api/repls", json={}, headers={"Origin": origin})
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin")
    url = f"ws://127.0.0.1:{site.port}/repls/{repl.id}/echo"
    bearing = {"Authorization": script.headers["Authorization"]}
    async with connect(url, additional_headers=bearing, proxy=None) as socket:
        await socket.send("hello")
        assert await socket.recv() == "hello"
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, proxy=None)
    assert refused.value.response.status_code == 403
    wrong = {"Authorization": "Bearer devex_wrong"}
    answer = await (await site.browser(ada)).get("/api/repls", headers=wrong)
    assert answer.status_code == 401, "the cookie does not count beside it"
    told = (await script.get(f"/repls/{repl.id}/asked", headers={"Cookie": "a=b"})).json()
    assert not {"authorization", "cookie"} & set(told["headers"])


async def test_what_a_token_holds_open_ends_with_it(site: Site) -> None:
    ada = await site.user()
    repl = await site.repl(ada)
    browser = await site.browser(ada)
    made = (await browser.post("/api/account/tokens", json={"name": "ci", "days": 7})).json()
    [listed] = (await browser.get("/api/account/tokens")).json()
    assert listed == {name: value for name, value in made.items() if name != "token"}
    headers = {"Authorization": f"Bearer {made['token']}"}
    url = f"ws://127.0.0.1:{site.port}/repls/{repl.id}/echo"
    async with connect(url, additional_headers=headers, proxy=None) as socket:
        await site.server.sweep()
        await socket.send("still there")
        assert await socket.recv() == "still there"
        assert (await browser.delete(f"/api/account/tokens/{made['id']}")).status_code == 204
        with pytest.raises(ConnectionClosed):
            await asyncio.wait_for(socket.recv(), 10)


async def test_a_page_that_a_token_opened_ends_with_it(site: Site) -> None:
    ada = await site.user()
    page = await (await site.script(ada)).get("/", headers={"Accept": "text/html"})
    client_id = re.search(r"'?client_id'?: '([0-9a-f-]{36})'", page.text)
    assert client_id
    assert client_id[1] in Client.instances
    [token] = await site.server.accounts.sessions.tokens(ada.actor)
    await site.server.accounts.sessions.end(ada.actor, token.id)
    assert client_id[1] not in Client.instances


async def test_the_command_line_makes_one(site: Site) -> None:
    await site.user()
    settings = {"DEVEX_DATA_DIR": str(site.server.settings.data_dir), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-m", "app.cli", "token", "ada", "--name", "cron", "--days", "3"]
    ran = await asyncio.to_thread(
        subprocess.run, command, env=settings, capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    assert (await site.server.accounts.bearing(ran.stdout.split()[-1], "a")).name == "ada"
