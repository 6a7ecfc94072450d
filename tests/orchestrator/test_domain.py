"""The pure centre: whatever happens in whatever order, no move is illegal and every wish is met or refused in words."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain import (
    TRANSITIONS,
    Activity,
    CpuSample,
    Ensure,
    Event,
    Goal,
    IllegalTransition,
    Lease,
    Ledger,
    Limits,
    Move,
    Observation,
    Phase,
    Purge,
    Repl,
    SandboxPhase,
    Save,
    Seed,
    Stop,
    Wake,
    adopted,
    advance,
    closed,
    noted,
    plan,
    totals_s,
)
from orchestrator.domain.ledger import SPANS_KEPT
from tests.contracts.records import make_repl

NOW = datetime(2030, 1, 1, tzinfo=UTC)
LIMITS = Limits()
STEPS_MOST = 30


def seen(epoch: int, phase: SandboxPhase, reason: str | None = None) -> Observation:
    return Observation(repl_id="repl1", epoch=epoch, phase=phase, reason=reason)


def repl(**changes: object) -> Repl:
    return make_repl(1, **({"phase_at": NOW} | changes))


def lease(renewed_at: datetime = NOW, idle_s: float = 1800) -> Lease:
    expires_at = renewed_at + timedelta(seconds=idle_s)
    return Lease(repl_id="repl1", activity=Activity.EDIT, renewed_at=renewed_at, expires_at=expires_at)


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


def test_a_start_raises_the_epoch_and_forgets_why_it_stopped() -> None:
    changes = Move(event=Event.START).changes(repl(goal=Goal.RUN, epoch=4, stop_reason="It was idle."), NOW)
    assert changes == {
        "phase": Phase.STARTING,
        "phase_at": NOW,
        "epoch": 5,
        "failure": None,
        "stop_reason": None,
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
        ({"phase": Phase.STARTING, "goal": Goal.RUN}, (3, SandboxPhase.STARTING), (Wake(NOW + timedelta(seconds=30)),)),
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
    assert plan(repl(epoch=3, **fields), observed, None, NOW, LIMITS) == expected


def test_a_sandbox_that_ended_by_itself_fails_with_its_reason() -> None:
    running = repl(phase=Phase.RUNNING, goal=Goal.RUN, epoch=3)
    (move,) = plan(running, seen(3, SandboxPhase.FAILED, "It ran out of memory."), None, NOW, LIMITS)
    assert move == Move(event=Event.FAIL, goal=Goal.STOP, failure="It ran out of memory.")


def test_a_failure_never_forgets_a_delete() -> None:
    deleted = repl(phase=Phase.STOPPING, goal=Goal.DELETE, epoch=3, phase_at=NOW - timedelta(hours=1))
    (move,) = plan(deleted, seen(3, SandboxPhase.STOPPING), None, NOW, LIMITS)
    assert isinstance(move, Move)
    assert move.event is Event.FAIL
    assert move.goal is None


def test_a_machine_that_drains_stops_it_and_it_starts_again() -> None:
    running = repl(phase=Phase.RUNNING, goal=Goal.RUN, epoch=3)
    (move,) = plan(running, seen(3, SandboxPhase.STOPPING), lease(), NOW, LIMITS)
    assert isinstance(move, Move)
    assert (move.event, move.goal) == (Event.STOP, None)


def test_an_idle_one_stops_and_says_since_when() -> None:
    running = repl(phase=Phase.RUNNING, goal=Goal.RUN, epoch=3)
    idle = lease(NOW - timedelta(seconds=1800))
    (move,) = plan(running, seen(3, SandboxPhase.RUNNING), idle, NOW, LIMITS)
    assert isinstance(move, Move)
    assert (move.event, move.goal) == (Event.STOP, Goal.STOP)
    assert move.stop_reason == "It was idle: nothing happened since a file was edited at 23:30 UTC."


def test_a_lease_warns_twice_then_ends() -> None:
    given_at_noon = lease(NOW)
    moments, now = [], NOW
    while not given_at_noon.expired(now):
        now = given_at_noon.next_change_at(now)
        moments.append(((now - NOW).total_seconds(), given_at_noon.warning_s(now)))
    assert moments == [(1500, 300), (1740, 60), (1800, 60)]


def test_activity_never_shortens_an_extended_lease() -> None:
    extended = lease().renewed(Activity.EXTENDED, NOW, 4 * 3600)
    assert extended.renewed(Activity.KEYSTROKE, NOW + timedelta(hours=1), 1800).expires_at == extended.expires_at


@pytest.mark.parametrize(
    ("used_s", "passed_s", "computed"),
    [(1.5, 30, True), (1.4, 30, False), (30, 30, True), (0, 30, False), (-7, 30, False), (1, 0, False)],
)
def test_five_percent_of_a_core_is_computing(used_s: float, passed_s: float, computed: bool) -> None:
    before = CpuSample(10, NOW)
    assert CpuSample(10 + used_s, NOW + timedelta(seconds=passed_s)).computed_since(before) is computed


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


# A world in a few lines, driven at random: what the backend does is up to chance until it is told to behave.


@dataclass
class World:
    repl: Repl
    observation: Observation | None = None
    lease: Lease | None = None
    now: datetime = NOW
    purged: bool = False
    started_epoch: int = 0
    store_answers: bool = True

    def step(self) -> bool:
        """Carry out one plan as the reconciler would; whether anything was done."""
        actions = plan(self.repl, self.observation, self.lease, self.now, LIMITS)
        done = False
        for action in actions:
            match action:
                case Move():
                    self.repl = replace(self.repl, **action.changes(self.repl, self.now))
                case Seed():
                    self.repl = replace(self.repl, seeded=True)
                case Ensure():
                    assert self.observation is None or not self.observation.alive, "two incarnations at once"
                    assert self.repl.seeded
                    self.observation = seen(self.repl.epoch, SandboxPhase.STARTING)
                    assert self.repl.epoch >= self.started_epoch, "an epoch went backwards"
                    self.started_epoch = self.repl.epoch
                case Save(epoch):
                    assert self.repl.phase is not Phase.STOPPING or self.observation is not None
                    if not self.store_answers:
                        return False  # tried again after a pause
                    resting = self.repl.phase is not Phase.STOPPING
                    unsaved = self.repl.unsaved and not resting
                    self.repl = replace(self.repl, saved_at=self.now, unsaved=unsaved)
                case Stop(epoch):
                    self.check_saved()
                    assert self.observation is not None
                    assert self.observation.epoch == epoch
                    self.observation = None
                case Purge():
                    assert self.observation is None or not self.observation.alive
                    self.purged = True
                case Wake(at):
                    assert at > self.now, "a wake in the past would spin"
            done = done or not isinstance(action, Wake)
        return done

    def check_saved(self) -> None:
        """What runs is not stopped before the store has it, or was waited for."""
        repl = self.repl
        if repl.phase is Phase.STOPPING and self.observation and self.observation.phase is SandboxPhase.RUNNING:
            waited = self.now - repl.phase_at >= timedelta(seconds=LIMITS.save_deadline_s)
            assert waited or (repl.saved_at is not None and repl.saved_at >= repl.phase_at)

    def want(self, goal: Goal) -> None:
        deleted = {"purge_at": self.now + timedelta(days=30)} if goal is Goal.DELETE else {"purge_at": None}
        self.repl = replace(self.repl, goal=goal, **deleted)

    def behave(self) -> None:
        """The sandbox and the store go the way they should."""
        self.store_answers = True
        if self.observation is not None and self.observation.phase is SandboxPhase.STARTING:
            self.observation = replace(self.observation, phase=SandboxPhase.RUNNING)
        if self.observation is not None and self.observation.phase is SandboxPhase.STOPPING:
            self.observation = None


def _want(goal: Goal) -> Callable[[World], None]:
    return lambda world: world.want(goal)


def _observe(phase: SandboxPhase | None, epoch_off: int) -> Callable[[World], None]:
    def happen(world: World) -> None:
        epoch = max(0, world.repl.epoch - epoch_off)
        world.observation = seen(epoch, phase, "by chance") if phase else None

    return happen


def _wait(seconds: float) -> Callable[[World], None]:
    def happen(world: World) -> None:
        world.now += timedelta(seconds=seconds)

    return happen


def _lease(idle_s: float | None) -> Callable[[World], None]:
    def happen(world: World) -> None:
        world.lease = None if idle_s is None else lease(world.now, idle_s)

    return happen


def _store_fails(world: World) -> None:
    world.store_answers = False


def _step(world: World) -> None:
    world.step()


def _restart_server(world: World) -> None:
    world.repl = replace(world.repl, **adopted(world.repl, world.observation, world.now))


HAPPENINGS = st.one_of(
    st.builds(_want, st.sampled_from(Goal)),
    st.builds(_observe, st.sampled_from([None, *SandboxPhase]), st.integers(0, 2)),
    st.builds(_wait, st.sampled_from([1.0, 31.0, 61.0, 1801.0, 31 * 86400.0])),
    st.builds(_lease, st.sampled_from([None, 60.0, 1800.0])),
    st.just(World.behave),
    st.just(_store_fails),
    st.just(_step),
    st.just(_step),
    st.just(_step),
    st.just(_restart_server),
)


@given(st.lists(HAPPENINGS, max_size=40), st.sampled_from(Goal), st.booleans())
def test_any_history_ends_as_wanted_once_the_backend_behaves(
    history: list[Callable[[World], None]], goal: Goal, seeded: bool
) -> None:
    world = World(repl(seeded=seeded))
    for happen in history:
        happen(world)
        if world.purged:
            return
    world.want(goal)
    world.lease = None
    for _ in range(STEPS_MOST):
        world.now += timedelta(seconds=1)
        world.behave()
        if not world.step() and (world.observation is None or world.observation.phase is not SandboxPhase.STARTING):
            break
    else:
        pytest.fail(f"never comes to rest: {world}")
    match goal:
        case Goal.DELETE:
            assert world.repl.phase in (Phase.STOPPED, Phase.FAILED)
        case Goal.STOP:
            assert world.repl.at_rest
        case Goal.RUN:
            failed_in_words = world.repl.phase is Phase.FAILED and world.repl.failure
            assert world.repl.phase is Phase.RUNNING or failed_in_words, world
    if world.repl.phase is not Phase.RUNNING:
        assert world.observation is None or not world.observation.alive


@given(st.lists(HAPPENINGS, max_size=40))
def test_asking_again_recovers_from_anything(history: list[Callable[[World], None]]) -> None:
    world = World(repl())
    for happen in history:
        happen(world)
        if world.purged:
            return
    world.lease = None
    for _ in range(3):  # a first try may fail on what the history left behind
        world.want(Goal.RUN)
        for _ in range(STEPS_MOST):
            world.now += timedelta(seconds=1)
            world.behave()
            world.step()
    assert world.repl.phase is Phase.RUNNING, world
    assert world.observation is not None
    assert world.observation == seen(world.repl.epoch, SandboxPhase.RUNNING, world.observation.reason)


def test_a_ledger_is_bounded_and_keeps_the_newest() -> None:
    ledger: Ledger = ()
    for number in range(2 * SPANS_KEPT):
        ledger = noted(ledger, Activity.OUTPUT, NOW + timedelta(hours=number))
    assert len(ledger) == SPANS_KEPT
    assert ledger[-1].ended_at == NOW + timedelta(hours=2 * SPANS_KEPT - 1)


def test_spans_of_two_activities_overlap_and_are_summed_within_a_day() -> None:
    ledger: Ledger = ()
    for minute in range(120):
        ledger = noted(ledger, Activity.OUTPUT, NOW + timedelta(minutes=minute))
        if minute % 5 == 0:
            ledger = noted(ledger, Activity.EDIT, NOW + timedelta(minutes=minute))
    assert [span.activity for span in ledger].count(Activity.OUTPUT) == 1
    assert [span.activity for span in ledger].count(Activity.EDIT) == 24
    ledger = noted(ledger, Activity.EXTENDED, NOW + timedelta(minutes=120), NOW + timedelta(hours=6))
    totals = totals_s(ledger, NOW + timedelta(minutes=60), NOW + timedelta(minutes=130))
    assert totals == {Activity.OUTPUT: 59 * 60, Activity.EXTENDED: 10 * 60, Activity.EDIT: 0}
    assert closed(ledger, NOW + timedelta(hours=3))[-1].ended_at == NOW + timedelta(hours=3)


@pytest.mark.parametrize("goal", [Goal.RUN, Goal.STOP, Goal.DELETE])
def test_what_goes_on_elsewhere_stays_awake(goal: Goal) -> None:
    awake = {"awake_until": NOW + timedelta(hours=3), "extended_at": NOW, "extended_s": 4 * 3600}
    stopping = repl(phase=Phase.STOPPING, goal=goal, epoch=3, **awake)
    changes = Move(event=Event.DOWN).changes(stopping, NOW)
    kept = goal is Goal.RUN
    assert ("awake_until" in changes) is not kept
    if not kept:
        assert (changes["awake_until"], changes["extended_s"]) == (None, 3600)
