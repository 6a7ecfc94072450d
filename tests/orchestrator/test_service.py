"""What pages, the API and the gateway see of a REPL's life."""

import asyncio
from dataclasses import replace

import pytest

from orchestrator.backends.memory import Machine
from orchestrator.domain import Goal, Phase, Repl
from orchestrator.records import MemoryRecords
from orchestrator.service import LAID_OUT_S, Orchestrator
from runner.errors import DevexError
from tests.contracts.records import make_repl
from tests.orchestrator.conftest import MakeOrchestrator, refusal
from tests.orchestrator.fakes import BreaksOnSeed, ManualClock, TellsNothing, settle

DAY_S = 86400


async def test_create_and_open_runs_with_the_templates_files(orchestrator: Orchestrator, machine: Machine) -> None:
    repl = await orchestrator.create("ann", "My <b>REPL</b>", "python")
    assert (repl.goal, repl.phase, repl.epoch) == (Goal.RUN, Phase.STOPPED, 0)
    running = await orchestrator.open(repl.id)
    assert (running.phase, running.epoch, running.name) == (Phase.RUNNING, 1, "My <b>REPL</b>")
    assert machine.workspaces[repl.id] == {"main.py": b"print('hello')\n"}
    assert orchestrator.runner_app(repl.id) is not None


async def test_opening_what_runs_returns_at_once(orchestrator: Orchestrator) -> None:
    repl = await orchestrator.create("ann", "a", "python")
    first = await orchestrator.open(repl.id)
    assert await orchestrator.open(repl.id) == first


async def test_create_without_start_lays_out_its_files_only(orchestrator: Orchestrator, machine: Machine) -> None:
    repl = await orchestrator.create("ann", "a", "python", start=False)
    await settle()
    stopped = await orchestrator.get(repl.id)
    assert (stopped.phase, stopped.seeded, stopped.epoch) == (Phase.STOPPED, True, 0)
    assert "main.py" in machine.workspaces[repl.id]
    assert machine.sandboxes == {}


async def test_a_double_submit_makes_one(orchestrator: Orchestrator) -> None:
    creates = (orchestrator.create("ann", "a", "python", request_id="r1") for _ in range(5))
    made = await asyncio.gather(*creates)
    assert len({repl.id for repl in made}) == 1
    other = await orchestrator.create("bob", "a", "python", request_id="r1")
    assert other.id != made[0].id


async def test_stop_then_open_starts_the_next_epoch_with_the_same_files(
    orchestrator: Orchestrator, machine: Machine
) -> None:
    repl = await orchestrator.create("ann", "a", "python")
    await orchestrator.open(repl.id)
    machine.workspaces[repl.id]["mine.txt"] = b"kept"
    await orchestrator.stop(repl.id)
    await settle()
    stopped = await orchestrator.get(repl.id)
    assert (stopped.phase, stopped.stop_reason) == (Phase.STOPPED, "It was stopped by hand.")
    assert orchestrator.runner_app(repl.id) is None
    running = await orchestrator.open(repl.id)
    assert (running.epoch, running.stop_reason) == (2, None)
    assert machine.workspaces[repl.id]["mine.txt"] == b"kept"


async def test_opening_while_it_stops_waits_and_starts_it(orchestrator: Orchestrator) -> None:
    repl = await orchestrator.create("ann", "a", "python")
    await orchestrator.open(repl.id)
    await orchestrator.stop(repl.id)
    assert (await orchestrator.open(repl.id)).epoch in (1, 2)
    assert (await orchestrator.get(repl.id)).phase is Phase.RUNNING


async def test_stopping_while_somebody_waits_tells_them(orchestrator: Orchestrator) -> None:
    repl = await orchestrator.create("ann", "a", "python", start=False)
    waiting = asyncio.create_task(orchestrator.open(repl.id))
    await asyncio.sleep(0)
    await orchestrator.stop(repl.id)
    with pytest.raises(DevexError, match="It was stopped by hand"):
        await waiting
    assert (await orchestrator.get(repl.id)).goal is Goal.STOP


async def test_names_change_and_addresses_stay(orchestrator: Orchestrator) -> None:
    repl = await orchestrator.create("ann", "First name", "python", start=False)
    renamed = await orchestrator.rename(repl.id, "  Second  ")
    assert (renamed.name, renamed.slug) == ("Second", repl.slug)
    assert await orchestrator.get_by_slug(repl.slug) == await orchestrator.get(repl.id)
    assert await refusal(orchestrator.rename(repl.id, "\n")) == "name"


async def test_a_fork_has_the_files_of_now_and_its_own_life(orchestrator: Orchestrator, machine: Machine) -> None:
    source = await orchestrator.create("ann", "a", "python")
    await orchestrator.open(source.id)
    machine.workspaces[source.id]["main.py"] = b"changed"
    fork = await orchestrator.fork(source.id, "bob")
    assert (fork.owner_id, fork.name, fork.copy_of) == ("bob", "a (copy)", source.id)
    await orchestrator.open(fork.id)
    machine.workspaces[fork.id]["main.py"] = b"again"
    assert machine.workspaces[source.id]["main.py"] == b"changed"


