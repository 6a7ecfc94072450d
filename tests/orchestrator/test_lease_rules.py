"""What keeps a Repl awake, as rules: leases, computing, what is written in the ledger, hours that were asked for."""

from datetime import timedelta

import pytest

from orchestrator.domain import Activity, CpuSample, Event, Goal, Ledger, Move, Phase, closed, noted, totals_s
from orchestrator.domain.ledger import SPANS_KEPT
from tests.orchestrator.given import NOW, lease, repl


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
