"""Who is let into a REPL, what they may do then, and that it ends at once when they are not."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from nicegui import background_tasks
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, Router
from starlette.types import ASGIApp
from websockets.exceptions import ConnectionClosed

from app import members as members_module
from app.access import Part
from app.accounts import Accounts
from app.members import Members
from app.pages import open_pages
from app.storage.models import MemberRow
from app.storage.records import TortoiseRecords
from components.palette import Palette
from orchestrator.backends.base import BackendError
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
    assert await members.part_of(owner.user_id, repl) is Part.OWNER
    assert await members.part_of(ada.user_id, repl) is None
    await members.let_in(repl, "bob", Part.VIEWER)
    for part in (Part.EDITOR, Part.VIEWER, Part.EDITOR):
        member = await members.let_in(repl, " ADA ", part)
        assert (member.user_id, member.name, member.part) == (ada.user_id, "Ada", part)
        assert await members.part_of(ada.user_id, repl) is part
    assert [(one.name, one.part) for one in await members.of(repl.id)] == [("Ada", Part.EDITOR), ("bob", Part.VIEWER)]
    trashed = replace(repl, goal=Goal.DELETE)
    assert await members.part_of(ada.user_id, trashed) is None
    assert await members.part_of(owner.user_id, trashed) is Part.OWNER
    await members.remove(repl.id, ada.user_id)
    await members.remove(repl.id, ada.user_id)
    assert await members.part_of(ada.user_id, repl) is None
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
            await members.let_in(repl, name, Part.EDITOR)
        return refused.value.code

    assert [await refusal(name) for name in ("owner", "nobody", "", "a\0b", "x" * 400)] == ["owner", *["no_user"] * 4]
    monkeypatch.setattr(members_module, "MEMBERS_MOST", 1)
    await members.let_in(repl, "ada", Part.VIEWER)
    assert await refusal("bob") == "too_many_members"
    await members.let_in(repl, "ada", Part.EDITOR)  # who is in is in
    await members.remove(repl.id, ada.user_id)
    await accounts.set_disabled(bob.user_id, True)
    assert await refusal("bob") == "no_user"
    await members.remove(repl.id, "a\0b")
    await records.delete(repl.id)
    with pytest.raises(NoSuchRepl):
        await members.let_in(repl, "ada", Part.EDITOR)


async def test_what_is_shared_is_listed_with_its_owner(site: Site) -> None:
    owner, ada = await site.user("owner"), await site.user("ada")
    shared, members = await site.repl(owner), site.server.members
    await site.repl(owner)  # another one
    await members.let_in(shared, "ada", Part.VIEWER)
    browser = await site.browser(ada)
    assert (await browser.get("/api/repls")).json() == []
    listed = (await browser.get("/api/shared")).json()
    assert [(one["owner"], one["repl"]["id"], one["repl"]["part"]) for one in listed] == [
        ("owner", shared.id, "viewer")
    ]
    assert (await browser.get(f"/api/repls/{shared.id}")).json()["part"] == "viewer"
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
    for part, writes in ((Part.VIEWER, False), (Part.EDITOR, True)):
        await site.server.members.let_in(repl, "ada", part)
        assert (await browser.get(f"/repls/{repl.id}/asked")).json()["writes"] is writes
        preview = await browser.post(f"/api/repls/{repl.id}/preview", json={"port": 5000})
        assert preview.status_code == (200 if writes else 403)


async def test_a_viewer_starts_nothing(site: Site) -> None:
    owner, ada = await site.user("owner"), await site.user("ada")
    repl = await site.repl(owner, start=False)
    await site.server.members.let_in(repl, "ada", Part.VIEWER)
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
        await server.members.let_in(one, "ada", Part.EDITOR)
    socket = await site.socket(f"/repls/{repl.id}/echo", token=ada.token)
    theirs = await site.socket(f"/repls/{repl.id}/echo", token=owner.token)
    elsewhere = await site.socket(f"/repls/{other.id}/echo", token=ada.token)
    await (await site.browser(ada, Accept="text/html")).get(f"/repl/{repl.id}")
    assert repl.id in {one.repl_id for one in open_pages.by_standing() if one.user_id == ada.actor.user_id}
    match how:
        case "removed":
            await server.members.remove(repl.id, ada.actor.user_id)
        case "only looks":
            await server.members.let_in(repl, "ada", Part.VIEWER)
        case "by another process":
            await MemberRow.filter(repl_id=repl.id, user_id=ada.actor.user_id).delete()
            await server.sweep()
        case "in the trash":
            await server.orchestrator.delete(repl.id)
            await server.sweep()
    with pytest.raises(ConnectionClosed) as closed:
        await socket.recv()
    assert (closed.value.rcvd and closed.value.rcvd.code) == 1008
    assert repl.id not in {one.repl_id for one in open_pages.by_standing() if one.user_id == ada.actor.user_id}
    for still_open in (elsewhere, theirs) if how != "in the trash" else (elsewhere,):
        await still_open.send("there")
        assert await still_open.recv() == "there"
    await until(lambda: not any(one.repl_id == repl.id and one.part is Part.EDITOR for one in server.live.holders()))


class SlowWithRuns(Slow):
    """Tells who pressed Run."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[str] = []

    def runner_app(self, repl_id: str) -> ASGIApp | None:
        below = super().runner_app(repl_id)

        async def run(request: Request) -> Response:
            if request.method == "POST":
                self.runs.append(request.scope["devex.viewer"].name)
            return JSONResponse({"running": False, "terminal": None, "command": None})

        return Router([Route("/run", run, methods=["GET", "POST"])], default=below) if below else None


