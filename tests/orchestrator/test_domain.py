"""The table of phases and the plan: no move is illegal, and every wish is met or refused in words."""

from dataclasses import replace
from datetime import timedelta

import pytest

from orchestrator.domain import (
    TRANSITIONS,
    Ensure,
    Event,
    Explain,
    Goal,
    IllegalTransition,
    Move,
    Phase,
    Purge,
    SandboxPhase,
    Save,
    Seed,
    Stop,
    Wake,
    adopted,
    advance,
    failed,
    plan,
)
from tests.orchestrator.given import LIMITS, NOW, lease, repl, seen


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("event", Event)
def test_what_the_table_does_not_hold_is_refused(phase: Phase, event: Event) -> None:
    if (phase, event) in TRANSITIONS:
        assert advance(phase, event) is TRANSITIONS[phase, event]
    else:
        with pytest.raises(IllegalTransition):
            advance(phase, event)


def test_every_phase_can_be_left_and_reached() -> None:
    assert {phase for phase, _ in TRANSITIONS} == set(Phase)
    assert set(TRANSITIONS.values()) == set(Phase)


@pytest.mark.parametrize(("epoch", "lacks"), [(0, "It lacks a file."), (1, None)])
def test_what_a_copy_lacks_is_told_until_its_second_start(epoch: int, lacks: str | None) -> None:
    copy = repl(goal=Goal.RUN, epoch=epoch, lacks="It lacks a file.")
    assert replace(copy, **Move(event=Event.START).changes(copy, NOW)).lacks == lacks


def test_a_start_raises_the_epoch() -> None:
    changes = Move(event=Event.START).changes(repl(goal=Goal.RUN, epoch=4), NOW)
    assert changes == {
        "phase": Phase.STARTING,
        "phase_at": NOW,
        "epoch": 5,
        "failure": None,
        "lacks": None,
    }


