"""Puts back what belongs to a pod that runs when somebody removes or changes it: NetworkPolicy, Service, Ingress.

Its Deployment carries them as they were made (`manifests.DEPENDENTS`): every server puts back the same, whatever its
own settings say by then, so that none has to lead. Secrets are not looked at: a pod that runs has its own already, and
nobody may list them.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from orchestrator.backends.kubernetes.api import (
    DEPLOYMENTS,
    INGRESSES,
    KINDS,
    POLICIES,
    SERVICES,
    Api,
    ApiError,
    Kind,
    Object,
)
from orchestrator.backends.kubernetes.manifests import APP, DEPENDENTS, EPOCH, REPL, SLOT, Manifest, owned_by
from orchestrator.backends.kubernetes.observe import failure_in
from orchestrator.backends.kubernetes.watching import View

SETTLE_S: Final = 1.0  # views are behind each other: what a stop removes is seen before the Deployment is seen to go
AGAIN_S: Final = 5.0  # between two times for one pod: whoever insists on another form is not fought at full speed

_FIELDS: Final[Mapping[Kind, tuple[str, ...]]] = {
    POLICIES: ("podSelector", "policyTypes", "ingress", "egress"),
    SERVICES: ("type", "selector", "ports"),  # the server adds addresses
    INGRESSES: ("ingressClassName", "rules", "tls"),
}
"""What is compared of a spec: what we say of it."""
_EMPTY_IS_ABSENT: Final = {"matchLabels", "matchExpressions", "ingress", "egress", "ports", "except", "tls"}
_LABELS: Final = (APP, REPL, EPOCH, SLOT)

log = logging.getLogger(__name__)


class Dependents:
    """Of the `deployments` that there are of `selector`; who watches them calls `look` with each that changes."""

    def __init__(self, api: Api, selector: str, deployments: View, *, with_ingress: bool) -> None:
        kinds = (POLICIES, SERVICES, *((INGRESSES,) if with_ingress else ()))
        self.views: Final = {kind: View(api, kind, selector, self.look, kept=_marked(kind)) for kind in kinds}
        self._api = api
        self._deployments = deployments
        self._noted: set[str] = set()  # by name, which is that of all that belongs together
        self._woken = asyncio.Event()
        self._mended: dict[str, float] = {}  # when, by the loop's clock

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for view in self.views.values():
                tasks.create_task(view.run(), name="watching dependents")
                tasks.create_task(self._look_at_all(view), name="looking at dependents")
            tasks.create_task(self._mend_all(), name="mending dependents")

    def look(self, found: Mapping[str, Any]) -> None:
        """Soon: at what belongs to it."""
        self._note(found["metadata"]["name"])

    def _note(self, name: str) -> None:
        self._noted.add(name)
        self._woken.set()

    async def _look_at_all(self, view: View) -> None:
        """What was removed before there was a view of it is told by nobody."""
        await view.listed.wait()
        for name in self._deployments.objects:
            self._note(name)

    async def _mend_all(self) -> None:
        while True:
            await self._woken.wait()
            await asyncio.sleep(SETTLE_S)
            self._woken.clear()
            noted, self._noted = self._noted, set()
            for name in noted:
                try:
                    await self._mend(name)
                except ApiError as error:
                    log.warning("what belongs to %s is put back later: %s", name, error)
                    asyncio.get_running_loop().call_later(AGAIN_S, self._note, name)
                except Exception:  # an annotation that is none of ours, say
                    log.exception("what belongs to %s is not put back", name)
                await asyncio.sleep(0)  # a thousand are looked at when they are found

    async def _mend(self, name: str) -> None:
        deployment = self._deployments.objects.get(name)
        if deployment is None or not (amiss := self._amiss(deployment)):
            return
        now_s = asyncio.get_running_loop().time()
        self._mended = {one: at_s for one, at_s in self._mended.items() if at_s > now_s - AGAIN_S}
        if name in self._mended:
            asyncio.get_running_loop().call_later(self._mended[name] + AGAIN_S - now_s, self._note, name)
            return
        uid = deployment["metadata"]["uid"]
        labels = ",".join(f"{label}={value}" for label, value in deployment["metadata"]["labels"].items())
        there = await self._api.list(DEPLOYMENTS, labels)  # the view may be behind: what is stopped is not put back
        if any(one["metadata"]["uid"] == uid and _runs(one) for one in there.items):
            self._mended[name] = now_s
            for one in amiss:
                await self._api.apply(one)
                log.warning("%s %s was removed or changed by somebody, and is put back", one["kind"], name)

    def _amiss(self, deployment: Object) -> list[Manifest]:
        if not _runs(deployment):
            return []
        metadata = deployment["metadata"]
        carried = json.loads((metadata.get("annotations") or {}).get(DEPENDENTS, "[]"))
        wanted = [owned_by(metadata["name"], metadata["uid"], one) for one in carried]
        return [one for one in wanted if not self._is_there(one)]

    def _is_there(self, wanted: Manifest) -> bool:
        """Also what is not known."""
        view = self.views.get(KINDS[wanted["kind"]])
        if view is None or not view.listed.is_set():
            return True
        shown = view.objects.get(wanted["metadata"]["name"])
        if shown is None or shown["mark"] != mark(KINDS[wanted["kind"]], wanted):
            return False
        annotations = shown["metadata"].get("annotations") or {}
        return all(annotations.get(key) == value for key, value in wanted["metadata"].get("annotations", {}).items())


def mark(kind: Kind, found: Mapping[str, Any]) -> str:
    """The same for what means the same: of what the server shows, and of what we want."""
    metadata, spec = found["metadata"], found["spec"]
    owners = [owner["uid"] for owner in metadata.get("ownerReferences", []) if owner.get("controller")]
    labels = [metadata.get("labels", {}).get(label) for label in _LABELS]
    said = [owners, labels, _plain({field: spec.get(field) for field in _FIELDS[kind]})]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _marked(kind: Kind) -> Callable[[Object], Object]:
    """A thousand policies are some MiB: of each is kept what it is compared by."""

    def kept(found: Object) -> Object:
        metadata = {name: found["metadata"].get(name) for name in ("name", "resourceVersion", "annotations")}
        return {"metadata": metadata, "mark": mark(kind, found)}

    return kept


def _plain(value: Any) -> Any:
    """As the server gives it: without lists that are empty. Of selectors `{}` and nothing differ."""
    match value:
        case dict():
            return {key: _plain(one) for key, one in value.items() if one or key not in _EMPTY_IS_ABSENT}
        case list():
            return [_plain(one) for one in value]
    return value


def _runs(deployment: Object) -> bool:
    is_leaving = deployment["metadata"].get("deletionTimestamp")
    return bool(deployment["spec"].get("replicas")) and not is_leaving and not failure_in(deployment)
