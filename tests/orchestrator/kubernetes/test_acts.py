"""What is done next to an incarnation follows from what is known of it: which act, if any, and which goes first."""

from datetime import UTC, datetime
from typing import Any, Final

import pytest

from orchestrator.backends.kubernetes.acts import Act, Bury, Claim, MakeRoom, Remove, next_act
from orchestrator.backends.kubernetes.known import Known

NOW: Final = datetime(2026, 1, 1, 1, tzinfo=UTC)
LEAVING: Final = {"deletionTimestamp": "2026-01-01T01:00:30Z"}
FULL: Final = {"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: pods"}
NO_ROOM: Final = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/1 nodes are available: 1 Insufficient memory.",
}


def deployment(*conditions: Any, claimed: str = "", failed: str = "", **more: Any) -> dict[str, Any]:
    told = {"devex.dev/claimed": claimed, "devex.dev/failed": failed}
    return {"metadata": {"annotations": told, **more}, "status": {"conditions": conditions}}


def pod(uid: str, *conditions: Any, phase: str = "Pending", **more: Any) -> dict[str, Any]:
    made = {"creationTimestamp": f"2026-01-01T00:00:00.{uid}Z"}
    return {"metadata": {"uid": uid, **made, **more}, "status": {"phase": phase, "conditions": conditions}}


def epoch(of: int, has: Any, *pods: Any, name: str = "repl-abc") -> Known:
    return Known(f"{name}-{of}", ("abc", of), has, {one["metadata"]["uid"]: one for one in pods})


BARE: Final = deployment()
FAILED: Final = deployment(failed="It is gone.")
NEWER: Final = epoch(8, deployment())

# What is known of epoch 7, and of its REPL's other epochs.
AT_ALL_TIMES: Final[dict[str, tuple[Known, list[Known], Act | None]]] = {
    "nothing of it was made": (epoch(7, None), [], None),
    "its pod is all that is left": (epoch(7, None, pod("1")), [], None),
    "its pod is all that is left, and there is a newer one": (epoch(7, None, pod("1")), [NEWER], None),
    "it is going": (epoch(7, deployment(**LEAVING), pod("1")), [], None),
    "it is going, and there is a newer one": (epoch(7, deployment(**LEAVING), pod("1")), [NEWER], None),
    "it has no pod yet": (epoch(7, BARE), [], None),
    "its pod is not claimed": (epoch(7, BARE, pod("1")), [], Claim(BARE, "1")),
    "it has two, the younger one first": (epoch(7, BARE, pod("2"), pod("1")), [], Claim(BARE, "2")),
    "its pod is claimed": (epoch(7, deployment(claimed="1"), pod("1")), [], None),
    "its pod is going, unclaimed": (epoch(7, BARE, pod("1", **LEAVING)), [], None),
    "there is an older one": (epoch(7, BARE, pod("1")), [epoch(6, deployment())], Claim(BARE, "1")),
    "there is a newer one": (epoch(7, BARE, pod("1")), [NEWER], Remove()),
    "there is a newer one, which has no room": (epoch(7, BARE, pod("1")), [epoch(8, deployment(FULL))], Remove()),
    "there is a pod of a newer one": (epoch(7, BARE, pod("1")), [epoch(8, None, pod("2"))], Claim(BARE, "1")),
    "it was made twice": (epoch(7, BARE, pod("1")), [epoch(7, deployment(), name="slot-abc")], Remove()),
    "its pod has failed": (epoch(7, BARE, pod("1", phase="Failed")), [], Bury()),
    "its pod has failed, claimed": (epoch(7, deployment(claimed="1"), pod("1", phase="Failed")), [], Bury()),
    "its pod is lost": (epoch(7, deployment(claimed="1")), [], Bury()),
    "its pod is lost, and there is another": (epoch(7, deployment(claimed="1"), pod("2")), [], Bury()),
    "its pod has failed, and there is a newer one": (epoch(7, BARE, pod("1", phase="Failed")), [NEWER], Remove()),
    "it is buried": (epoch(7, FAILED), [], None),
    "it is buried, and has a pod": (epoch(7, FAILED, pod("1")), [], None),
    "it is buried, and has a pod that failed": (epoch(7, FAILED, pod("1", phase="Failed")), [], None),
    "it is buried, and there is a newer one": (epoch(7, FAILED), [NEWER], Remove()),
    "it is buried, and there was no room": (epoch(7, deployment(FULL, failed="It is gone.")), [], None),
    "the quota is used up, and there is a newer one": (epoch(7, deployment(FULL)), [NEWER], Remove()),
    "machines are full, and there is a newer one": (epoch(7, BARE, pod("1", NO_ROOM)), [NEWER], Remove()),
    "the quota is used up, and it is going": (epoch(7, deployment(FULL, **LEAVING)), [], None),
}


@pytest.mark.parametrize("leads", [True, False])
@pytest.mark.parametrize("has_free_slots", [True, False])
@pytest.mark.parametrize(("known", "others", "act"), AT_ALL_TIMES.values(), ids=AT_ALL_TIMES)
def test_what_is_next(known: Known, others: list[Known], act: Act | None, has_free_slots: bool, leads: bool) -> None:
    epochs = {one.key[1]: one for one in (known, *others)}
    assert next_act(known, epochs, NOW, has_free_slots=has_free_slots, leads=leads) == act


BY_QUOTA: Final = epoch(7, deployment(FULL))
ON_MACHINES: Final = epoch(7, BARE, pod("1", NO_ROOM))
LOST: Final = epoch(7, deployment(FULL, claimed="1"))


@pytest.mark.parametrize(
    ("known", "has_free_slots", "leads", "act"),
    [
        (BY_QUOTA, True, True, MakeRoom()),
        (BY_QUOTA, True, False, None),  # the leader does it
        (BY_QUOTA, False, True, Bury()),
        (BY_QUOTA, False, False, Bury()),
        (ON_MACHINES, True, True, MakeRoom()),
        (ON_MACHINES, True, False, None),
        (ON_MACHINES, False, True, Claim(BARE, "1")),  # it waits for room, and is to act once there is
        (ON_MACHINES, False, False, Claim(BARE, "1")),
        (LOST, True, True, MakeRoom()),
        (LOST, False, True, Bury()),
    ],
)
def test_slots_give_way_before_it_is_buried_or_claimed(
    known: Known, has_free_slots: bool, leads: bool, act: Act | None
) -> None:
    assert next_act(known, {7: known}, NOW, has_free_slots=has_free_slots, leads=leads) == act
