"""Faults: each ends in words a user can act on, and asking again recovers."""

import asyncio
import random
from contextlib import suppress

import pytest

from orchestrator.backends.memory import Machine, MemoryBackend
from orchestrator.domain import Goal, Observation, Phase, SandboxPhase
from orchestrator.records import MemoryRecords
from orchestrator.service import Orchestrator
from runner.errors import DevexError
from tests.orchestrator import fakes
from tests.orchestrator.conftest import MakeOrchestrator
from tests.orchestrator.fakes import ManualClock, settle


async def running(orchestrator: Orchestrator) -> str:
    repl = await orchestrator.create("ann", "a", "python")
    return (await orchestrator.open(repl.id)).id


async def test_a_start_that_fails_says_why(serve: MakeOrchestrator) -> None:
    async with serve(fakes.FailsDuringStart) as orchestrator:
        repl = await orchestrator.create("ann", "a", "python")
        with pytest.raises(DevexError, match="The interpreter crashed"):
            await orchestrator.open(repl.id)
        failed = await orchestrator.get(repl.id)
        assert (failed.phase, failed.goal) == (Phase.FAILED, Goal.STOP)
        assert failed.failure == "The interpreter crashed."


async def test_a_failed_one_recovers_when_asked_again(serve: MakeOrchestrator) -> None:
    async with serve(fakes.FailsDuringStart) as orchestrator:
        repl = await orchestrator.create("ann", "a", "python")
        await settle()
    async with serve() as orchestrator:
        recovered = await orchestrator.open(repl.id)
        assert (recovered.phase, recovered.failure, recovered.epoch) == (Phase.RUNNING, None, 2)


async def test_a_start_that_hangs_fails_at_its_deadline(serve: MakeOrchestrator, clock: ManualClock) -> None:
    async with serve(fakes.HangsOnStart) as orchestrator:
        repl = await orchestrator.create("ann", "a", "python")
        await clock.advance(29)
        assert (await orchestrator.get(repl.id)).phase is Phase.STARTING
        await clock.advance(2)
        failed = await orchestrator.get(repl.id)
        assert (failed.phase, failed.failure) == (Phase.FAILED, "It did not start within 30 seconds.")
        assert await orchestrator.backend.observe() == {}, "what hung was not cleared away"


async def test_opening_has_a_deadline_of_its_own(serve: MakeOrchestrator, clock: ManualClock) -> None:
    async with serve(fakes.HangsOnStart) as orchestrator:
        repl = await orchestrator.create("ann", "a", "python")
        waiting = asyncio.create_task(orchestrator.open(repl.id, deadline_s=5))
        await clock.advance(6)
        with pytest.raises(DevexError, match="not ready after 5 seconds"):
            await waiting


async def test_a_full_machine_is_asked_again(serve: MakeOrchestrator, clock: ManualClock) -> None:
    async with serve(fakes.RefusesFirstStarts) as orchestrator:
        repl = await orchestrator.create("ann", "a", "python")
        await settle()
        waiting = await orchestrator.get(repl.id)
        assert (waiting.phase, waiting.failure) == (Phase.STARTING, "The machine is full.")
        await clock.advance(3)
        started = await orchestrator.get(repl.id)
        assert (started.phase, started.failure) == (Phase.RUNNING, None)


async def test_what_cannot_be_cured_fails_at_once_and_says_what_helps(serve: MakeOrchestrator) -> None:
    async with serve(fakes.RefusesStarts) as orchestrator:
        repl = await orchestrator.create("ann", "a", "python")
        await settle()
        assert (await orchestrator.get(repl.id)).failure == "Sandboxes cannot run on this machine. Install bubblewrap."


async def test_a_sandbox_that_ends_by_itself_fails_and_recovers(orchestrator: Orchestrator) -> None:
    repl_id = await running(orchestrator)
    backend = orchestrator.backend
    assert isinstance(backend, MemoryBackend)
    backend.lose(repl_id, "It ran out of memory.")
    await settle()
    failed = await orchestrator.get(repl_id)
    assert (failed.phase, failed.failure) == (Phase.FAILED, "It ran out of memory.")
    assert (await orchestrator.open(repl_id)).epoch == 2