async def test_a_fork_of_a_version_has_the_files_of_then(orchestrator: Orchestrator, machine: Machine) -> None:
    source = await orchestrator.create("ann", "a", "python")
    await orchestrator.open(source.id)
    await orchestrator.stop(source.id)
    await settle()
    then = (await orchestrator.get(source.id)).saved_version
    machine.workspaces[source.id]["main.py"] = b"changed"
    fork = await orchestrator.fork(source.id, "ann", version=then, start=False)
    await settle()
    assert machine.workspaces[fork.id] == {"main.py": b"print('hello')\n"}
    assert machine.sandboxes == {}
    laid_out = await orchestrator.get(fork.id)
    assert (laid_out.seeded, laid_out.saved_version is not None) == (True, True)


class TestAnotherProcess:
    @pytest.fixture
    def records(self) -> MemoryRecords:
        return TellsNothing()

    @pytest.mark.parametrize("listed", [True, False])
    async def test_what_it_has_made_is_laid_out_for_who_looks(
        self, serve: MakeOrchestrator, machine: Machine, records: MemoryRecords, listed: bool
    ) -> None:
        async with serve(resync_s=DAY_S) as orchestrator:
            await settle()
            made = replace(make_repl(), owner_id="ann", seeded=False)
            await records.insert(made)
            await settle()
            assert machine.workspaces == {}
            if listed:
                assert [repl.id for repl in await orchestrator.list("ann")] == [made.id]
                await settle()
            else:
                assert (await orchestrator.laid_out(made.id)).seeded
            assert "main.py" in machine.workspaces[made.id]

    async def test_a_start_whose_caller_is_cut_off_once_it_is_recorded_goes_on(
        self, serve: MakeOrchestrator, records: MemoryRecords, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with serve(resync_s=DAY_S) as orchestrator:
            repl = await orchestrator.create("ann", "a", "python", start=False)
            await settle()
            update, recorded = records.update, asyncio.Event()

            async def answers_late(repl: Repl, **changes: object) -> Repl:
                updated = await update(repl, **changes)
                if not recorded.is_set():
                    recorded.set()
                    await asyncio.Event().wait()
                return updated

            monkeypatch.setattr(records, "update", answers_late)
            starting = asyncio.create_task(orchestrator.start(repl.id))
            await recorded.wait()
            starting.cancel()
            await settle()
            assert (await orchestrator.get(repl.id)).phase is Phase.RUNNING


async def test_who_reads_files_does_not_wait_for_ever(serve: MakeOrchestrator, clock: ManualClock) -> None:
    async with serve(BreaksOnSeed) as orchestrator:
        repl = await orchestrator.create("ann", "a", "python", start=False)
        reading = asyncio.create_task(refusal(orchestrator.laid_out(repl.id)))
        await clock.advance(LAID_OUT_S)
        assert await reading == "not_laid_out"
        await clock.advance(DAY_S)
        assert (await orchestrator.laid_out(repl.id)).phase is Phase.FAILED


async def test_limits_hold_under_concurrency(serve: MakeOrchestrator) -> None:
    async with serve(max_repls=3, max_running=2) as orchestrator:
        creates = (orchestrator.create("ann", "a", "python", start=False) for _ in range(8))
        made = await asyncio.gather(*creates, return_exceptions=True)
        assert sum(not isinstance(result, Exception) for result in made) == 3
        assert await refusal(orchestrator.create("ann", "a", "python")) == "too_many"
        starts = (orchestrator.start(repl.id) for repl in await orchestrator.list("ann"))
        results = await asyncio.gather(*starts, return_exceptions=True)
        assert [result.code for result in results if isinstance(result, DevexError)] == ["too_many_running"]
        assert len(await orchestrator.list("bob")) == 0


async def test_unknown_things_are_refused_in_words(orchestrator: Orchestrator) -> None:
    assert await refusal(orchestrator.create("ann", "a", "cobol")) == "template"
    assert await refusal(orchestrator.create("ann", "", "python")) == "name"
    assert await refusal(orchestrator.open("nothing")) == "not_found"


async def test_subscribers_see_every_phase_of_their_owner(orchestrator: Orchestrator) -> None:
    changes = orchestrator.subscribe(owner_id="ann")
    await orchestrator.create("bob", "b", "python")
    repl = await orchestrator.create("ann", "a", "python")
    phases = []
    async with asyncio.timeout(10):
        async for change in changes:
            assert change.id == repl.id
            phases.append(change.phase)
            if change.phase is Phase.RUNNING:
                break
    assert phases[-2:] == [Phase.STARTING, Phase.RUNNING]


async def test_a_program_of_the_template_gets_its_environment(
    orchestrator: Orchestrator, records: MemoryRecords
) -> None:
    repl = await orchestrator.create("ann", "a", "python")
    spec = orchestrator._spec(repl)
    assert spec.environment["HOST"] == "0.0.0.0"
    assert spec.environment["PORT"] == "3000"
    assert spec.environment["MODE"] == "test"
    assert spec.environment["DEVEX_REPL_ID"] == repl.id
    assert spec.run_command == "python3 main.py"
