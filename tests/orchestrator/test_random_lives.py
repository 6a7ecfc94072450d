"""A world in a few lines, driven at random: what the backend does is up to chance until it is told to behave."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain import (
    Ensure,
    Explain,
    Goal,
    Lease,
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
    plan,
)
from tests.orchestrator.given import LIMITS, NOW, lease, repl, seen

STEPS_MOST = 30


@dataclass
class World:
    repl: Repl
    observation: Observation | None = None
    lease: Lease | None = None
    now: datetime = NOW
    purged: bool = False
    started_epoch: int = 0
    store_answers: bool = True
    keeps_disk: bool = True

    def step(self) -> bool:
        """Carry out one plan as the reconciler would; whether anything was done."""
        actions = plan(self.repl, self.observation, self.lease, self.now, LIMITS, keeps_disk=self.keeps_disk)
        done = False
        for action in actions:
            match action:
                case Move():
                    self.repl = replace(self.repl, **action.changes(self.repl, self.now))
                case Seed():
                    self.repl = replace(self.repl, seeded=True)
                case Explain(reason):
                    self.repl = replace(self.repl, failure=reason)
                case Ensure() if self.is_under_way:
                    continue  # nothing happens
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

    @property
    def is_under_way(self) -> bool:
        seen = self.observation
        return seen is not None and seen.phase is SandboxPhase.STARTING and seen.epoch == self.repl.epoch

    def check_saved(self) -> None:
        """What runs is not stopped before the store has it, or was waited for where the disk has it as well."""
        repl = self.repl
        if repl.phase is Phase.STOPPING and self.observation and self.observation.phase is SandboxPhase.RUNNING:
            waited = self.now - repl.phase_at >= timedelta(seconds=LIMITS.save_deadline_s)
            given_up = repl.goal is Goal.DELETE and repl.purge_at is not None and repl.purge_at <= self.now
            assert (waited and (self.keeps_disk or given_up)) or (
                repl.saved_at is not None and repl.saved_at >= repl.phase_at
            )

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


@given(st.lists(HAPPENINGS, max_size=40), st.sampled_from(Goal), st.booleans(), st.booleans())
def test_any_history_ends_as_wanted_once_the_backend_behaves(
    history: list[Callable[[World], None]], goal: Goal, seeded: bool, keeps_disk: bool
) -> None:
    world = World(repl(seeded=seeded), keeps_disk=keeps_disk)
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