async def test_a_stop_that_hangs_fails_and_a_later_start_recovers(serve: MakeOrchestrator, clock: ManualClock) -> None:
    async with serve(fakes.HangsOnStop) as orchestrator:
        repl_id = await running(orchestrator)
        await orchestrator.stop(repl_id)
        await clock.advance(121)
        failed = await orchestrator.get(repl_id)
        assert failed.phase is Phase.FAILED
        assert "did not stop within 120 seconds" in (failed.failure or "")
        backend = orchestrator.backend
        assert isinstance(backend, fakes.HangsOnStop)
        backend.hanging = False
        waiting = asyncio.create_task(orchestrator.open(repl_id, deadline_s=300))
        await clock.advance(200)
        assert (await waiting).epoch == 2
        assert (await orchestrator.get(repl_id)).phase is Phase.RUNNING


async def test_a_stop_that_cannot_save_keeps_the_sandbox_and_says_so(
    serve: MakeOrchestrator, clock: ManualClock, machine: Machine
) -> None:
    async with serve(fakes.CannotSaveOnStop) as orchestrator:
        repl_id = await running(orchestrator)
        await orchestrator.stop(repl_id)
        await clock.advance(5)
        stopping = await orchestrator.get(repl_id)
        assert (stopping.phase, stopping.failure) == (Phase.STOPPING, "The disk is full.")
        assert machine.sandboxes[repl_id].phase is SandboxPhase.RUNNING
        backend = orchestrator.backend
        assert isinstance(backend, fakes.CannotSaveOnStop)
        backend.failing = False
        await clock.advance(30)
        stopped = await orchestrator.get(repl_id)
        assert (stopped.phase, stopped.failure) == (Phase.STOPPED, None)


async def test_a_delete_is_legal_even_when_the_stop_hangs(serve: MakeOrchestrator, clock: ManualClock) -> None:
    async with serve(fakes.HangsOnStop) as orchestrator:
        repl_id = await running(orchestrator)
        await orchestrator.delete(repl_id)
        await clock.advance(61)
        assert (await orchestrator.get(repl_id)).goal is Goal.DELETE
        backend = orchestrator.backend
        assert isinstance(backend, fakes.HangsOnStop)
        backend.hanging = False
        await orchestrator.purge(repl_id)
        await clock.advance(200)
        with pytest.raises(DevexError, match="no such REPL"):
            await orchestrator.get(repl_id)


