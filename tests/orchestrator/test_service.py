"""What pages, the API and the gateway see of a REPL's life."""

import asyncio
from dataclasses import replace

import pytest

from orchestrator.backends.memory import Machine
from orchestrator.domain import Activity, Goal, Limits, Phase
from orchestrator.records import MemoryRecords
from orchestrator.service import LAID_OUT_S, Orchestrator
from runner.errors import DevexError
from tests.contracts.records import make_repl
from tests.orchestrator.conftest import MakeOrchestrator
from tests.orchestrator.fakes import (
    BreaksOnSeed,
    FirstHistoriesAreBroken,
    HangsOnPurge,
    LooksSlowly,
    ManualClock,
    StoreIsDown,
    settle,
)

DAY_S = 86400
SAMPLE_S = Limits().cpu_sample_s


async def refusal(work: object) -> str:
    """The code that a call is refused with."""
    with pytest.raises(DevexError) as caught:
        await work  # type: ignore[misc]
    assert caught.value.message.endswith(".")
    assert caught.value.action.endswith(".")
    return caught.value.code


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


@pytest.mark.parametrize("listed", [True, False])
async def test_what_another_process_has_made_is_laid_out_for_who_looks(
    serve: MakeOrchestrator, machine: Machine, records: MemoryRecords, listed: bool
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


async def test_who_reads_files_does_not_wait_for_ever(serve: MakeOrchestrator, clock: ManualClock) -> None:
    async with serve(BreaksOnSeed) as orchestrator:
        repl = await orchestrator.create("ann", "a", "python", start=False)
        reading = asyncio.create_task(refusal(orchestrator.laid_out(repl.id)))
        await clock.advance(LAID_OUT_S)
        assert await reading == "not_laid_out"
        await clock.advance(DAY_S)
        assert (await orchestrator.laid_out(repl.id)).phase is Phase.FAILED


async def test_deleted_ones_stop_and_wait_in_the_trash(
    serve: MakeOrchestrator, machine: Machine, clock: ManualClock
) -> None:
    async with serve(resync_s=DAY_S, cpu_sample_s=DAY_S) as orchestrator:
        repl = await orchestrator.create("ann", "a", "python")
        await orchestrator.open(repl.id)
        await orchestrator.delete(repl.id)
        await settle()
        assert machine.sandboxes == {}
        saved = await orchestrator.get(repl.id)
        assert (saved.saved_version is not None, saved.unsaved) == (True, False)
        assert await orchestrator.list("ann") == []
        assert [deleted.id for deleted in await orchestrator.list("ann", trash=True)] == [repl.id]
        assert await refusal(orchestrator.start(repl.id)) == "in_trash"
        assert await refusal(orchestrator.fork(repl.id, "bob")) == "in_trash"

        await clock.advance(29 * DAY_S)
        await orchestrator.undelete(repl.id)
        assert (await orchestrator.open(repl.id)).phase is Phase.RUNNING
        assert "main.py" in machine.workspaces[repl.id]


async def test_the_trash_is_emptied_after_its_time(
    serve: MakeOrchestrator, machine: Machine, clock: ManualClock
) -> None:
    async with serve(resync_s=DAY_S, cpu_sample_s=DAY_S) as orchestrator:
        repl = await orchestrator.create("ann", "a", "python")
        await orchestrator.delete(repl.id)
        await clock.advance(30 * DAY_S + 1)
        assert await refusal(orchestrator.get(repl.id)) == "not_found"
        assert machine.workspaces == {}


async def test_purge_needs_the_trash_and_is_at_once(orchestrator: Orchestrator, machine: Machine) -> None:
    repl = await orchestrator.create("ann", "a", "python")
    await orchestrator.open(repl.id)
    assert await refusal(orchestrator.purge(repl.id)) == "not_in_trash"
    await orchestrator.delete(repl.id)
    await orchestrator.purge(repl.id)
    await settle()
    assert await refusal(orchestrator.get(repl.id)) == "not_found"
    assert machine.workspaces == {}
    assert machine.sandboxes == {}


async def test_what_is_being_removed_is_not_taken_back(serve: MakeOrchestrator, machine: Machine) -> None:
    async with serve(HangsOnPurge) as orchestrator:
        repl = await orchestrator.create("ann", "a", "python", start=False)
        await orchestrator.delete(repl.id)
        await orchestrator.purge(repl.id)
        assert await refusal(orchestrator.undelete(repl.id)) == "removing"
        await settle()
        assert repl.id not in machine.versions
        assert await refusal(orchestrator.undelete(repl.id)) == "removing"
        assert await refusal(orchestrator.start(repl.id)) == "in_trash"
        assert isinstance(orchestrator.backend, HangsOnPurge)
        orchestrator.backend.may_end.set()
        await settle()
        assert await refusal(orchestrator.get(repl.id)) == "not_found"


async def test_what_was_taken_back_at_the_last_moment_is_not_removed(
    serve: MakeOrchestrator, machine: Machine, clock: ManualClock
) -> None:
    async with serve(LooksSlowly, resync_s=DAY_S, cpu_sample_s=DAY_S) as orchestrator:
        repl = await orchestrator.create("ann", "a", "python", start=False)
        await orchestrator.delete(repl.id)
        await clock.advance(30 * DAY_S - 1)
        assert isinstance(orchestrator.backend, LooksSlowly)
        orchestrator.backend.may_look.clear()
        await orchestrator.rename(repl.id, "b")  # the reconciler has read its record, and waits
        await settle()
        await orchestrator.undelete(repl.id)
        await clock.advance(2)
        orchestrator.backend.may_look.set()
        await settle()
        assert (await orchestrator.get(repl.id)).in_trash is False
        assert "main.py" in machine.workspaces[repl.id]


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


async def test_idle_ones_stop_and_say_why(orchestrator: Orchestrator, clock: ManualClock) -> None:
    repl = await orchestrator.create("ann", "a", "python")
    await orchestrator.open(repl.id)
    await clock.advance(1799)
    assert (await orchestrator.get(repl.id)).phase is Phase.RUNNING
    await clock.advance(2)
    stopped = await orchestrator.get(repl.id)
    assert (stopped.phase, stopped.goal) == (Phase.STOPPED, Goal.STOP)
    assert stopped.stop_reason == "It was idle: nothing happened since it was opened at 00:00 UTC."
    assert orchestrator.leases.get(repl.id) is None


async def test_activity_keeps_it_awake_and_is_named(orchestrator: Orchestrator, clock: ManualClock) -> None:
    repl = await orchestrator.create("ann", "a", "python")
    await orchestrator.open(repl.id)
    for _ in range(5):
        await clock.advance(1700)
        orchestrator.touch(repl.id, "keystroke")
    assert (await orchestrator.get(repl.id)).phase is Phase.RUNNING
    lease = orchestrator.leases.get(repl.id)
    assert lease is not None
    assert lease.activity is Activity.KEYSTROKE
    await clock.advance(1801)
    assert "somebody typed in a terminal" in ((await orchestrator.get(repl.id)).stop_reason or "")


@pytest.mark.parametrize(("used_s", "awake"), [(0.5 * SAMPLE_S, True), (0.01 * SAMPLE_S, False)])
async def test_programs_that_compute_keep_it_awake(
    orchestrator: Orchestrator, machine: Machine, clock: ManualClock, used_s: float, awake: bool
) -> None:
    repl = await orchestrator.create("ann", "a", "python")
    await orchestrator.open(repl.id)
    for _ in range(2 * 1800 // int(SAMPLE_S)):
        machine.compute(repl.id, used_s)
        await clock.advance(SAMPLE_S)
    assert ((await orchestrator.get(repl.id)).phase is Phase.RUNNING) is awake
    await clock.advance(1830)
    asleep = await orchestrator.get(repl.id)
    assert asleep.phase is Phase.STOPPED
    assert ("nothing happened since a program was computing" in (asleep.stop_reason or "")) is awake


async def test_warnings_come_at_five_minutes_and_at_one_and_extending_lifts_them(
    orchestrator: Orchestrator, clock: ManualClock
) -> None:
    repl = await orchestrator.create("ann", "a", "python")
    await orchestrator.open(repl.id)
    await settle()
    changes = orchestrator.subscribe(repl_id=repl.id)

    async def next_warning_s() -> int | None:
        async with asyncio.timeout(10):
            await anext(changes)
        lease = orchestrator.leases.get(repl.id)
        assert lease is not None
        return lease.warning_s(clock.now())

    await clock.advance(1500)
    assert await next_warning_s() == 300
    await clock.advance(240)
    assert await next_warning_s() == 60
    assert await orchestrator.extend(repl.id, 4) is not None
    assert await next_warning_s() is None
    await clock.advance(4 * 3600 - 1)
    assert (await orchestrator.get(repl.id)).phase is Phase.RUNNING
    await clock.advance(2)
    assert (await orchestrator.get(repl.id)).phase is Phase.STOPPED


async def test_who_asks_keeps_it_awake_also_through_a_restart_of_the_server(
    serve: MakeOrchestrator, clock: ManualClock
) -> None:
    async with serve() as before:
        repl = await before.create("ann", "a", "python")
        await before.open(repl.id)
        await before.extend(repl.id, 4)
    await clock.advance(3600)
    async with serve() as after:
        await clock.advance(3 * 3600 - 60)
        assert (await after.get(repl.id)).phase is Phase.RUNNING
        assert await after.quota.extension_left_s("ann") == 20 * 3600
        await clock.advance(61)
        assert (await after.get(repl.id)).phase is Phase.STOPPED


async def test_a_days_budget_for_keeping_awake_is_one_owners(orchestrator: Orchestrator, clock: ManualClock) -> None:
    first, second = [await orchestrator.create("ann", name, "python") for name in "ab"]
    others = await orchestrator.create("bob", "c", "python")
    for repl in (first, second, others):
        await orchestrator.open(repl.id)
    assert await refusal(orchestrator.extend(first.id, 2)) == "hours"
    for repl in (first, second, others):
        await orchestrator.extend(repl.id, 12)
    await orchestrator.extend(first.id, 4)  # it is paid for
    await clock.advance(1800)
    with pytest.raises(DevexError) as refused:
        await orchestrator.extend(first.id, 12)
    assert (
        refused.value.message == "Your REPLs may be kept awake for 24 hours a day, of which 0 h 0 min are left today."
    )
    await orchestrator.stop(second.id)
    await settle()
    assert await orchestrator.quota.extension_left_s("ann") == 11.5 * 3600  # what was not used is free again
    await orchestrator.extend(first.id, 12)
    assert await orchestrator.quota.extension_left_s("ann") == 11 * 3600
    assert await orchestrator.quota.extension_left_s("bob") == 12 * 3600
    await clock.advance(DAY_S - 1800)  # midnight
    assert await orchestrator.quota.extension_left_s("ann") == DAY_S


async def test_two_who_ask_at_once_get_one_budget(serve: MakeOrchestrator) -> None:
    async with serve(extend_day_s=12 * 3600) as orchestrator:
        repls = [await orchestrator.create("ann", name, "python") for name in "abc"]
        for repl in repls:
            await orchestrator.open(repl.id)
        asked = (orchestrator.extend(repl.id, 12) for repl in repls)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [isinstance(answer, DevexError) for answer in answers].count(False) == 1
        assert await orchestrator.quota.extension_left_s("ann") == 0


async def test_the_ledger_says_what_kept_it_awake(orchestrator: Orchestrator, clock: ManualClock) -> None:
    repl = await orchestrator.create("ann", "a", "python")
    await orchestrator.open(repl.id)
    began = clock.now()
    for _ in range(10):
        await clock.advance(60)
        orchestrator.touch(repl.id, "keystroke")
    await clock.advance(600)
    orchestrator.touch(repl.id, "output")
    orchestrator.touch(repl.id, "keystroke")
    await orchestrator.extend(repl.id, 1)
    await clock.advance(300)
    await orchestrator.stop(repl.id)
    await settle()
    minutes = [
        (span.activity, (span.begun_at - began).total_seconds() / 60, (span.ended_at - began).total_seconds() / 60)
        for span in orchestrator.leases.ledger(repl.id)
    ]
    assert minutes == [
        (Activity.OPENED, 0, 0),
        (Activity.KEYSTROKE, 1, 10),
        (Activity.OUTPUT, 20, 20),
        (Activity.KEYSTROKE, 20, 20),
        (Activity.EXTENDED, 20, 25),
    ]


async def test_activity_of_a_stopped_one_means_nothing(orchestrator: Orchestrator) -> None:
    repl = await orchestrator.create("ann", "a", "python", start=False)
    orchestrator.touch(repl.id, "output")
    assert orchestrator.leases.get(repl.id) is None
    assert orchestrator.leases.ledger(repl.id) == ()
    assert await refusal(orchestrator.extend(repl.id, 1)) == "not_running"


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
