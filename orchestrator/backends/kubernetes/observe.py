"""What is seen of a REPL's pods, as an Observation: a pure function from what the API server shows.

Objects are JSON as the API gives it: Deployments, Pods, Events. A phase is derived, never stored.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from orchestrator.backends.kubernetes.manifests import FAILED, key_in
from orchestrator.backends.kubernetes.scheduling import lacks_room, why_unschedulable
from orchestrator.domain import Observation, SandboxPhase

Object = Mapping[str, Any]

EVICTED: Final = "The machine it ran on had no room left and ended it. Start it again."
GONE: Final = "The machine it ran on is gone. Start it again."
DRAINED: Final = "The machine it ran on asked it to stop."  # and it starts again by itself
ENDED: Final = "It ended unexpectedly. Its files are as its newest version has them. Start it again."
OUT_OF_MEMORY: Final = "Its programs used more memory than it has, and were ended. Stop some, or ask for a larger size."
_NO_IMAGE: Final = "The image {image} cannot be used: {why}. Tell the operator."
_PULLED_AGAIN: Final = (
    "The image {image} cannot be pulled: {why}. It is tried again while it starts; tell the operator."
)
_QUOTA: Final = "All REPLs together have used up what the operator set aside. Stop another one."
_REFUSED: Final = "The cluster refused to run it ({why}). Tell the operator."
_CRASHES: Final = "Its {what} ends as soon as it starts{how}. Tell the operator."

_ENDED: Final = ("Failed", "Succeeded")
_PULL_REASONS: Final = {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"}  # a kubelet goes on trying
_IMAGE_REASONS: Final = {"InvalidImageName", "ErrImageNeverPull"}
_CONFIG_REASONS: Final = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}
OVERDUE: Final = timedelta(seconds=30)  # kubelets and clocks that are late
_WHY_MOST: Final = 200  # characters of an API server's or kubelet's words in a sentence of ours


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All objects of one incarnation. `claimed` is the uid of the pod that may act for the epoch, "" while none may;
    `answers` whether its proxy has told the control plane that the agent has said hello."""

    deployment: Object | None
    pods: tuple[Object, ...] = ()
    events: tuple[Object, ...] = ()  # newest last
    claimed: str = ""
    answers: bool = False
    whose: tuple[str, int] | None = None  # where labels of what is left do not say it: (repl_id, epoch)


def observation_of(seen: Seen, now: datetime) -> Observation | None:
    """None: nothing of it is there, or what is there is long overdue to be gone: nobody speaks to it any more."""
    identity = _identity(seen)
    if identity is None:
        return None
    repl_id, epoch = identity

    def it_is(phase: SandboxPhase, reason: str | None = None) -> Observation:
        return Observation(repl_id=repl_id, epoch=epoch, phase=phase, reason=reason)

    pod = current_pod(seen)
    is_leaving = seen.deployment is None or bool(seen.deployment["metadata"].get("deletionTimestamp"))
    if is_leaving and all(is_gone(one, now) for one in seen.pods):
        return None
    if seen.deployment is None or is_leaving:
        return it_is(SandboxPhase.STOPPING)
    if failed := failure_in(seen.deployment):
        return it_is(SandboxPhase.FAILED, failed)
    if seen.claimed and (pod is None or pod["metadata"]["uid"] != seen.claimed):
        # A ReplicaSet has replaced it, or will: another incarnation needs another epoch.
        return it_is(SandboxPhase.FAILED, _why_lost(seen))
    if pod is None:
        refused = _refused(seen.deployment, seen.events)
        return it_is(SandboxPhase.FAILED, refused) if refused else it_is(SandboxPhase.STARTING)
    if pod["metadata"].get("deletionTimestamp"):
        return it_is(SandboxPhase.STOPPING, DRAINED)
    if pod.get("status", {}).get("phase") in _ENDED:
        return it_is(SandboxPhase.FAILED, _why_ended(pod))
    if broken := _broken(pod, seen.events):
        return it_is(SandboxPhase.FAILED, broken)
    if seen.claimed and seen.answers and _containers_run(pod):
        return it_is(SandboxPhase.RUNNING)
    return it_is(SandboxPhase.STARTING, _why_waiting(pod, seen.events))


def trouble_of(seen: Seen) -> str | None:
    """Why it does not come up, for who waits or reads a log; None when it is on its way, or up."""
    if (pod := current_pod(seen)) is None:
        return _refused(seen.deployment, seen.events) if seen.deployment else None
    return _broken(pod, seen.events) or _why_waiting(pod, seen.events)


def is_crowded_out(seen: Seen) -> bool:
    """Others have what it needs: a quota's rest, or the room on machines."""
    if (pod := current_pod(seen)) is None:
        return seen.deployment is not None and _refused(seen.deployment, seen.events) == _QUOTA
    said = _why_unscheduled(pod, seen.events)
    return said is not None and lacks_room(said)


def is_up(pod: Object) -> bool:
    """It can be spoken to."""
    return bool(_containers_run(pod) and pod["status"].get("podIP") and not pod["metadata"].get("deletionTimestamp"))