class OneLeaves:
    """A REPL that starts when `backend.proceed` is set, by an editor who is removed meanwhile."""

    def __init__(self, site: Site, backend: SlowWithRuns) -> None:
        self.site, self.backend = site, backend

    async def begin(self) -> None:
        self.ada = await self.site.user("ada")
        self.repl = await self.site.repl(await self.site.user("owner"), start=False)
        await self.site.server.members.let_in(self.repl, "ada", Part.EDITOR)

    async def is_removed_while_it_starts(self) -> None:
        await until(lambda: self.repl.id in self.backend._starts)
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
    assert (await putting).status_code == 403
    leaving.backend.proceed.set()
    await leaving.site.server.orchestrator.open(leaving.repl.id)
    assert "x" not in leaving.backend.machine.workspaces[leaving.repl.id]


async def test_nothing_is_run_again_by_who_was_removed_while_it_started(leaving: OneLeaves) -> None:
    browser = await leaving.site.browser(leaving.ada, Accept="text/html")
    await browser.get(f"/repl/{leaving.repl.id}?start=0")
    [page] = [page for one, pages in open_pages.by_standing().items() if one.repl_id for page in pages]
    [palette] = [element for element in page.elements.values() if isinstance(element, Palette)]
    [pressed] = [one for one in palette._event_listeners.values() if one.type == "command"]
    before = set(background_tasks.running_tasks)
    page.handle_event({"id": palette.id, "listener_id": pressed.id, "args": ['"run-again"']})
    running = set(background_tasks.running_tasks) - before
    await leaving.is_removed_while_it_starts()
    assert page.is_deleted
    leaving.backend.proceed.set()
    await asyncio.gather(*running)
    assert leaving.site.server.orchestrator.runner_app(leaving.repl.id) is not None
    assert leaving.backend.runs == []


async def test_a_visit_runs_nothing_for_who_was_removed_while_it_started(leaving: OneLeaves) -> None:
    site, repl = leaving.site, leaving.repl
    cookie, _ = await entered(site, leaving.ada, repl)
    assert (await visit(site, f"http://{host_of(site, repl, 5000)}/", cookie, **PERSON)).status_code == 503
    running = site.server._waking._running[repl.id]
    await leaving.is_removed_while_it_starts()
    leaving.backend.proceed.set()
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
        await site.server.members.let_in(repl, "eve", Part.VIEWER)
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


async def test_names_are_not_guessed_at(site: Site) -> None:
    owner = await site.user("owner")
    await site.user("ada")
    repl = await site.repl(owner, start=False)
    browser = await site.browser(owner)
    path = f"/api/repls/{repl.id}/members"
    for number in range(members_module.UNKNOWN_MOST):
        assert (await browser.put(path, json={"name": f"n{number}", "part": "viewer"})).status_code == 404
    assert (await browser.put(path, json={"name": "ada", "part": "viewer"})).status_code == 429


async def test_letting_the_same_in_again_disturbs_nobody(site: Site) -> None:
    owner, ada = await site.user("owner"), await site.user("ada")
    repl = await site.repl(owner)
    await site.server.members.let_in(repl, "ada", Part.EDITOR)
    socket = await site.socket(f"/repls/{repl.id}/echo", token=ada.token)
    await site.server.members.let_in(repl, "ada", Part.EDITOR)
    await socket.send("there")
    assert await socket.recv() == "there"


async def test_members_are_since_when_they_came(site: Site) -> None:
    owner = await site.user("owner")
    await site.user("ada")
    repl, before = await site.repl(owner), datetime.now(UTC)
    first = await site.server.members.let_in(repl, "ada", Part.EDITOR)
    again = await site.server.members.let_in(repl, "ada", Part.VIEWER)
    assert before <= first.since == again.since
