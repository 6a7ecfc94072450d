"""The store while REPLs stop and rest: saved before the end, saved later, thinned out; and a store that fails."""

import asyncio

import pytest

from orchestrator.backends.memory import Machine
from orchestrator.domain import Goal, Limits, Phase
from orchestrator.service import Orchestrator
from tests.orchestrator.conftest import MakeOrchestrator
from tests.orchestrator.fakes import DiskGoesWithSandbox, FirstHistoriesAreBroken, ManualClock, StoreIsDown, settle

DAY_S = 86400


async def test_stopping_with_the_server_saves_first(
    serve: MakeOrchestrator, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve() as orchestrator:
        repls = [await orchestrator.create("ann", name, "python") for name in "abc"]
        for repl in repls:
            await orchestrator.open(repl.id)
            machine.workspaces[repl.id]["mine.txt"] = b"new"
        orchestrator.stop_on_exit = True
    assert machine.sandboxes == {}
    assert all(machine.versions[repl.id][-1]["mine.txt"] == b"new" for repl in repls)
    assert "not in the store" not in caplog.text
    async with serve() as after:
        stopped = await after.get(repls[0].id)
        assert (stopped.phase, stopped.goal, stopped.unsaved) == (Phase.STOPPED, Goal.STOP, False)
        assert stopped.stop_reason == "The server was stopped."


async def test_without_being_told_the_server_leaves_them_running(serve: MakeOrchestrator, machine: Machine) -> None:
    async with serve() as orchestrator:
        repl = await orchestrator.create("ann", "a", "python")
        await orchestrator.open(repl.id)
    assert machine.sandboxes[repl.id].alive


@pytest.mark.parametrize("hangs", [False, True])
async def test_what_could_not_be_saved_in_time_is_said_and_saved_later(
    serve: MakeOrchestrator, machine: Machine, clock: ManualClock, caplog: pytest.LogCaptureFixture, hangs: bool
) -> None:
    class Down(StoreIsDown):
        hanging = hangs

    async def serving() -> str:
        async with serve(Down) as orchestrator:
            repl = await orchestrator.create("ann", "precious", "python")
            await orchestrator.open(repl.id)
            orchestrator.stop_on_exit = True
        return repl.id

    ending = asyncio.create_task(serving())
    await clock.advance(Limits().shutdown_deadline_s - 1)
    assert not ending.done()
    await clock.advance(2)
    repl_id = await asyncio.wait_for(ending, 10)
    reason = "There was not enough time." if hangs else "The store does not answer."
    assert f"“precious” is not in the store as it is: {reason}" in caplog.text
    machine.sandboxes.clear()  # as the local backend does when it ends
    async with serve() as after:
        await settle()
        saved = await after.get(repl_id)
        assert (saved.phase, saved.unsaved, saved.unsafe) == (Phase.STOPPED, False, None)
        assert saved.saved_version is not None


async def test_a_store_that_hangs_keeps_nobody_from_starting_or_ending(
    serve: MakeOrchestrator, machine: Machine, clock: ManualClock
) -> None:
    """Also while more are being saved than the reconciler works on at once."""

    class Down(StoreIsDown):
        hanging = True

    async with serve(Down, max_repls=200, max_running=200) as orchestrator:
        backend = orchestrator.backend
        assert isinstance(backend, Down)
        resting = [await orchestrator.create("ann", str(number), "python", start=False) for number in range(100)]
        await settle()
        later = await orchestrator.create("ann", "later", "python")
        assert (await orchestrator.open(later.id)).phase is Phase.RUNNING
        await orchestrator.stop(later.id)
        await clock.advance(Limits().save_deadline_s + 1)
        stopped = await orchestrator.get(later.id)
        assert (stopped.phase, stopped.unsaved, stopped.unsafe) == (Phase.STOPPED, True, "It took too long.")
        assert (await orchestrator.open(later.id)).phase is Phase.RUNNING
        assert (await orchestrator.open(resting[0].id)).phase is Phase.RUNNING
        await orchestrator.delete(resting[1].id)
        await orchestrator.purge(resting[1].id)
        await settle()
        assert resting[1].id not in machine.workspaces
        backend.down = False
        await clock.advance(Limits().seed_deadline_s + Limits().retry_most_s)
        saved = await orchestrator.get(resting[2].id)
        assert (saved.unsaved, saved.unsafe) == (False, None)


async def test_versions_of_what_rests_are_thinned_out_daily(
    orchestrator: Orchestrator, machine: Machine, clock: ManualClock
) -> None:
    resting = await orchestrator.create("ann", "a", "python", start=False)
    deleted = await orchestrator.create("ann", "b", "python", start=False)
    await orchestrator.delete(deleted.id)
    running = await orchestrator.open((await orchestrator.create("ann", "c", "python")).id)
    await orchestrator.extend(running.id, 12)
    await clock.advance(2 * 3600)
    assert machine.collected == [(resting.id, 0)]
    await orchestrator.open(resting.id)
    await orchestrator.stop(resting.id)
    await clock.advance(DAY_S)
    assert machine.collected[1:] == [(resting.id, 1), (running.id, 1)]  # which fell idle meanwhile


async def test_a_broken_history_keeps_no_other_from_being_thinned_out(
    serve: MakeOrchestrator, machine: Machine, clock: ManualClock
) -> None:
    async with serve(FirstHistoriesAreBroken) as orchestrator:
        repls = [await orchestrator.create("ann", name, "python", start=False) for name in "abc"]
        await clock.advance(2 * 3600)
        assert machine.collected == [(repls[2].id, 0)]
        await clock.advance(DAY_S)
        assert len(machine.collected) == 4


@pytest.mark.parametrize("hangs", [False, True])
async def test_what_would_be_lost_with_its_sandbox_runs_on_until_it_is_saved(
    serve: MakeOrchestrator, machine: Machine, clock: ManualClock, hangs: bool
) -> None:
    async with serve(DiskGoesWithSandbox) as orchestrator:
        backend = orchestrator.backend
        assert isinstance(backend, DiskGoesWithSandbox)
        backend.hanging = hangs
        repl = await orchestrator.create("ann", "a", "python")
        await orchestrator.open(repl.id)
        machine.workspaces[repl.id]["mine.txt"] = b"new"
        await orchestrator.stop(repl.id)
        await clock.advance(3600)
        waiting = await orchestrator.get(repl.id)
        assert (waiting.phase, waiting.failure, machine.sandboxes[repl.id].alive) == (Phase.STOPPING, None, True)
        assert waiting.unsafe == ("It took too long." if hangs else "The store does not answer.")

        await orchestrator.open(repl.id)  # somebody wants to work in it
        await orchestrator.stop(repl.id)
        await clock.advance(3600)
        assert (await orchestrator.get(repl.id)).phase is Phase.STOPPING

        backend.down = False
        await clock.advance(Limits().retry_most_s + Limits().save_deadline_s)
        stopped = await orchestrator.get(repl.id)
        assert (stopped.phase, stopped.unsafe, stopped.failure) == (Phase.STOPPED, None, None)
        assert machine.sandboxes == {}
        assert machine.workspaces[repl.id]["mine.txt"] == b"new"


async def test_what_is_removed_for_good_needs_no_store(
    serve: MakeOrchestrator, machine: Machine, clock: ManualClock
) -> None:
    async with serve(DiskGoesWithSandbox) as orchestrator:
        repl = await orchestrator.create("ann", "a", "python")
        await orchestrator.open(repl.id)
        await orchestrator.delete(repl.id)
        await clock.advance(3600)
        assert machine.sandboxes[repl.id].alive
        await orchestrator.purge(repl.id)
        await clock.advance(Limits().stop_deadline_s)
        assert (machine.sandboxes, machine.workspaces) == ({}, {})