def current_pod(seen: Seen) -> Object | None:
    """The pod that acts for it, or the youngest that may come to."""
    by_age = sorted(seen.pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))
    for pod in by_age:
        if pod["metadata"]["uid"] == seen.claimed:
            return pod
    return by_age[-1] if by_age else None


def failure_in(deployment: Object) -> str:
    """Why it failed, as it was recorded with it; "" while it has not."""
    return str((deployment["metadata"].get("annotations") or {}).get(FAILED, ""))


def is_gone(pod: Object, now: datetime) -> bool:
    """Nothing of it runs any more, or its machine does not answer, so that nobody can say so: it is long overdue."""
    until = pod["metadata"].get("deletionTimestamp")  # by then it has to be gone
    is_overdue = bool(until) and now > datetime.fromisoformat(until) + OVERDUE
    return is_overdue or pod.get("status", {}).get("phase") in _ENDED


def _identity(seen: Seen) -> tuple[str, int] | None:
    if seen.whose is not None:
        return seen.whose
    for one in (seen.deployment, *seen.pods):
        if one is not None and (key := key_in(one["metadata"].get("labels", {}))) is not None:
            return key
    return None


def _broken(pod: Object, events: Iterable[Object]) -> str | None:
    """What will not mend itself while somebody waits: a sentence and an action."""
    for status in _statuses(pod):
        if status["name"] == "runner" and _last_end(status).get("reason") == "OOMKilled":
            return OUT_OF_MEMORY  # a kubelet starts it again, but its terminals and programs are gone
        waiting = status.get("state", {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if reason in _IMAGE_REASONS:
            return _NO_IMAGE.format(image=_image(status), why=_short(waiting.get("message") or reason))
        if reason in _CONFIG_REASONS:
            return _REFUSED.format(why=_short(waiting.get("message") or reason))
        if reason == "CrashLoopBackOff":
            return _crashes(status)
    return None


def _crashes(status: Object) -> str:
    last = _last_end(status)
    how = f", with exit code {last['exitCode']}" if "exitCode" in last else ""
    what = "image" if status["name"] == "runner" else "proxy"
    return _CRASHES.format(what=what, how=how)


def _last_end(status: Object) -> Object:
    last: Object = status.get("lastState", {}).get("terminated") or {}
    return last


def _why_ended(pod: Object) -> str:
    status = pod.get("status", {})
    if status.get("reason") == "Evicted":
        return EVICTED
    if status.get("reason") in ("NodeLost", "NodeShutdown", "Terminated", "Shutdown"):
        return GONE
    return f"{DRAINED} Start it again." if _is_disrupted(pod) else ENDED


def _why_lost(seen: Seen) -> str:
    for pod in seen.pods:
        if pod["metadata"]["uid"] == seen.claimed:
            return _why_ended(pod)
    evictions = {"Evicted": EVICTED, "TaintManagerEviction": GONE, "NodeNotReady": GONE, "Preempted": EVICTED}
    for event in reversed(seen.events):
        if event.get("reason") in evictions:
            return evictions[event["reason"]]
    return GONE


def _is_disrupted(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(one["type"] == "DisruptionTarget" and one["status"] == "True" for one in conditions)


def _why_waiting(pod: Object, events: Iterable[Object]) -> str | None:
    """In plain words, for whoever waits; None when it is on its way."""
    if (said := _why_unscheduled(pod, events)) is not None:
        return why_unschedulable(said)
    for status in _statuses(pod):
        waiting = status.get("state", {}).get("waiting") or {}
        if (reason := waiting.get("reason", "")) in _PULL_REASONS:
            return _PULLED_AGAIN.format(image=_image(status), why=_short(waiting.get("message") or reason))
    return None


def _why_unscheduled(pod: Object, events: Iterable[Object]) -> str | None:
    """In the scheduler's words."""
    for condition in pod.get("status", {}).get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            if condition.get("reason") != "Unschedulable":
                return None
            said = [str(event.get("message", "")) for event in events if event.get("reason") == "FailedScheduling"]
            return str(condition.get("message") or (said[-1] if said else ""))
    return None


def _image(status: Object) -> str:
    return _short(str(status.get("image") or f"of its {status['name']}"))


def _refused(deployment: Object, events: Iterable[Object]) -> str | None:
    """Why no pod was made, by its Deployment or else the newest event: a quota, a policy, no service account."""
    why = ""
    for event in events:
        if event.get("reason") in ("FailedCreate", "ReplicaSetCreateError"):
            why = str(event.get("message", ""))
    for condition in deployment.get("status", {}).get("conditions", []):
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            why = str(condition.get("message", ""))
    if not why:
        return None
    return _QUOTA if "exceeded quota" in why else _REFUSED.format(why=_short(why))


def _containers_run(pod: Object) -> bool:
    statuses = _statuses(pod)
    return len(statuses) == 2 and all("running" in status.get("state", {}) for status in statuses)


def _statuses(pod: Object) -> list[Object]:
    status = pod.get("status", {})
    return [*status.get("initContainerStatuses", []), *status.get("containerStatuses", [])]


def _short(words: str) -> str:
    """One line of somebody else's words, without its full stop."""
    line = " ".join(words.split()).rstrip(".")
    return line if len(line) <= _WHY_MOST else f"{line[:_WHY_MOST]}…"
