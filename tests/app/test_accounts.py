"""Accounts on either database, under a clock that the test moves."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest

from app.access import NOBODY, Actor, Role
from app.accounts import Accounts, SignedIn, Visitor
from app.accounts.attempts import (
    KEYS_MOST,
    TRIES_BY_ACCOUNT_AND_ADDRESS,
    TRIES_BY_ADDRESS,
    WINDOW_S,
    Attempts,
    TooManyAttempts,
)
from app.accounts.passwords import PASSWORD_MOST_CHARACTERS, Passwords
from app.accounts.sessions import SESSIONS_MOST
from app.storage.models import Link, Session, User
from runner.errors import DevexError
from tests.orchestrator.fakes import ManualClock

PASSWORD = "correct horse battery"
DAY_S = 86400.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def accounts(opened_database: str, clock: ManualClock) -> Accounts:
    return Accounts(clock, sign_up="open", session_days=14)


def refused(code: str) -> Any:
    return pytest.raises(DevexError, match=CODES[code])


CODES = {
    "name": "user name",
    "taken": "Somebody has this name",
    "wrong": "name or the password is wrong",
    "link": "This link was used",
    "closed": "not given here",
    "short": "fewer than",
    "long": "more than",
    "last": "only administrator",
}


async def test_a_session_begins_and_ends(accounts: Accounts) -> None:
    ended: list[str] = []
    accounts.sessions.on_ended = ended.extend
    new = await accounts.sign_up("Ada", PASSWORD, visitor=Visitor("192.0.2.1", "Firefox\x00\n"))
    assert await accounts.sessions.current(new.token) == new.actor
    assert (new.actor.name, new.actor.role, new.actor.is_admin) == ("Ada", Role.USER, False)
    again = await accounts.sign_in("aDa", PASSWORD)
    assert again.token != new.token
    assert [one.browser for one in await accounts.sessions.of(new.actor)] == ["Firefox", ""]
    await accounts.sessions.sign_out(new.actor)
    assert ended == [new.actor.session_id]
    assert await accounts.sessions.current(new.token) == NOBODY
    assert await accounts.sessions.still(new.actor) == NOBODY
    assert await accounts.sessions.current(again.token) == again.actor


async def test_the_database_holds_no_secret(accounts: Accounts) -> None:
    new = await accounts.sign_up("ada", PASSWORD)
    invite = await accounts.invite()
    rows = [*await User.all().values(), *await Session.all().values(), *await Link.all().values()]
    stored = str(rows)
    for secret in (PASSWORD, new.token, invite):
        assert secret not in stored
    assert (await User.get(key="ada")).password_hash.startswith("$argon2id$")
    assert await accounts.sessions.current(new.actor.session_id) == NOBODY  # the stored hash is no token


async def test_garbage_is_nobody(accounts: Accounts) -> None:
    for token in (None, "", "x", "x" * 43, "x" * 10_000, "\udcff", "a\0b", "';--"):
        assert await accounts.sessions.current(token) == NOBODY, token
    assert not NOBODY.signed_in


async def test_names(accounts: Accounts) -> None:
    await accounts.sign_up("Ada", PASSWORD)
    for same in ("ada", "ADA", " Ada ", "Ａda"):
        with refused("taken"):
            await accounts.sign_up(same, PASSWORD)
    for bad in ("", " ", "_ada", "a b", "a/b", "a\nb", "x" * 41, "<b>", "a\u202eb", "-", "ada@example.com"):
        with refused("name"):
            await accounts.sign_up(bad, PASSWORD)
    for good in ("Zoë", "a.b-c_d", "7", "Ольга", "名前"):
        assert (await accounts.sign_up(good, PASSWORD)).actor.signed_in


async def test_of_two_with_one_name_one_gets_it(accounts: Accounts) -> None:
    both = await asyncio.gather(*(accounts.sign_up("ada", PASSWORD) for _ in range(4)), return_exceptions=True)
    assert sum(isinstance(one, SignedIn) for one in both) == 1


async def test_passwords(accounts: Accounts) -> None:
    with refused("short"):
        await accounts.sign_up("ada", "short pw")
    with refused("long"):
        await accounts.sign_up("ada", "x" * (PASSWORD_MOST_CHARACTERS + 1))
    await accounts.sign_up("ada", "x" * PASSWORD_MOST_CHARACTERS)
    for wrong in ("x" * (PASSWORD_MOST_CHARACTERS + 1), "", "X" * PASSWORD_MOST_CHARACTERS):
        with refused("wrong"):
            await accounts.sign_in("ada", wrong)
    with refused("wrong"):
        await accounts.sign_in("nobody", "nobody has this password")


async def test_no_user_has_the_password_that_nobody_has() -> None:
    passwords = Passwords()
    assert not await passwords.verify("nobody has this password", None)
    assert await passwords.verify(PASSWORD, await passwords.hash(PASSWORD))


async def test_changing_the_password_signs_out_everywhere(accounts: Accounts) -> None:
    first = await accounts.sign_up("ada", PASSWORD)
    second = await accounts.sign_in("ada", PASSWORD)
    with pytest.raises(DevexError, match="current password is wrong"):
        await accounts.change_password(first.actor, "not the password", "another password")
    new = await accounts.change_password(first.actor, PASSWORD, "another password")
    assert await accounts.sessions.good([x.actor.session_id for x in (first, second, new)]) == {new.actor.session_id}
    with refused("wrong"):
        await accounts.sign_in("ada", PASSWORD)
    assert (await accounts.sign_in("ada", "another password")).actor.user_id == first.actor.user_id


async def test_who_signs_in_while_the_password_changes_is_signed_out_too(accounts: Accounts) -> None:
    async def sign_in_until_refused() -> list[str]:
        begun: list[str] = []
        with refused("wrong"):
            while True:
                begun.append((await accounts.sign_in("ada", PASSWORD)).actor.session_id)
        return begun

    owner = await accounts.sign_up("ada", PASSWORD)
    others = [asyncio.create_task(sign_in_until_refused()) for _ in range(4)]
    new = await accounts.change_password(owner.actor, PASSWORD, "another password")
    begun = [session_id for some in await asyncio.gather(*others) for session_id in some]
    assert await accounts.sessions.good([*begun, new.actor.session_id]) == {new.actor.session_id}


async def test_of_two_changes_of_a_password_at_once_one_is_made(accounts: Accounts) -> None:
    owner = await accounts.sign_up("ada", PASSWORD)
    passwords = ["another password", "yet another password"]
    changes = (accounts.change_password(owner.actor, PASSWORD, password) for password in passwords)
    made = await asyncio.gather(*changes, return_exceptions=True)
    [good] = [password for password, one in zip(passwords, made, strict=True) if isinstance(one, SignedIn)]
    assert (await accounts.sign_in("ada", good)).actor.user_id == owner.actor.user_id


async def test_a_session_lasts_while_it_is_used(accounts: Accounts, clock: ManualClock) -> None:
    new = await accounts.sign_up("ada", PASSWORD)
    for _ in range(3):
        await clock.advance(10 * DAY_S)
        assert await accounts.sessions.current(new.token) == new.actor
    await clock.advance(14 * DAY_S)
    assert await accounts.sessions.current(new.token) == NOBODY
    assert await accounts.sessions.good([new.actor.session_id]) == set()
    await accounts.forget_expired()
    assert not await Session.exists()


async def test_a_user_has_so_many_sessions(accounts: Accounts, clock: ManualClock) -> None:
    first = await accounts.sign_up("ada", PASSWORD)
    for number in range(SESSIONS_MOST - 1):
        at = clock.now() + timedelta(seconds=number + 1)
        await Session.create(
            id=str(number), user_id=first.actor.user_id, created_at=at, seen_at=at, expires_at=at + timedelta(days=1)
        )
    await clock.advance(SESSIONS_MOST)
    last = await accounts.sign_in("ada", PASSWORD)
    assert len(await accounts.sessions.of(last.actor)) == SESSIONS_MOST
    assert await accounts.sessions.current(first.token) == NOBODY


async def test_nobody_ends_the_sessions_of_others(accounts: Accounts) -> None:
    ada, eve = await accounts.sign_up("ada", PASSWORD), await accounts.sign_up("eve", PASSWORD)
    await accounts.sessions.end(eve.actor, ada.actor.session_id)
    assert await accounts.sessions.current(ada.token) == ada.actor


async def test_an_invitation_makes_one_account(opened_database: str, clock: ManualClock) -> None:
    accounts = Accounts(clock, sign_up="invite", session_days=1)
    for bad in ("", "x" * 43, await accounts.setup_link()):
        with refused("link"):
            await accounts.sign_up("ada", PASSWORD, invite=bad)
    invite = await accounts.invite()
    with refused("short"):  # a mistake does not use it up
        await accounts.sign_up("ada", "short", invite=invite)
    tries = (accounts.sign_up(name, PASSWORD, invite=invite) for name in ("ada", "eve", "bob"))
    made = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, SignedIn) for one in made) == 1
    assert await User.all().count() == 1
    late = await accounts.invite()
    await clock.advance(7 * DAY_S)
    with refused("link"):
        await accounts.sign_up("late", PASSWORD, invite=late)


async def test_a_taken_name_does_not_use_up_the_invitation(opened_database: str, clock: ManualClock) -> None:
    accounts = Accounts(clock, sign_up="invite", session_days=1)
    await accounts.sign_up("ada", PASSWORD, invite=await accounts.invite())
    invite = await accounts.invite()
    with refused("taken"):
        await accounts.sign_up("ada", PASSWORD, invite=invite)
    assert (await accounts.sign_up("eve", PASSWORD, invite=invite)).actor.name == "eve"


async def test_closed_is_closed(opened_database: str, clock: ManualClock) -> None:
    accounts = Accounts(clock, sign_up="closed", session_days=1)
    with refused("closed"):
        await accounts.sign_up("ada", PASSWORD, invite=await accounts.invite())


async def test_the_setup_link_makes_one_administrator(accounts: Accounts) -> None:
    assert await accounts.nobody_yet()
    earlier, link = await accounts.setup_link(), await accounts.setup_link()
    with refused("link"):
        await accounts.set_up(earlier, "eve", PASSWORD)
    tries = (accounts.set_up(link, name, PASSWORD) for name in ("ada", "eve"))
    made = await asyncio.gather(*tries, return_exceptions=True)
    assert sum(isinstance(one, SignedIn) for one in made) == 1
    assert [user.role for user in await accounts.users()] == [Role.ADMIN]
    assert not await accounts.nobody_yet()


async def test_the_last_administrator_stays(accounts: Accounts) -> None:
    ada = await accounts.set_up(await accounts.setup_link(), "ada", PASSWORD)
    eve = await accounts.sign_up("eve", PASSWORD)
    for change in (accounts.set_role(ada.actor.user_id, Role.USER), accounts.set_disabled(ada.actor.user_id, True)):
        with refused("last"):
            await change
    await accounts.set_role(eve.actor.user_id, Role.ADMIN)
    assert await accounts.sessions.current(eve.token) == NOBODY  # rights change with the next session
    await accounts.set_disabled(ada.actor.user_id, True)
    assert await accounts.sessions.current(ada.token) == NOBODY
    with refused("wrong"):
        await accounts.sign_in("ada", PASSWORD)
    await accounts.set_disabled(ada.actor.user_id, False)
    assert (await accounts.sign_in("ada", PASSWORD)).actor.is_admin


async def test_two_administrators_cannot_take_the_office_from_each_other(accounts: Accounts) -> None:
    ada = await accounts.set_up(await accounts.setup_link(), "ada", PASSWORD)
    eve = await accounts.sign_up("eve", PASSWORD)
    await accounts.set_role(eve.actor.user_id, Role.ADMIN)
    changes = (accounts.set_role(one.actor.user_id, Role.USER) for one in (ada, eve))
    ended = await asyncio.gather(*changes, return_exceptions=True)
    assert sorted(type(one).__name__ for one in ended) == ["DevexError", "NoneType"]
    assert [user.role for user in await accounts.users()].count(Role.ADMIN) == 1


async def test_guessing_is_limited_by_account_and_address(accounts: Accounts, clock: ManualClock) -> None:
    await accounts.sign_up("ada", PASSWORD)
    here, there = Visitor("192.0.2.1"), Visitor("192.0.2.2")
    for _ in range(TRIES_BY_ACCOUNT_AND_ADDRESS):
        with refused("wrong"):
            await accounts.sign_in("ada", "wrong password", visitor=here)
    with pytest.raises(TooManyAttempts) as refusal:
        await accounts.sign_in("ada", PASSWORD, visitor=here)
    assert (refusal.value.status, refusal.value.action) == (429, "Try again in 15 minutes.")
    assert (await accounts.sign_in("ada", PASSWORD, visitor=there)).actor.signed_in  # she is not locked out
    await clock.advance(WINDOW_S)
    assert (await accounts.sign_in("ada", PASSWORD, visitor=here)).actor.signed_in


async def test_guessing_at_many_accounts_is_limited_by_address(accounts: Accounts) -> None:
    here = Visitor("192.0.2.1")
    for number in range(TRIES_BY_ADDRESS):
        with refused("wrong"):
            await accounts.sign_in(f"user{number}", "wrong password", visitor=here)
    with pytest.raises(TooManyAttempts):
        await accounts.sign_in("another", "wrong password", visitor=here)


async def test_attempts_take_bounded_memory(clock: ManualClock) -> None:
    attempts = Attempts(clock, most=2, window_s=60)
    for number in range(KEYS_MOST + 10):
        attempts.count(str(number))
        attempts.count(str(number))
        attempts.count(str(number))
    assert len(attempts._times) == KEYS_MOST
    assert all(len(times) <= 3 for times in attempts._times.values())
    attempts.check("0")  # the oldest was forgotten
    with pytest.raises(TooManyAttempts):
        attempts.check(str(KEYS_MOST))


async def test_actors_of_expired_sessions_are_nobody(accounts: Accounts, clock: ManualClock) -> None:
    new = await accounts.sign_up("ada", PASSWORD)
    await clock.advance(timedelta(days=15).total_seconds())
    assert await accounts.sessions.still(Actor(session_id=new.actor.session_id)) == NOBODY


def test_the_first_to_sign_in_to_a_server_may_be_nobody() -> None:
    call = "asyncio.run(Passwords().verify('x', None))"
    program = f"import asyncio; from app.accounts.passwords import Passwords; print({call})"
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert answer.stdout == "False\n", answer.stderr