@pytest.mark.parametrize(
    ("fields", "observation", "expected"),
    [
        ({}, None, ()),
        ({"goal": Goal.RUN}, None, (Move(event=Event.START),)),
        ({"goal": Goal.RUN, "seeded": False}, None, (Wake(NOW + timedelta(seconds=300)), Seed())),
        ({"phase": Phase.STARTING, "goal": Goal.STOP}, None, (Move(event=Event.STOP),)),
        ({"phase": Phase.STARTING, "goal": Goal.DELETE}, None, (Move(event=Event.STOP),)),
        ({"phase": Phase.STARTING, "goal": Goal.RUN}, None, (Wake(NOW + timedelta(seconds=30)), Ensure())),
        (
            {"phase": Phase.STARTING, "goal": Goal.RUN},
            (3, SandboxPhase.STARTING),
            (Wake(NOW + timedelta(seconds=30)), Ensure()),
        ),
        ({"phase": Phase.STARTING, "goal": Goal.RUN}, (3, SandboxPhase.STOPPING), (Wake(NOW + timedelta(seconds=30)),)),
        ({"phase": Phase.STARTING, "goal": Goal.RUN}, (3, SandboxPhase.RUNNING), (Move(event=Event.UP),)),
        (
            {"phase": Phase.STARTING, "goal": Goal.RUN},
            (2, SandboxPhase.RUNNING),
            (Wake(NOW + timedelta(seconds=30)), Stop(2)),
        ),
        (
            {"phase": Phase.STARTING, "goal": Goal.RUN},
            (2, SandboxPhase.FAILED),
            (Wake(NOW + timedelta(seconds=30)), Ensure()),
        ),
        ({"phase": Phase.RUNNING, "goal": Goal.RUN}, (3, SandboxPhase.RUNNING), ()),
        ({"phase": Phase.RUNNING, "goal": Goal.STOP}, (3, SandboxPhase.RUNNING), (Move(event=Event.STOP),)),
        ({"phase": Phase.STOPPING}, (3, SandboxPhase.RUNNING), (Wake(NOW + timedelta(seconds=60)), Save(3))),
        (
            {"phase": Phase.STOPPING, "saved_at": NOW - timedelta(seconds=1)},
            (3, SandboxPhase.RUNNING),
            (Wake(NOW + timedelta(seconds=60)), Save(3)),
        ),
        (
            {"phase": Phase.STOPPING, "saved_at": NOW},
            (3, SandboxPhase.RUNNING),
            (Wake(NOW + timedelta(seconds=120)), Stop(3)),
        ),
        (
            {"phase": Phase.STOPPING, "phase_at": NOW - timedelta(seconds=60)},  # the store does not answer
            (3, SandboxPhase.RUNNING),
            (Wake(NOW + timedelta(seconds=60)), Stop(3)),
        ),
        ({"phase": Phase.STOPPING}, (3, SandboxPhase.STARTING), (Wake(NOW + timedelta(seconds=120)), Stop(3))),
        ({"unsaved": True}, None, (Save(3),)),
        ({"unsaved": True, "phase": Phase.FAILED}, None, (Save(3),)),
        ({"unsaved": True, "goal": Goal.RUN}, None, (Move(event=Event.START),)),
        (
            {"unsaved": True, "goal": Goal.DELETE, "purge_at": NOW + timedelta(days=1)},
            None,
            (Wake(NOW + timedelta(days=1)), Save(3)),
        ),
        ({"phase": Phase.STOPPING}, None, (Move(event=Event.DOWN),)),
        ({"phase": Phase.FAILED, "goal": Goal.RUN}, None, (Move(event=Event.RECOVER),)),
        ({"phase": Phase.FAILED}, (3, SandboxPhase.RUNNING), (Stop(3),)),
        ({"phase": Phase.FAILED, "seeded": False}, None, ()),
        ({"goal": Goal.DELETE, "purge_at": NOW + timedelta(days=1)}, None, (Wake(NOW + timedelta(days=1)),)),
        ({"goal": Goal.DELETE, "purge_at": NOW}, None, (Purge(),)),
        ({"goal": Goal.DELETE, "purge_at": NOW}, (3, SandboxPhase.RUNNING), (Stop(3),)),
        ({"phase": Phase.FAILED, "goal": Goal.DELETE, "purge_at": NOW}, None, (Purge(),)),
    ],
)
def test_what_is_planned(
    fields: dict[str, object], observation: tuple[int, SandboxPhase] | None, expected: tuple[object, ...]
) -> None:
    observed = seen(*observation) if observation else None
    assert plan(repl(epoch=3, **fields), observed, None, NOW, LIMITS, keeps_disk=True) == expected


def test_who_waits_is_told_why_and_only_when_it_is_new() -> None:
    starting = repl(epoch=3, phase=Phase.STARTING, goal=Goal.RUN)
    full, end = seen(3, SandboxPhase.STARTING, "There is no room."), Wake(NOW + timedelta(seconds=30))
    assert plan(starting, full, None, NOW, LIMITS, keeps_disk=True) == (end, Explain("There is no room."), Ensure())
    told = replace(starting, failure="There is no room.")
    assert plan(told, full, None, NOW, LIMITS, keeps_disk=True) == (end, Ensure())
    (move,) = plan(told, full, None, end.at, LIMITS, keeps_disk=True)
    assert isinstance(move, Move)
    assert move.failure == "It did not start within 30 seconds. There is no room."


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, (Save(3),)),
        ({"phase_at": NOW - timedelta(seconds=59)}, (Wake(NOW + timedelta(seconds=1)), Save(3))),
        ({"saved_at": NOW - timedelta(seconds=1)}, (Wake(NOW + timedelta(seconds=59)), Stop(3))),
        ({"saved_at": NOW - timedelta(hours=1, seconds=1)}, (Save(3),)),
        ({"goal": Goal.RUN}, (Move(event=Event.UP),)),
        ({"goal": Goal.DELETE, "purge_at": NOW + timedelta(1)}, (Wake(NOW + timedelta(1)), Save(3))),
        ({"goal": Goal.DELETE, "purge_at": NOW}, (failed(repl(), "It did not stop within 120 seconds."),)),
        (
            {"goal": Goal.DELETE, "purge_at": NOW, "phase_at": NOW - timedelta(seconds=60)},
            (Wake(NOW + timedelta(seconds=60)), Stop(3)),
        ),
    ],
)
def test_where_the_disk_goes_with_the_sandbox_none_is_stopped_before_it_is_saved(
    fields: dict[str, object], expected: tuple[object, ...]
) -> None:
    """An hour after the stop was asked for, the store being down."""
    stopping = repl(**({"phase": Phase.STOPPING, "epoch": 3, "phase_at": NOW - timedelta(hours=1)} | fields))
    assert plan(stopping, seen(3, SandboxPhase.RUNNING), None, NOW, LIMITS, keeps_disk=False) == expected
    for phase in (SandboxPhase.STARTING, SandboxPhase.STOPPING):  # there is nothing to be saved, or it is on its way
        (*_, action) = plan(stopping, seen(3, phase), None, NOW, LIMITS, keeps_disk=False)
        assert not isinstance(action, Save)


