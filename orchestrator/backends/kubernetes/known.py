"""What is known of each incarnation, from what the views tell one after the other.

Its objects bear the name of its Deployment, or begin with it. Whose they are, labels say: repl and epoch.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from orchestrator.backends.kubernetes.manifests import ASSUMED, CLAIMED, SLOT_PREFIX, key_in, name_in
from orchestrator.backends.kubernetes.observe import Object, Seen, failure_in
from orchestrator.backends.kubernetes.pods import ClaimedPod

EVENTS_MOST: Final = 20  # of one incarnation, the newest
# Of a Deployment; those of its ReplicaSets and pods begin with it.
_NAME: Final = re.compile(r"repl-[a-z0-9]+-\d+|slot-[a-z0-9]+")

Key = tuple[str, int]
"""`(repl_id, epoch)`."""

NOBODY: Final[Key] = ("", 0)


@dataclass(slots=True)
class Known:
    """What there is of an incarnation, as the views show it, and what is being done about it."""

    name: str  # of its Deployment
    key: Key = NOBODY  # of a slot that is not claimed
    deployment: Object | None = None
    pods: dict[str, Object] = field(default_factory=dict)  # by name
    events: list[Object] = field(default_factory=list)  # the newest last
    link: ClaimedPod | None = None
    is_acted_on: bool = False

    @property
    def has_failed(self) -> bool:
        return self.deployment is not None and bool(failure_in(self.deployment))

    @property
    def is_slot(self) -> bool:
        return self.name.startswith(SLOT_PREFIX)

    @property
    def is_made(self) -> bool:
        """Nothing is left of it to be made."""
        if self.deployment is None or self.has_failed:
            return self.has_failed
        return is_assumed(self.deployment) if self.is_slot else bool(self.deployment["spec"].get("replicas"))

    @property
    def claimed(self) -> Object | None:
        """The pod that may act for it and is told so; None while there is none that can be spoken to."""
        if self.is_slot and not is_assumed(self.deployment):
            return None
        uid = claim_in(self.deployment)
        pods = (pod for pod in self.pods.values() if uid_of(pod) == uid and pod.get("status", {}).get("podIP"))
        return next(pods, None)

    def seen(self) -> Seen:
        return Seen(
            deployment=self.deployment,
            pods=tuple(self.pods.values()),
            events=tuple(self.events),
            claimed=claim_in(self.deployment),
            answers=self.link is not None and self.link.answers,
            whose=self.key if self.key != NOBODY else None,
        )


class Incarnations:
    """Of all REPLs, and the slots that are nobody's yet: those are `free`. What a view tells of is given as it is or
    last was, with whether it `is_there` now; -> what is known of what it belongs to, None when it is not ours.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, Known] = {}
        self._by_repl: dict[str, dict[int, Known]] = {}
        self._free: dict[str, Known] = {}

    def __iter__(self) -> Iterator[Known]:
        return iter([known for known in self._by_name.values() if known.key != NOBODY])

    @property
    def free(self) -> list[Known]:
        return list(self._free.values())

    def of(self, repl_id: str) -> Mapping[int, Known]:
        """By epoch."""
        return self._by_repl.get(repl_id, {})

    def get(self, repl_id: str, epoch: int) -> Known | None:
        return self.of(repl_id).get(epoch)

    def named(self, name: str) -> Known | None:
        return self._by_name.get(name)

    def take_deployment(self, found: Object, *, is_there: bool) -> Known | None:
        if (known := self._whose(found)) is not None:
            known.deployment = found if is_there else None
        return known

    def take_pod(self, found: Object, *, is_there: bool) -> Known | None:
        if (known := self._whose(found)) is not None:
            name = found["metadata"]["name"]
            if is_there:
                known.pods[name] = found
            else:
                known.pods.pop(name, None)
        return known

    def take_event(self, event: Object) -> Known | None:
        about = _NAME.match(event.get("involvedObject", {}).get("name", ""))
        if about is None or (known := self._by_name.get(about[0])) is None:
            return None
        known.events.append(event)
        del known.events[:-EVENTS_MOST]
        return known

    def forget(self, known: Known) -> None:
        self._by_name.pop(known.name, None)
        self._free.pop(known.name, None)
        repl_id, epoch = known.key
        if self.get(repl_id, epoch) is known:
            del self._by_repl[repl_id][epoch]
            if not self._by_repl[repl_id]:
                del self._by_repl[repl_id]

    def forget_all(self) -> None:
        self._by_name.clear()
        self._by_repl.clear()
        self._free.clear()

    def _whose(self, found: Object) -> Known | None:
        labels = found["metadata"].get("labels", {})
        if (name := name_in(labels)) is None:
            return None
        if (known := self._by_name.get(name)) is None:
            known = self._by_name[name] = self._free[name] = Known(name)
        key = key_in(labels)
        if key is not None and known.key == NOBODY:
            known.key = key
            del self._free[name]
            self._is_of(key, known)
        return known

    def _is_of(self, key: Key, known: Known) -> None:
        """There is one of each: of two that servers have made at once all servers take the same one."""
        other = self.get(*key)
        if other is None or other.deployment is None or is_leaving(other.deployment) or known.name < other.name:
            self._by_repl.setdefault(key[0], {})[key[1]] = known


def claim_in(deployment: Object | None) -> str:
    """The uid of the pod that it is claimed for, "" while it is not."""
    annotations = deployment["metadata"].get("annotations") or {} if deployment else {}
    return str(annotations.get(CLAIMED, ""))


def is_assumed(slot: Object | None) -> bool:
    """Its pod knows whose it is."""
    return slot is not None and ASSUMED in (slot["metadata"].get("annotations") or {})


def is_leaving(found: Object) -> bool:
    return bool(found["metadata"].get("deletionTimestamp"))


def uid_of(found: Object) -> str:
    return str(found["metadata"]["uid"])
