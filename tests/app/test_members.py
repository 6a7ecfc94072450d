"""Who is let into a REPL, what they may do then, and that it ends at once when they are not."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from nicegui import background_tasks
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp
from websockets.exceptions import ConnectionClosed

from app import members as members_module
from app.access import MemberRole, ReplRole
from app.accounts import Accounts
from app.members import Member, Members
from app.pages import open_pages
from app.storage.models import MemberRow
from app.storage.records import TortoiseRecords
from components.palette import Palette
from components.repl import Run
from orchestrator.backends.base import BackendError, SandboxSpec
from orchestrator.clock import SystemClock
from orchestrator.domain import Goal, Phase
from orchestrator.registry import NoSuchRepl
from runner.errors import DevexError
from tests.app.running_site import PASSWORD, Echoing, Site, site_of
from tests.app.test_previews import entered, host_of, visit
from tests.app.test_waking import PERSON, Slow
from tests.contracts.records import make_repl
from tests.waiting import DEADLINE_S, until


@pytest.mark.usefixtures("opened_database")
async def test_a_member_is_what_the_owner_made_them_last() -> None:
    clock = SystemClock()
    accounts, members, records = Accounts(clock, sign_up="open", session_days=1), Members(clock), TortoiseRecords()
    owner, ada, bob = [(await accounts.sign_up(name, PASSWORD)).actor for name in ("owner", "Ada", "bob")]
    repl = make_repl(1, owner_id=owner.user_id)
    await records.insert(repl)
    changed: list[tuple[str, str]] = []
    members.on_changed = lambda repl_id, user_id: changed.append((repl_id, user_id))
    assert await members.role_of(owner.user_id, repl) is ReplRole.OWNER
    assert await members.role_of(ada.user_id, repl) is None
    await members.let_in(repl, "bob", ReplRole.VIEWER)
    for role in (ReplRole.EDITOR, ReplRole.VIEWER, ReplRole.EDITOR):
        member = await members.let_in(repl, " ADA ", role)
        assert (member.user_id, member.name, member.role) == (ada.user_id, "Ada", role)
        assert await members.role_of(ada.user_id, repl) is role
    assert [(one.name, one.role) for one in await members.of(repl.id)] == [
        ("Ada", ReplRole.EDITOR),
        ("bob", ReplRole.VIEWER),
    ]
    trashed = replace(repl, goal=Goal.DELETE)
    assert await members.role_of(ada.user_id, trashed) is None
    assert await members.role_of(owner.user_id, trashed) is ReplRole.OWNER
    await members.remove(repl.id, ada.user_id)
    await members.remove(repl.id, ada.user_id)
    assert await members.role_of(ada.user_id, repl) is None
    assert changed == [(repl.id, bob.user_id), *[(repl.id, ada.user_id)] * 4]
    await records.delete(repl.id)
    assert not await MemberRow.exists()


@pytest.mark.usefixtures("opened_database")
async def test_who_cannot_be_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    accounts, members, records = Accounts(clock, sign_up="open", session_days=1), Members(clock), TortoiseRecords()
    owner, ada, bob = [(await accounts.sign_up(name, PASSWORD)).actor for name in ("owner", "ada", "bob")]
    repl = make_repl(1, owner_id=owner.user_id)
    await records.insert(repl)

    async def refusal(name: str) -> str:
        with pytest.raises(DevexError) as refused:
            await members.let_in(repl, name, ReplRole.EDITOR)
        return refused.value.code

    assert [await refusal(name) for name in ("owner", "nobody", "", "a\0b", "x" * 400)] == ["owner", *["no_user"] * 4]
    monkeypatch.setattr(members_module, "MEMBERS_MOST", 1)
    both = [members.let_in(repl, name, ReplRole.VIEWER) for name in ("ada", "bob")]
    first, second = await asyncio.gather(*both, return_exceptions=True)
    assert isinstance(first, Member)
    assert isinstance(second, DevexError)
    assert second.code == "too_many_members"
    await members.let_in(repl, "ada", ReplRole.EDITOR)  # who is in is in
    await members.remove(repl.id, ada.user_id)
    await accounts.set_disabled(bob.user_id, True)
    assert await refusal("bob") == "no_user"
    await members.remove(repl.id, "a\0b")
    await records.delete(repl.id)
    with pytest.raises(NoSuchRepl):
        await members.let_in(repl, "ada", ReplRole.EDITOR)


async def test_what_is_shared_is_listed_with_its_owner(site: Site) -> None:
    owner, ada = await site.user("owner"), await site.user("ada")
    shared, members = await site.repl(owner), site.server.members
    await site.repl(owner)  # another one
    await members.let_in(shared, "ada", ReplRole.VIEWER)
    browser = await site.browser(ada)
    assert (await browser.get("/api/repls")).json() == []
    listed = (await browser.get("/api/shared")).json()
    assert [(one["owner"], one["repl"]["id"], one["repl"]["role"]) for one in listed] == [
        ("owner", shared.id, "viewer")
    ]
    assert (await browser.get(f"/api/repls/{shared.id}")).json()["role"] == "viewer"
    await site.server.orchestrator.delete(shared.id)
    assert (await browser.get("/api/shared")).json() == []
    assert (await browser.get(f"/api/repls/{shared.id}")).status_code == 404
    await site.server.orchestrator.undelete(shared.id)
    assert (await browser.delete(f"/api/repls/{shared.id}/membership")).status_code == 204
    assert (await browser.get(f"/api/repls/{shared.id}")).status_code == 404
    assert (await (await site.browser(owner)).get(f"/api/repls/{shared.id}/members")).json() == []


async def test_the_runner_is_told_who_may_only_look(site: Site) -> None:
    owner, ada = await site.user("owner"), await site.user("ada")
    repl = await site.repl(owner)
    browser = await site.browser(ada)
    roles: dict[MemberRole, bool] = {ReplRole.VIEWER: False, ReplRole.EDITOR: True}
    for role, writes in roles.items():
        await site.server.members.let_in(repl, "ada", role)
        assert (await browser.get(f"/repls/{repl.id}/asked")).json()["writes"] is writes
        preview = await browser.post(f"/api/repls/{repl.id}/preview", json={"port": 5000})
        assert preview.status_code == (200 if writes else 403)


async def test_a_viewer_starts_nothing(site: Site) -> None:
    owner, ada = await site.user("owner"), await site.user("ada")
    repl = await site.repl(owner, start=False)
    await site.server.members.let_in(repl, "ada", ReplRole.VIEWER)
    browser = await site.browser(ada, Accept="text/html")
    assert (await browser.get(f"/repl/{repl.id}")).status_code == 200
    assert (await browser.put(f"/repls/{repl.id}/files/x", content=b"x")).status_code == 403
    assert (await browser.post(f"/repls/{repl.id}/run")).status_code == 403
    assert (await site.server.orchestrator.get(repl.id)).goal is Goal.STOP


@pytest.mark.parametrize("how", ["removed", "only looks", "by another process", "in the trash"])
async def test_what_a_member_has_open_ends_with_the_right(site: Site, how: str) -> None:
    owner, ada, server = await site.user("owner"), await site.user("ada"), site.server
    repl, other = await site.repl(owner), await site.repl(owner)
    for one in (repl, other):
        await server.members.let_in(one, "ada", ReplRole.EDITOR)
    socket = await site.socket(f"/repls/{repl.id}/echo", token=ada.token)
    theirs = await site.socket(f"/repls/{repl.id}/echo", token=owner.token)
    elsewhere = await site.socket(f"/repls/{other.id}/echo", token=ada.token)
    await (await site.browser(ada, Accept="text/html")).get(f"/repl/{repl.id}")
    assert repl.id in {one.repl_id for one in open_pages.by_standing() if one.user_id == ada.actor.user_id}
    match how:
        case "removed":
            await server.members.remove(repl.id, ada.actor.user_id)
        case "only looks":
            await server.members.let_in(repl, "ada", ReplRole.VIEWER)
        case "by another process":
            await MemberRow.filter(repl_id=repl.id, user_id=ada.actor.user_id).delete()
            await server.sweep()
        case "in the trash":
            await server.orchestrator.delete(repl.id)
            await server.sweep()
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(DEADLINE_S):
            await socket.recv()
    assert (closed.value.rcvd and closed.value.rcvd.code) == 1008
    assert repl.id not in {one.repl_id for one in open_pages.by_standing() if one.user_id == ada.actor.user_id}
    for still_open in (elsewhere, theirs) if how != "in the trash" else (elsewhere,):
        await still_open.send("there")
        assert await still_open.recv() == "there"
    await until(
        lambda: not any(one.repl_id == repl.id and one.role is ReplRole.EDITOR for one in server.live.holders())
    )


async def nothing() -> None: ...


class SlowWithRuns(Slow):
    """Tells who pressed Run, and who opened terminals."""

    def __init__(self) -> None:
        super().__init__()
        self.starting = asyncio.Event()
        self.runs: list[str] = []
        self.opened: list[str] = []
        self.before_opening: Callable[[], Awaitable[None]] = nothing

    async def _start(self, spec: SandboxSpec) -> None:
        self.starting.set()
        await super()._start(spec)

    def runner_app(self, repl_id: str) -> ASGIApp | None:
        below = super().runner_app(repl_id)

        async def run(request: Request) -> Response:
            if request.method == "POST":
                self.runs.append(request.scope["devex.viewer"].name)
            return JSONResponse(asdict(Run()))

        async def terminals(request: Request) -> Response:
            found = [
                {"id": f"sh-{number}", "kind": "shell", "title": "", "named": False, "exit": None}
                for number in range(len(self.opened))
            ]
            if request.method == "POST":
                await self.before_opening()
                self.opened.append(request.scope["devex.viewer"].name)
                return JSONResponse({"id": "sh-0", "kind": "shell", "title": "", "named": False, "exit": None}, 201)
            return JSONResponse({"terminals": found})

        routes = [
            Route("/run", run, methods=["GET", "POST"]),
            Route("/terminals", terminals, methods=["GET", "POST"]),
        ]
        return Router(routes, default=below) if below else None


class OneLeaves:
    """A REPL that starts when `backend.proceed` is set, by an editor who is removed meanwhile."""

    def __init__(self, site: Site, backend: SlowWithRuns) -> None:
        self.site, self.backend = site, backend

    async def begin(self) -> None:
        self.ada = await self.site.user("ada")
        self.repl = await self.site.repl(await self.site.user("owner"), start=False)
        await self.site.server.members.let_in(self.repl, "ada", ReplRole.EDITOR)

    async def is_removed_while_it_starts(self) -> None:
        async with asyncio.timeout(DEADLINE_S):
            await self.backend.starting.wait()
        await self.site.server.members.remove(self.repl.id, self.ada.actor.user_id)


@pytest.fixture
async def leaving(tmp_path: Path) -> AsyncIterator[OneLeaves]:
    backend = SlowWithRuns()
    async with site_of(tmp_path, backend) as site:
        one = OneLeaves(site, backend)
        await one.begin()
        yield one


async def test_a_file_is_not_written_by_who_was_removed_while_it_started(leaving: OneLeaves) -> None:
    browser = await leaving.site.browser(leaving.ada)
    putting = asyncio.create_task(browser.put(f"/repls/{leaving.repl.id}/files/x", content=b"late"))
    await leaving.is_removed_while_it_starts()
    async with asyncio.timeout(DEADLINE_S):
        assert (await putting).status_code == 403
    leaving.backend.proceed.set()
    await leaving.site.server.orchestrator.open(leaving.repl.id)
    assert "x" not in leaving.backend.machine.workspaces[leaving.repl.id]


async def test_of_pages_that_are_opened_at_once_one_opens_a_shell(leaving: OneLeaves) -> None:
    """And the others do not wait for it for long: what it asks may not be answered."""
    others_are_there = asyncio.Event()

    async def until_then() -> None:
        await others_are_there.wait()

    leaving.backend.proceed.set()
    leaving.backend.before_opening = until_then
    browser = await leaving.site.browser(leaving.ada, Accept="text/html")
    pages = [asyncio.create_task(browser.get(f"/repl/{leaving.repl.id}")) for _ in range(5)]
    async with asyncio.timeout(DEADLINE_S):
        for number, page in enumerate(asyncio.as_completed(pages)):
            assert (await page).status_code == 200
            if number == 3:
                others_are_there.set()
    assert leaving.backend.opened == ["ada"]


async def test_a_shell_that_is_being_opened_is_not_opened_for_who_is_removed(leaving: OneLeaves) -> None:
    opening = asyncio.Event()

    async def for_ever() -> None:
        opening.set()
        await asyncio.Event().wait()

    leaving.backend.proceed.set()
    leaving.backend.before_opening = for_ever
    browser = await leaving.site.browser(leaving.ada, Accept="text/html")
    page = asyncio.create_task(browser.get(f"/repl/{leaving.repl.id}"))
    async with asyncio.timeout(DEADLINE_S):
        await opening.wait()
        await leaving.site.server.members.remove(leaving.repl.id, leaving.ada.actor.user_id)
        assert (await page).status_code == 303
    assert leaving.backend.opened == []


@pytest.mark.parametrize("now", ["removed", "viewer"])
async def test_a_page_that_is_built_meanwhile_opens_no_terminal_and_is_asked_for_again(
    leaving: OneLeaves, now: str
) -> None:
    browser = await leaving.site.browser(leaving.ada, Accept="text/html")
    page = asyncio.create_task(browser.get(f"/repl/{leaving.repl.id}"))
    async with asyncio.timeout(DEADLINE_S):
        await leaving.backend.starting.wait()
        if now == "removed":
            await leaving.site.server.members.remove(leaving.repl.id, leaving.ada.actor.user_id)
        else:
            await leaving.site.server.members.let_in(leaving.repl, "ada", ReplRole.VIEWER)
        leaving.backend.proceed.set()
        answer = await page
        assert (answer.status_code, answer.headers["location"]) == (303, f"/repl/{leaving.repl.id}")
        again = await browser.get(f"/repl/{leaving.repl.id}")
    assert again.status_code == (404 if now == "removed" else 200)
    assert leaving.backend.opened == []


def pressed_in(repl_id: str, command: str) -> set[asyncio.Task[Any]]:
    """On the one page of it that is open -> what that does."""
    [page] = [page for one, pages in open_pages.by_standing().items() if one.repl_id == repl_id for page in pages]
    [palette] = [element for element in page.elements.values() if isinstance(element, Palette)]
    [pressed] = [one for one in palette._event_listeners.values() if one.type == "command"]
    before = set(background_tasks.running_tasks)
    page.handle_event({"id": palette.id, "listener_id": pressed.id, "args": [f'"{command}"']})
    return set(background_tasks.running_tasks) - before


async def test_nothing_is_run_again_by_who_was_removed_while_it_started(leaving: OneLeaves) -> None:
    browser = await leaving.site.browser(leaving.ada, Accept="text/html")
    await browser.get(f"/repl/{leaving.repl.id}?start=0")
    running = pressed_in(leaving.repl.id, "run-again")
    await leaving.is_removed_while_it_starts()
    leaving.backend.proceed.set()
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(*running)
    await leaving.site.server.orchestrator.open(leaving.repl.id)
    assert leaving.backend.runs == []


@pytest.mark.parametrize("command", ["run", "new-terminal"])
@pytest.mark.parametrize("now", ["removed", "viewer"])
async def test_what_was_pressed_and_waits_is_not_done_for_who_lost_the_right(
    leaving: OneLeaves, command: str, now: str
) -> None:
    backend, orchestrator, repl_id = leaving.backend, leaving.site.server.orchestrator, leaving.repl.id
    backend.proceed.set()
    browser = await leaving.site.browser(leaving.ada, Accept="text/html")
    await browser.get(f"/repl/{repl_id}")
    assert backend.opened == ["ada"]
    async with asyncio.timeout(DEADLINE_S):
        await orchestrator.stop(repl_id)
        while (await orchestrator.get(repl_id)).phase is not Phase.STOPPED:
            await asyncio.sleep(0)
        backend.proceed.clear()
        backend.starting.clear()
        await orchestrator.start(repl_id)
        await backend.starting.wait()
        waits = asyncio.create_task(until(lambda: held_by(leaving) > 0))
        running = pressed_in(repl_id, command)
        await waits
        if now == "removed":
            await leaving.site.server.members.remove(repl_id, leaving.ada.actor.user_id)
        else:
            await leaving.site.server.members.let_in(leaving.repl, "ada", ReplRole.VIEWER)
        await asyncio.gather(*running)
        backend.proceed.set()
        await orchestrator.open(repl_id)
    assert (backend.opened, backend.runs) == (["ada"], [])


def held_by(leaving: OneLeaves) -> int:
    return sum(one.user_id == leaving.ada.actor.user_id for one in leaving.site.server.services.live.holders())


async def test_a_visit_runs_nothing_for_who_was_removed_while_it_started(leaving: OneLeaves) -> None:
    site, repl = leaving.site, leaving.repl
    cookie, _ = await entered(site, leaving.ada, repl)
    assert (await visit(site, f"http://{host_of(site, repl, 5000)}/", cookie, **PERSON)).status_code == 503
    running = site.server._waking._running[repl.id]
    await leaving.is_removed_while_it_starts()
    leaving.backend.proceed.set()
    async with asyncio.timeout(DEADLINE_S):
        await running
    assert site.server.orchestrator.runner_app(repl.id) is not None
    assert leaving.backend.runs == []


class Full(Echoing):
    """No copy can be made while its disk is `full`."""

    full = True

    async def seed(
        self, repl_id: str, files: Mapping[str, bytes], *, copy_of: str | None, version: str | None = None
    ) -> str | None:
        if self.full and copy_of is not None:
            raise BackendError("The disk is full.", retryable=True)
        return await super().seed(repl_id, files, copy_of=copy_of, version=version)


async def test_a_fork_that_comes_late_has_nothing_that_its_owner_may_not_see(tmp_path: Path) -> None:
    async with site_of(tmp_path, backend := Full()) as site:
        owner, eve, orchestrator = await site.user("owner"), await site.user("eve"), site.server.orchestrator
        repl = await site.repl(owner)
        await site.server.members.let_in(repl, "eve", ReplRole.VIEWER)
        browser = await site.browser(eve)
        fork = (await browser.post(f"/api/repls/{repl.id}/fork", json={"start": False})).json()["id"]
        own = await orchestrator.fork(repl.id, owner.actor.user_id, start=False)
        assert (await browser.delete(f"/api/repls/{fork}")).status_code == 200
        await site.server.members.remove(repl.id, eve.actor.user_id)
        backend.full = False
        changes = orchestrator.subscribe(repl_id=fork)
        assert (await browser.post(f"/api/repls/{fork}/undelete")).status_code == 200
        async with asyncio.timeout(DEADLINE_S):
            while (late := await orchestrator.get(fork)).phase is not Phase.FAILED:
                await anext(changes)
        assert "no longer shared with you" in (late.failure or "")
        assert fork not in backend.machine.workspaces
        await orchestrator.laid_out(own.id)


async def test_a_fork_is_of_the_quota_of_who_forks_and_a_start_of_the_owners(tmp_path: Path) -> None:
    async with site_of(tmp_path, max_repls=1, max_running=1) as site:
        owner, ada = await site.user("owner"), await site.user("ada")
        repl = await site.repl(owner, start=False)
        await site.server.members.let_in(repl, "ada", ReplRole.EDITOR)
        browser = await site.browser(ada)
        fork = f"/api/repls/{repl.id}/fork"
        made = await browser.post(fork, json={})
        assert made.status_code == 201
        assert (await browser.post(fork, json={})).json()["error"]["code"] == "too_many"
        assert (await browser.post(f"/api/repls/{repl.id}/start?wait=true")).json()["phase"] == "running"


async def test_an_owner_cannot_leave(site: Site) -> None:
    owner = await site.user("owner")
    repl = await site.repl(owner, start=False)
    answer = await (await site.browser(owner)).delete(f"/api/repls/{repl.id}/membership")
    assert answer.json()["error"]["message"] == "You own this REPL."
    assert await site.server.members.role_of(owner.actor.user_id, repl) is ReplRole.OWNER


async def test_the_newest_that_is_shared_is_shown(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(members_module, "SHARED_MOST", 1)
    owner, ada = await site.user("owner"), await site.user("ada")
    newest, opened_last = await site.repl(owner, start=False), await site.repl(owner, start=False)
    for repl in (opened_last, newest):
        await site.server.members.let_in(repl, "ada", ReplRole.VIEWER)
    [shown] = await site.server.members.shared_with(ada.actor.user_id, site.server.orchestrator)
    assert shown.repl.id == newest.id


async def test_names_are_not_guessed_at(site: Site) -> None:
    owner = await site.user("owner")
    await site.user("ada")
    repl = await site.repl(owner, start=False)
    browser = await site.browser(owner)
    path = f"/api/repls/{repl.id}/members"
    guesses = [{"name": f"n{number}", "role": "viewer"} for number in range(members_module.UNKNOWN_MOST + 5)]
    answers = await asyncio.gather(*(browser.post(path, json=guess) for guess in guesses))
    assert Counter(answer.status_code for answer in answers) == {404: members_module.UNKNOWN_MOST, 429: 5}
    assert (await browser.post(path, json={"name": "ada", "role": "viewer"})).status_code == 429


async def test_nobody_is_let_in_and_out_without_end(site: Site) -> None:
    owner = await site.user("owner")
    await site.user("ada")
    repl, members = await site.repl(owner, start=False), site.server.members
    for _ in range(members_module.LET_IN_MOST):
        await members.let_in(repl, "ada", ReplRole.VIEWER)
    with pytest.raises(DevexError, match="too many"):
        await members.let_in(repl, "ada", ReplRole.EDITOR)
    [ada] = await members.of(repl.id)
    assert ada.role is ReplRole.VIEWER
    await members.remove(repl.id, ada.user_id)  # at any time
    assert await members.of(repl.id) == []


async def test_what_others_share_replaces_no_card_of_ones_own(site: Site) -> None:
    owner, ada = await site.user("owner"), await site.user("ada")
    repl = await site.repl(owner, start=False)
    await site.repl(ada, start=False)
    await (await site.browser(ada, Accept="text/html")).get("/")
    [page] = [pages[0] for one, pages in open_pages.by_standing().items() if one.user_id == ada.actor.user_id]
    before = set(page.elements)
    async with asyncio.timeout(DEADLINE_S):
        await site.server.members.let_in(repl, "ada", ReplRole.VIEWER)
        await until(lambda: len(page.elements) > len(before))
        with_it = set(page.elements)
        assert before < with_it
        await site.server.members.remove(repl.id, ada.actor.user_id)
        await until(lambda: len(page.elements) < len(with_it))
    assert set(page.elements) == before


async def test_letting_the_same_in_again_disturbs_nobody(site: Site) -> None:
    owner, ada = await site.user("owner"), await site.user("ada")
    repl = await site.repl(owner)
    await site.server.members.let_in(repl, "ada", ReplRole.EDITOR)
    socket = await site.socket(f"/repls/{repl.id}/echo", token=ada.token)
    await site.server.members.let_in(repl, "ada", ReplRole.EDITOR)
    await socket.send("there")
    assert await socket.recv() == "there"


async def test_members_are_since_when_they_came(site: Site) -> None:
    owner = await site.user("owner")
    await site.user("ada")
    repl, before = await site.repl(owner), datetime.now(UTC)
    first = await site.server.members.let_in(repl, "ada", ReplRole.EDITOR)
    again = await site.server.members.let_in(repl, "ada", ReplRole.VIEWER)
    assert before <= first.since == again.since