def test_a_sandbox_that_ended_by_itself_fails_with_its_reason() -> None:
    running = repl(phase=Phase.RUNNING, goal=Goal.RUN, epoch=3)
    (move,) = plan(running, seen(3, SandboxPhase.FAILED, "It ran out of memory."), None, NOW, LIMITS, keeps_disk=True)
    assert move == Move(event=Event.FAIL, goal=Goal.STOP, failure="It ran out of memory.")


def test_a_failure_never_forgets_a_delete() -> None:
    deleted = repl(phase=Phase.STOPPING, goal=Goal.DELETE, epoch=3, phase_at=NOW - timedelta(hours=1))
    (move,) = plan(deleted, seen(3, SandboxPhase.STOPPING), None, NOW, LIMITS, keeps_disk=True)
    assert isinstance(move, Move)
    assert move.event is Event.FAIL
    assert move.goal is None


def test_a_machine_that_drains_stops_it_and_it_starts_again() -> None:
    running = repl(phase=Phase.RUNNING, goal=Goal.RUN, epoch=3)
    (move,) = plan(running, seen(3, SandboxPhase.STOPPING), lease(), NOW, LIMITS, keeps_disk=True)
    assert isinstance(move, Move)
    assert (move.event, move.goal) == (Event.STOP, None)


def test_an_idle_one_stops_and_says_since_when() -> None:
    running = repl(phase=Phase.RUNNING, goal=Goal.RUN, epoch=3)
    idle = lease(NOW - timedelta(seconds=1800))
    (move,) = plan(running, seen(3, SandboxPhase.RUNNING), idle, NOW, LIMITS, keeps_disk=True)
    assert isinstance(move, Move)
    assert (move.event, move.goal) == (Event.STOP, Goal.STOP)
    assert move.stop_reason == "It was idle: nothing happened since a file was edited at 23:30 UTC."


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("goal", Goal)
@pytest.mark.parametrize("observed", [None, *SandboxPhase])
def test_adopting_is_always_legal(phase: Phase, goal: Goal, observed: SandboxPhase | None) -> None:
    before = repl(phase=phase, goal=goal, epoch=3)
    changes = adopted(before, seen(3, observed) if observed else None, NOW)
    alive = observed in (SandboxPhase.STARTING, SandboxPhase.RUNNING, SandboxPhase.STOPPING)
    if phase is Phase.RUNNING and not alive:
        assert changes["phase"] is Phase.STOPPED
        assert changes["stop_reason"]
    after = replace(before, **changes)
    assert after.goal is goal or (goal, after.goal) == (Goal.RUN, Goal.STOP)


def test_what_failed_and_says_why_is_not_said_to_have_ended_with_the_server() -> None:
    before = repl(phase=Phase.RUNNING, goal=Goal.RUN, epoch=3)
    assert adopted(before, seen(3, SandboxPhase.FAILED, "The machine it ran on is gone."), NOW) == {}
