"""What keeps a REPL awake, and what becomes of one that nothing does."""

import asyncio

import pytest

from orchestrator.backends.memory import Machine
from orchestrator.domain import Activity, Goal, Limits, Phase
from orchestrator.service import Orchestrator
from runner.errors import DevexError
from tests.orchestrator.conftest import MakeOrchestrator, refusal
from tests.orchestrator.fakes import ManualClock, settle

DAY_S = 86400
SAMPLE_S = Limits().cpu_sample_s


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
