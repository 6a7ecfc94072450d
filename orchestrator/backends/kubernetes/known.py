"""What is known of each incarnation, from what the views tell one after the other.

Its objects bear the name of its Deployment, or begin with it. Whose they are, labels say: repl and epoch.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from orchestrator.backends.kubernetes.manifests import CLAIMED, EPOCH, REPL, name_of
from orchestrator.backends.kubernetes.observe import Object, Seen, failure_in
from orchestrator.backends.kubernetes.pods import ClaimedPod

EVENTS_MOST: Final = 20  # of one incarnation, the newest
_NAME: Final = re.compile(r"repl-[a-z0-9]+-\d+")  # of a Deployment; those of its ReplicaSets and pods begin with it

Key = tuple[str, int]
"""`(repl_id, epoch)`."""


@dataclass(slots=True)
class Known:
    """What there is of an incarnation, as the views show it, and what is being done about it."""

    name: str  # of its Deployment
    key: Key
    deployment: Object | None = None
    pods: dict[str, Object] = field(default_factory=dict)  # by name
    events: list[Object] = field(default_factory=list)  # the newest last
    link: ClaimedPod | None = None
    is_acted_on: bool = False

    @property
    def has_failed(self) -> bool:
        return self.deployment is not None and bool(failure_in(self.deployment))

    @property
    def is_made(self) -> bool:
        return self.deployment is not None and bool(self.deployment["spec"].get("replicas") or self.has_failed)

    def seen(self) -> Seen:
        return Seen(
            deployment=self.deployment,
            pods=tuple(self.pods.values()),
            events=tuple(self.events),
            claimed=claim_in(self.deployment),
            answers=self.link is not None and self.link.answers,
        )


class Incarnations:
    """Of all REPLs. What a view tells of is given as it is or last was, with whether it `is_there` now; -> what is
    known of whose it is, None when it is nobody's.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, Known] = {}
        self._by_repl: dict[str, dict[int, Known]] = {}

    def __iter__(self) -> Iterator[Known]:
        return iter(list(self._by_name.values()))

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
        repl_id, epoch = known.key
        epochs = self._by_repl.get(repl_id, {})
        epochs.pop(epoch, None)
        if not epochs:
            self._by_repl.pop(repl_id, None)

    def forget_all(self) -> None:
        self._by_name.clear()
        self._by_repl.clear()

    def _whose(self, found: Object) -> Known | None:
        if (key := key_of(found)) is None:
            return None
        name = name_of(*key)
        if (known := self._by_name.get(name)) is None:
            known = self._by_name[name] = Known(name, key)
            self._by_repl.setdefault(key[0], {})[key[1]] = known
        return known


def claim_in(deployment: Object | None) -> str:
    """The uid of the pod that it is claimed for, "" while it is not."""
    annotations = deployment["metadata"].get("annotations") or {} if deployment else {}
    return str(annotations.get(CLAIMED, ""))


def key_of(found: Object) -> Key | None:
    labels = found["metadata"].get("labels", {})
    epoch = str(labels.get(EPOCH, ""))
    return (labels[REPL], int(epoch)) if REPL in labels and epoch.isdecimal() else None
