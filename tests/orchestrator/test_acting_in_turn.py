"""Two servers on the same records and the same machine, one of which acts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from orchestrator.backends.memory import Machine, MemoryBackend
from orchestrator.domain import Activity, Goal, Limits, Phase
from orchestrator.records import MemoryRecords
from orchestrator.service import Orchestrator
from tests.orchestrator.conftest import make_template
from tests.orchestrator.fakes import ManualClock, UnreachableRecords, settle


class Turns:
    """Who leads is what a test says."""

    def __init__(self) -> None:
        self._leader = ""
        self._changed = asyncio.Event()

    def give(self, name: str) -> None:
        self._leader = name
        before, self._changed = self._changed, asyncio.Event()
        before.set()

    async def until(self, name: str, *, leads: bool) -> None:
        while (self._leader == name) is not leads:
            await self._changed.wait()


class Turn:
    """An election in which one candidate takes part."""

    def __init__(self, turns: Turns, name: str) -> None:
        self._turns = turns
        self._name = name

    async def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        while True:
            await self._turns.until(self._name, leads=True)
            working = asyncio.create_task(work())
            ending = asyncio.create_task(self._turns.until(self._name, leads=False))
            try:
                await asyncio.wait([working, ending], return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    return working.result()
            finally:
                for task in (working, ending):
                    task.cancel()
                await asyncio.wait([working, ending])


Serve = Callable[[str], AbstractAsyncContextManager[Orchestrator]]


@pytest.fixture
def turns() -> Turns:
    return Turns()


@pytest.fixture
def records() -> UnreachableRecords:
    return UnreachableRecords()


@pytest.fixture
def serve(clock: ManualClock, machine: Machine, records: MemoryRecords, turns: Turns) -> Serve:
    @asynccontextmanager
    async def serving(name: str) -> AsyncIterator[Orchestrator]:
        backend = MemoryBackend(machine)
        backend.election = Turn(turns, name)
        limits = Limits(idle_stop_s=600, trash_s=3600)
        templates = {"python": make_template()}
        async with Orchestrator(
            backend=backend, records=records, templates=templates, clock=clock, limits=limits
        ) as server:
            yield server

    return serving


@pytest.fixture
async def both(serve: Serve, turns: Turns) -> AsyncIterator[tuple[Orchestrator, Orchestrator]]:
    """The first one leads."""
    async with serve("a") as a, serve("b") as b:
        turns.give("a")
        await settle()
        yield a, b


async def test_what_is_asked_of_one_is_done_by_the_other(both: tuple[Orchestrator, Orchestrator]) -> None:
    a, b = both
    repl = await b.create("ann", "a", "python", start=False)
    await settle()
    assert (await b.laid_out(repl.id)).seeded
    changes = a.subscribe(owner_id="ann")
    assert (await b.open(repl.id)).phase is Phase.RUNNING
    assert (await anext(changes)).id == repl.id
    await b.stop(repl.id)
    await settle()
    assert (await a.get(repl.id)).phase is Phase.STOPPED


async def test_nothing_is_done_while_nobody_leads_and_everything_by_whoever_does(
    serve: Serve, turns: Turns, machine: Machine
) -> None:
    async with serve("a") as a, serve("b") as b:
        repl = await a.create("ann", "a", "python")
        await settle()
        assert machine.workspaces == {}
        for leader, change, running in (("b", a.start, 1), ("a", b.stop, 0), ("b", b.start, 1), ("a", a.stop, 0)):
            turns.give("")
            await settle()
            await change(repl.id)
            await settle()
            assert len(machine.sandboxes) == 1 - running
            turns.give(leader)
            await settle()
            assert len(machine.sandboxes) == running


async def test_both_know_what_keeps_it_awake_and_who_takes_over_goes_on(
    both: tuple[Orchestrator, Orchestrator], clock: ManualClock, turns: Turns
) -> None:
    a, b = both
    repl = await a.create("ann", "a", "python")
    await settle()
    await clock.advance(400)
    for server in both:  # as a pod tells all of them
        server.touch(repl.id, Activity.EDIT)
    told = b.subscribe(repl_id=repl.id)
    await clock.advance(400)
    assert (await anext(told)).id == repl.id  # a warning is due
    turns.give("b")
    await settle()
    await clock.advance(150)
    assert (await b.get(repl.id)).goal is Goal.RUN
    await clock.advance(60)
    assert "a file was edited" in str((await a.get(repl.id)).stop_reason)


async def test_hours_granted_by_one_keep_it_awake_at_the_other(
    both: tuple[Orchestrator, Orchestrator], clock: ManualClock
) -> None:
    a, b = both
    repl = await b.create("ann", "a", "python")
    await settle()
    await b.extend(repl.id, 1)
    await settle()
    await clock.advance(3500)
    assert (await a.get(repl.id)).phase is Phase.RUNNING
    await clock.advance(200)
    assert (await b.get(repl.id)).phase is Phase.STOPPED


async def test_pages_of_both_learn_what_is_gone_for_good(both: tuple[Orchestrator, Orchestrator]) -> None:
    a, b = both
    repl = await a.create("ann", "a", "python", start=False)
    await a.delete(repl.id)
    await settle()
    seen = [server.subscribe(owner_id="ann") for server in both]
    await b.purge(repl.id)
    await settle()
    for changes in seen:
        assert (await anext(changes)).id == repl.id
    assert await a.list("ann", trash=True) == await b.list("ann", trash=True) == []


async def test_who_cannot_take_over_now_tries_again(
    serve: Serve, turns: Turns, clock: ManualClock, records: UnreachableRecords
) -> None:
    async with serve("a") as a:
        repl = await a.create("ann", "a", "python")
        records.down = True
        turns.give("a")
        await settle()
        records.down = False
        await clock.advance(5)
        assert (await a.get(repl.id)).phase is Phase.RUNNING