async def test_a_fault_of_ours_is_retried_then_said_in_words(
    serve: MakeOrchestrator, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(fakes.BreaksOnSeed) as orchestrator:
        repl = await orchestrator.create("ann", "a", "python")
        await clock.advance(301)
        failed = await orchestrator.get(repl.id)
        assert (failed.phase, failed.goal) == (Phase.FAILED, Goal.STOP)
        assert "a bug" in caplog.text
        backend = orchestrator.backend
        assert isinstance(backend, fakes.BreaksOnSeed)
        backend.broken = False
        assert (await orchestrator.open(repl.id)).phase is Phase.RUNNING


async def test_lost_events_are_seen_at_the_resync(serve: MakeOrchestrator, clock: ManualClock) -> None:
    async with serve(fakes.LosesEvents, start_deadline_s=200) as orchestrator:
        await settle()  # the first resync is over
        repl = await orchestrator.create("ann", "a", "python")
        await settle()
        assert (await orchestrator.get(repl.id)).phase is Phase.STARTING
        await clock.advance(61)
        assert (await orchestrator.get(repl.id)).phase is Phase.RUNNING


async def test_a_restarted_server_takes_over_what_runs(
    serve: MakeOrchestrator, clock: ManualClock, machine: Machine
) -> None:
    async with serve() as orchestrator:
        repl_id = await running(orchestrator)
    await clock.advance(7200)
    async with serve() as orchestrator:
        await settle()
        adopted = await orchestrator.get(repl_id)
        assert (adopted.phase, adopted.epoch) == (Phase.RUNNING, 1)
        assert orchestrator.leases.get(repl_id) is not None
        assert machine.sandboxes[repl_id].epoch == 1


async def test_a_restarted_machine_leaves_them_stopped_and_says_so(serve: MakeOrchestrator, machine: Machine) -> None:
    async with serve() as orchestrator:
        repl_id = await running(orchestrator)
    machine.sandboxes.clear()
    async with serve() as orchestrator:
        await settle()
        stopped = await orchestrator.get(repl_id)
        assert (stopped.phase, stopped.goal) == (Phase.STOPPED, Goal.STOP)
        assert stopped.stop_reason == "The server was restarted."
        assert (await orchestrator.open(repl_id)).epoch == 2


async def test_orphans_and_outdated_epochs_are_removed(
    serve: MakeOrchestrator, machine: Machine, records: MemoryRecords
) -> None:
    async with serve() as orchestrator:
        repl_id = await running(orchestrator)
    machine.sandboxes["orphan"] = Observation(repl_id="orphan", epoch=9, phase=SandboxPhase.RUNNING)
    machine.sandboxes["crashed"] = Observation(repl_id="crashed", epoch=9, phase=SandboxPhase.FAILED)
    repl = await records.get(repl_id)
    assert repl is not None
    await records.update(repl, epoch=5, phase=Phase.STOPPED, goal=Goal.STOP)
    async with serve():
        await settle()
    assert machine.sandboxes == {}


async def test_a_start_is_carried_on_by_the_next_server(serve: MakeOrchestrator) -> None:
    async with serve(fakes.HangsOnStart) as orchestrator:
        repl = await orchestrator.create("ann", "a", "python")
        await settle()
        orchestrator.backend.machine.sandboxes.clear()  # type: ignore[attr-defined]
    async with serve() as orchestrator:
        await settle()
        started = await orchestrator.get(repl.id)
        assert (started.phase, started.epoch) == (Phase.RUNNING, 2)


async def test_many_wishes_at_once_end_at_the_last(orchestrator: Orchestrator, machine: Machine) -> None:
    repl_id = await running(orchestrator)
    for _ in range(20):
        await orchestrator.stop(repl_id)
        await orchestrator.start(repl_id)
    assert (await orchestrator.open(repl_id)).phase is Phase.RUNNING
    await orchestrator.stop(repl_id)
    await settle()
    assert (await orchestrator.get(repl_id)).phase is Phase.STOPPED
    assert machine.sandboxes == {}


@pytest.mark.parametrize("seed", range(12))
async def test_after_any_bad_luck_wishes_come_true(
    serve: MakeOrchestrator, clock: ManualClock, machine: Machine, seed: int
) -> None:
    chance = random.Random(seed)
    async with serve(fakes.Unreliable, resync_s=20) as orchestrator:
        backend = orchestrator.backend
        assert isinstance(backend, fakes.Unreliable)
        backend.chance, backend.misbehaving = chance, True
        ids = [(await orchestrator.create("ann", f"{number}", "python")).id for number in range(4)]
        for _ in range(30):
            wish = chance.choice([orchestrator.start, orchestrator.stop, orchestrator.delete, orchestrator.undelete])
            with suppress(DevexError):  # what is in the trash is not started
                await wish(chance.choice(ids))
            await clock.advance(chance.choice([0, 0.1, 5, 40]))
        backend.misbehaving = False
        for repl_id in ids:
            await orchestrator.undelete(repl_id)
        await clock.advance(400)  # what bad luck left behind runs into its deadlines
        for repl_id in ids[:2]:
            await orchestrator.start(repl_id)
        for repl_id in ids[2:]:
            await orchestrator.stop(repl_id)
        await clock.advance(100)
        phases = [(await orchestrator.get(repl_id)).phase for repl_id in ids]
        assert phases[:2] == [Phase.RUNNING, Phase.RUNNING]
        assert not {Phase.STARTING, Phase.RUNNING, Phase.STOPPING} & set(phases[2:])
        assert {repl_id for repl_id, seen in machine.sandboxes.items() if seen.alive} == set(ids[:2])
