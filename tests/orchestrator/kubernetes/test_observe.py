"""What the API server shows becomes a phase, a sentence and an action: objects as kubelets write them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backends.kubernetes.observe import Seen, observation_of
from orchestrator.domain import SandboxPhase

LABELS = {"app.kubernetes.io/name": "devex-repl", "devex.dev/repl": "abc", "devex.dev/epoch": "7"}
DEPLOYMENT: dict[str, Any] = {"metadata": {"name": "repl-abc", "labels": LABELS}, "spec": {"replicas": 1}}
NOW = datetime(2026, 1, 1, 1, 0, 20, tzinfo=UTC)
RUNNING = {"running": {"startedAt": "2026-01-01T00:00:05Z"}}


def pod(uid: str = "pod-1", *, at: str = "2026-01-01T00:00:00Z", **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"uid": uid, "labels": LABELS, "creationTimestamp": at},
        "status": {"phase": "Running", **status},
    }


def containers(proxy: Any = RUNNING, runner: Any = RUNNING, **runner_more: Any) -> dict[str, Any]:
    return {
        "initContainerStatuses": [{"name": "proxy", "state": proxy}],
        "containerStatuses": [{"name": "runner", "state": runner, **runner_more}],
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def event(reason: str, message: str = "") -> dict[str, Any]:
    return {"reason": reason, "message": message}


def look(*pods: dict[str, Any], **more: Any) -> tuple[SandboxPhase, str | None]:
    found = observation_of(Seen(**{"deployment": DEPLOYMENT, "pods": pods, **more}), NOW)
    assert found is not None
    assert (found.repl_id, found.epoch) == ("abc", 7)
    return found.phase, found.reason


def test_nothing_is_there() -> None:
    assert observation_of(Seen(deployment=None), NOW) is None


def test_a_start_goes_on_until_its_pod_is_claimed_and_answers() -> None:
    assert look() == (SandboxPhase.STARTING, None)
    assert look(pod(phase="Pending")) == (SandboxPhase.STARTING, None)
    up = pod(**containers())
    assert look(up) == (SandboxPhase.STARTING, None)
    assert look(up, claimed="pod-1") == (SandboxPhase.STARTING, None)
    assert look(up, answers=True) == (SandboxPhase.STARTING, None)
    assert look(up, claimed="pod-1", answers=True) == (SandboxPhase.RUNNING, None)
    assert look(pod(**containers(runner=waiting("ContainerCreating"))), claimed="pod-1", answers=True)[0] == "starting"


def test_who_waits_is_told_why() -> None:
    unschedulable = [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}]
    phase, reason = look(pod(phase="Pending", conditions=unschedulable))
    assert phase is SandboxPhase.STARTING
    assert reason == (
        "There is no machine with room for it at the moment. It starts when there is; or stop another REPL."
    )
    del unschedulable[0]["message"]
    told = (event("FailedScheduling", "0/1 nodes are available: 1 Insufficient memory."), event("Scheduled"))
    assert look(pod(phase="Pending", conditions=unschedulable), events=told)[1] == (
        "There is no machine with room for it at the moment: not enough memory. "
        "It starts when there is; or stop another REPL."
    )


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_an_image_that_is_not_pulled_at_once_is_waited_for(reason: str) -> None:
    shown = containers(runner=waiting(reason, "the registry hiccups.\n"), image="runner:9")
    assert look(pod(phase="Pending", **shown)) == (
        SandboxPhase.STARTING,
        "The image runner:9 cannot be pulled: the registry hiccups. It is tried again while it starts; "
        "tell the operator.",
    )


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (
            containers(runner=waiting("InvalidImageName", "couldn't parse image name."), image="Runner:9"),
            "The image Runner:9 cannot be used: couldn't parse image name. Tell the operator.",
        ),
        (
            containers(proxy=waiting("ErrImageNeverPull")),
            "The image of its proxy cannot be used: ErrImageNeverPull. Tell the operator.",
        ),
        (
            containers(runner=waiting("CreateContainerConfigError", "secret not found.\n")),
            "The cluster refused to run it (secret not found). Tell the operator.",
        ),
        (
            containers(runner=waiting("CrashLoopBackOff"), lastState={"terminated": {"exitCode": 127}}),
            "Its image ends as soon as it starts, with exit code 127. Tell the operator.",
        ),
        (
            containers(
                runner=waiting("CrashLoopBackOff"), lastState={"terminated": {"reason": "OOMKilled", "exitCode": 137}}
            ),
            "Its programs used more memory than it has, and were ended. Stop some, or ask for a larger size.",
        ),
        (
            {"phase": "Failed", "reason": "Evicted"},
            "The machine it ran on had no room left and ended it. Start it again.",
        ),
        ({"phase": "Failed", "reason": "NodeLost"}, "The machine it ran on is gone. Start it again."),
        (
            {"phase": "Failed", "conditions": [{"type": "DisruptionTarget", "status": "True"}]},
            "The machine it ran on asked it to stop. Start it again.",
        ),
        (
            {"phase": "Succeeded"},
            "It ended unexpectedly. Its files are as its newest version has them. Start it again.",
        ),
    ],
)
def test_what_does_not_mend_itself_is_a_failure_with_its_reason(status: dict[str, Any], sentence: str) -> None:
    assert look(pod(**status)) == (SandboxPhase.FAILED, sentence)


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (
            'pods "repl-abc" is forbidden: exceeded quota: repls, requested: pods=1, used: pods=9, limited: pods=9',
            "All REPLs together have used up what the operator set aside. Stop another one.",
        ),
        (
            'pods "x" is forbidden: violates PodSecurity "restricted:latest"',
            'The cluster refused to run it (pods "x" is forbidden: violates PodSecurity "restricted:latest"). '
            "Tell the operator.",
        ),
    ],
)
def test_a_pod_that_is_never_made(message: str, sentence: str) -> None:
    assert look(events=(event("FailedCreate", message), event("ScalingReplicaSet"))) == (SandboxPhase.FAILED, sentence)


def test_a_pod_that_is_asked_to_leave_is_stopping() -> None:
    leaving = pod(**containers())
    leaving["metadata"] = {**leaving["metadata"], "deletionTimestamp": "2026-01-01T01:00:00Z"}
    drained = (SandboxPhase.STOPPING, "The machine it ran on asked it to stop.")
    assert look(leaving, claimed="pod-1", answers=True) == drained
    deleted = {**DEPLOYMENT, "metadata": {**DEPLOYMENT["metadata"], "deletionTimestamp": "2026-01-01T01:00:00Z"}}
    assert look(pod(**containers()), claimed="pod-1", deployment=deleted) == (SandboxPhase.STOPPING, None)
    assert look(pod(**containers()), claimed="pod-1", deployment=None) == (SandboxPhase.STOPPING, None)


def test_a_pod_whose_machine_is_gone_is_not_waited_for() -> None:
    leaving = pod(**containers())
    leaving["metadata"] = {**leaving["metadata"], "deletionTimestamp": "2026-01-01T01:00:00Z"}
    seen = Seen(deployment=None, pods=(leaving,), claimed="pod-1")
    assert observation_of(seen, NOW) is not None
    assert observation_of(seen, NOW + timedelta(seconds=20)) is None


def test_another_pod_of_the_same_epoch_is_not_taken_for_the_one_that_was_claimed() -> None:
    another = pod("pod-2", at="2026-01-01T02:00:00Z", **containers())
    assert look(another, claimed="pod-1", answers=True) == (
        SandboxPhase.FAILED,
        "The machine it ran on is gone. Start it again.",
    )
    evicted = pod("pod-1", phase="Failed", reason="Evicted")
    assert look(another, evicted, claimed="pod-1") == (
        SandboxPhase.FAILED,
        "The machine it ran on had no room left and ended it. Start it again.",
    )
    assert (
        look(claimed="pod-1", events=(event("Preempted"),))[1]
        == "The machine it ran on had no room left and ended it. Start it again."
    )


def test_programs_that_were_ended_for_their_memory() -> None:
    ended = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    again = pod(**containers(lastState=ended))  # a kubelet has started it again
    assert look(again, claimed="pod-1", answers=True) == (
        SandboxPhase.FAILED,
        "Its programs used more memory than it has, and were ended. Stop some, or ask for a larger size.",
    )


def test_a_deployment_says_that_no_pod_can_be_made() -> None:
    condition = {"type": "ReplicaFailure", "status": "True", "message": 'pods "x" is forbidden: exceeded quota: repls'}
    assert look(deployment={**DEPLOYMENT, "status": {"conditions": [condition]}}) == (
        SandboxPhase.FAILED,
        "All REPLs together have used up what the operator set aside. Stop another one.",
    )


def test_what_has_failed_says_why_for_as_long_as_it_is_there() -> None:
    metadata = {**DEPLOYMENT["metadata"], "annotations": {"devex.dev/failed": "It is gone."}}
    buried = {"metadata": metadata, "spec": {"replicas": 0}}
    assert look(deployment=buried) == (SandboxPhase.FAILED, "It is gone.")
    assert look(pod(**containers()), deployment=buried, claimed="pod-1") == (SandboxPhase.FAILED, "It is gone.")


statuses = st.fixed_dictionaries(
    {},
    optional={
        "phase": st.sampled_from(["Pending", "Running", "Succeeded", "Failed", "Unknown"]),
        "reason": st.sampled_from(["Evicted", "NodeLost", "Other"]),
        "conditions": st.lists(
            st.fixed_dictionaries(
                {
                    "type": st.sampled_from(["PodScheduled", "Ready", "DisruptionTarget"]),
                    "status": st.sampled_from(["True", "False", "Unknown"]),
                }
            ),
            max_size=3,
        ),
        "containerStatuses": st.lists(
            st.fixed_dictionaries(
                {"name": st.sampled_from(["runner", "proxy"])},
                optional={"state": st.sampled_from([{}, RUNNING, waiting("CrashLoopBackOff"), waiting("x")])},
            ),
            max_size=2,
        ),
    },
)


@given(st.lists(statuses, max_size=3), st.booleans(), st.sampled_from(["", "0", "1", "gone"]), st.booleans())
def test_whatever_is_seen_has_a_phase(shown: list[Any], deployed: bool, claimed: str, answers: bool) -> None:
    pods = tuple({"metadata": {"uid": str(n), "labels": LABELS}, "status": status} for n, status in enumerate(shown))
    seen = Seen(deployment=DEPLOYMENT if deployed else None, pods=pods, claimed=claimed, answers=answers)
    found = observation_of(seen, NOW)
    assert found is not None or not deployed
    if found is not None and found.phase is SandboxPhase.RUNNING:
        assert all((claimed, answers, deployed))
