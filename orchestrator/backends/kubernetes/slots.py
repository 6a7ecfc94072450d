"""Pods that are started before anybody wants them, and become somebody's when they are claimed: once.

A slot's Deployment is claimed on its metadata, by who is first to change it; then its pod is told whose it is, over a
link that the slot's own key opens, and that it was told is noted beside the claim. Whoever is cut off in between goes
on: a claim that is not noted yet is told again. What was claimed is never anybody else's: it goes with its epoch.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from orchestrator.backends.base import BackendError, SandboxSpec
from orchestrator.backends.kubernetes import manifests
from orchestrator.backends.kubernetes.api import DEPLOYMENTS, Api, ApiError
from orchestrator.backends.kubernetes.cluster import Cluster
from orchestrator.backends.kubernetes.forward import Forward
from orchestrator.backends.kubernetes.known import Incarnations, claim_in, is_assumed, is_leaving, uid_of
from orchestrator.backends.kubernetes.manifests import APP, APP_NAME, ASSUMED, CLAIMED, DEPENDENTS, REPL, SLOT, Slot
from orchestrator.backends.kubernetes.observe import Object, is_crowded_out, is_up, trouble_of
from orchestrator.backends.kubernetes.pods import FLUSH, command
from orchestrator.backends.kubernetes.reach import DialOf
from runner.forwarding.keys import Impostor, Incarnation
from runner.proxy.slot import ASSUME

TEMPLATE: Final = "devex.dev/template"  # an annotation
MADE_AS: Final = "devex.dev/made-as"  # another: a digest of all that was said of it, and of the secret behind its key
FREE: Final = f"{APP}={APP_NAME},{SLOT},!{REPL}"
PACE_S: Final = 1.0  # between two looks at what is missing: however often something changes, and while REPLs start
RETRY_MOST_S: Final = 300.0  # a quota that is used up stays so for a while
GIVES_WAY_S: Final = 60.0  # after a REPL found no room: by then it runs, or has been told why it does not

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    count: int
    made_as: str


@dataclass(frozen=True, slots=True)
class Plan:
    remove: tuple[Object, ...] = ()
    finish: tuple[Object, ...] = ()  # whose making was cut off
    make: tuple[str, ...] = ()  # templates, one for each


def plan(free: Iterable[Object], wanted: Mapping[str, Wanted]) -> Plan:
    """What is to be done, given the Deployments of slots that nobody has claimed. Those that are leaving do not count;
    the oldest stay.
    """
    remove: list[Object] = []
    kept: dict[str, list[Object]] = {}
    for slot in sorted(free, key=lambda one: str(one["metadata"].get("creationTimestamp", ""))):
        if is_leaving(slot):
            continue
        told = slot["metadata"].get("annotations") or {}
        template = str(told.get(TEMPLATE, ""))
        want, have = wanted.get(template), kept.setdefault(template, [])
        if want is None or told.get(MADE_AS) != want.made_as or len(have) >= want.count:
            remove.append(slot)
        else:
            have.append(slot)
    finish = [slot for slots in kept.values() for slot in slots if not slot["spec"].get("replicas")]
    make = [template for template, want in wanted.items() for _ in range(want.count - len(kept.get(template, [])))]
    return Plan(tuple(remove), tuple(finish), tuple(make))


class Slots:
    """`known` is what the views show; `secret` makes the keys. `leads` while this server keeps them full."""

    def __init__(self, api: Api, cluster: Cluster, known: Incarnations, *, dial_of: DialOf, secret: bytes) -> None:
        self.leads = False
        self._api = api
        self._cluster = cluster
        self._known = known
        self._dial_of = dial_of
        self._secret = secret
        self._changed = asyncio.Event()
        self._rests_until_s = 0.0
        self._said = ""

    def look(self) -> None:
        """One of them has changed."""
        self._changed.set()

    # Becoming somebody's

    async def take(self, spec: SandboxSpec, key: bytes, slug: str) -> bool:
        """Whether the incarnation is in a slot that was claimed for it. Raises ApiError; BackendError while the pod
        cannot be told.
        """
        known = self._known.get(spec.repl_id, spec.epoch)
        ready = self._ready(spec)
        if not (ready or (known and known.is_slot)):
            return False
        labels = manifests.labels(spec.repl_id, spec.epoch)
        found = await self._api.list(DEPLOYMENTS, ",".join(f"{name}={value}" for name, value in labels.items()))
        there = [one for one in found.items if not is_leaving(one)]  # the views may not show it yet
        if any(SLOT not in one["metadata"]["labels"] for one in there):
            return False
        deployment = there[0] if there else await self._claim(ready, spec, slug)
        if deployment is None:
            return False
        if not is_assumed(deployment):
            await self._introduce(deployment, spec, key, slug)
        return True

    def _ready(self, spec: SandboxSpec) -> list[tuple[Object, str]]:
        """Which it may be, made as it would be made now: Deployments as nobody has claimed them, and a pod's uid."""
        if not self._known.free or self._cluster.claim:
            return []
        made_as = self._made_as(Slot(id="", template=spec.template, size=spec.size, egress=spec.egress))
        return [
            (known.deployment, uid_of(pod))
            for known in self._known.free
            if known.deployment is not None
            and not is_leaving(known.deployment)
            and (known.deployment["metadata"].get("annotations") or {}).get(MADE_AS) == made_as
            and (pod := next(filter(is_up, known.pods.values()), None)) is not None
        ]

    async def _claim(self, ready: list[tuple[Object, str]], spec: SandboxSpec, slug: str) -> Object | None:
        """The first that nobody else has changed meanwhile, whatever the views show by now."""
        for deployment, uid in ready:
            meta = deployment["metadata"]
            whose = {
                "resourceVersion": meta["resourceVersion"],
                "labels": manifests.labels(spec.repl_id, spec.epoch),
                "annotations": {
                    CLAIMED: uid,
                    DEPENDENTS: manifests.carried(_slot_of(deployment, spec), self._cluster, slug),
                },
            }
            try:
                return await self._api.patch(DEPLOYMENTS, meta["name"], {"metadata": whose})
            except ApiError as error:
                if error.status not in (404, 409):
                    raise
        return None

    async def _introduce(self, deployment: Object, spec: SandboxSpec, key: bytes, slug: str) -> None:
        """Tell the pod whose it is, and note that it knows. One that is gone is for whoever observes it."""
        name = deployment["metadata"]["name"]
        known = self._known.named(name)
        pods = known.pods.values() if known else []
        pod = next((one for one in pods if uid_of(one) == claim_in(deployment) and is_up(one)), None)
        if pod is None:
            return
        slot = _slot_of(deployment, spec)
        telling = self._tell(slot, pod, spec, key, slug)
        if self._cluster.ingress:
            way = manifests.ingress(slot, self._cluster, self._cluster.ingress, slug)
            await asyncio.gather(telling, self._api.apply(manifests.owned_by(name, uid_of(deployment), way)))
        else:
            await telling
        await self._api.patch(DEPLOYMENTS, name, {"metadata": {"annotations": {ASSUMED: uid_of(pod)}}})

    async def _tell(self, slot: Slot, pod: Object, spec: SandboxSpec, key: bytes, slug: str) -> None:
        dial, uid = self._dial_of(pod), uid_of(pod)
        told: dict[str, Any] = {
            "repl": spec.repl_id,
            "epoch": spec.epoch,
            "key": base64.b64encode(key).decode(),
            "spec": manifests.told(spec, self._cluster, slug),
        }
        before = Forward(dial, self._key_of(slot.id), Incarnation(slot.id, 0, uid))
        after = Forward(dial, key, Incarnation(spec.repl_id, spec.epoch, uid))
        try:
            await command(before, ASSUME, told)
        except Impostor:  # it has been told, and the answer was lost: it has the REPL's key now
            try:
                await command(after, FLUSH, {})
            except Impostor as error:
                raise BackendError(error.message, retryable=True, action=error.action) from error
        finally:
            before.close()
            after.close()

    # Keeping them full

    async def keep_full(self) -> None:
        """Of the server that leads, until cancelled."""
        failures = 0
        self.leads = True
        try:
            while True:
                self._changed.clear()
                rests_s = 0.0
                try:
                    if any(is_crowded_out(known.seen()) for known in self._known):
                        self._rests_until_s = _now_s() + GIVES_WAY_S
                    rests_s = self._rests_until_s - _now_s()
                    if rests_s <= 0:
                        await self._fill()
                    failures = 0
                    self._say(self._trouble())
                except ApiError as error:
                    failures += 1
                    self._say(str(error))
                except Exception:  # what an API server says that nobody expects
                    failures += 1
                    log.exception("slots are not made at the moment")
                if not (failures or rests_s > 0):
                    await self._changed.wait()
                retry_s = min(PACE_S * 2.0 ** min(failures, 30), RETRY_MOST_S)
                await asyncio.sleep(max(retry_s, rests_s))
        finally:
            self.leads = False

    async def give_way(self) -> None:
        """To a REPL that finds no room: it goes before all that nobody uses yet."""
        self._rests_until_s = _now_s() + GIVES_WAY_S
        for slot in (await self._api.list(DEPLOYMENTS, FREE)).items:
            await self._remove(slot)

    async def _fill(self) -> None:
        templates = self._cluster.warm.slots if not self._cluster.claim else {}
        wanted = {name: Wanted(count, self._made_as(self._slot("", name))) for name, count in templates.items()}
        todo = plan((await self._api.list(DEPLOYMENTS, FREE)).items, wanted)
        for slot in todo.remove:
            await self._remove(slot)
        for slot in todo.finish:
            told = slot["metadata"]
            await self._make(self._slot(told["labels"][SLOT], told["annotations"][TEMPLATE]))
        for template in todo.make:
            await self._make(self._slot(secrets.token_hex(5), template))

    async def _make(self, slot: Slot) -> None:
        """Every step may be repeated; one that has its replicas is made, and perhaps somebody's by now."""
        made = manifests.deployment(slot, self._cluster)
        made["metadata"]["annotations"] |= {TEMPLATE: slot.template, MADE_AS: self._made_as(replace(slot, id=""))}
        try:
            owner = await self._api.apply(made, force=False)
        except ApiError as error:
            if error.status == 409:
                return
            raise
        for one in manifests.dependents(slot, self._cluster, self._key_of(slot.id), uid_of(owner), ""):
            await self._api.apply(one)
        await self._api.scale(DEPLOYMENTS, manifests.slot_name(slot.id), 1)

    async def _remove(self, slot: Object) -> None:
        """Unless somebody has claimed it meanwhile."""
        meta = slot["metadata"]
        version = meta["resourceVersion"]
        await self._api.delete(DEPLOYMENTS, meta["name"], uid_of(slot), version=version, is_last=True)

    def _slot(self, slot_id: str, template: str) -> Slot:
        warm = self._cluster.warm
        size = warm.sizes.get(template, warm.size)
        return Slot(id=slot_id, template=template, size=size, egress=warm.egress)

    def _made_as(self, slot: Slot) -> str:
        made = [manifests.deployment(slot, self._cluster), *manifests.dependents(slot, self._cluster, b"", "", "")]
        return hmac.new(self._secret, json.dumps([slot.template, made]).encode(), hashlib.sha256).hexdigest()

    def _key_of(self, slot_id: str) -> bytes:
        return hmac.digest(self._secret, f"slot key {slot_id}".encode(), hashlib.sha256)

    def _trouble(self) -> str:
        """Kubernetes itself tries again, ever more rarely, whatever a pod lacks."""
        troubles = [trouble for known in self._known.free if (trouble := trouble_of(known.seen()))]
        return troubles[0] if troubles else ""

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self._said:
            log.warning("not all slots are there: %s", trouble)
        self._said = trouble


def _slot_of(deployment: Object, spec: SandboxSpec) -> Slot:
    """As it is, made as `spec` would have it."""
    slot_id = deployment["metadata"]["labels"][SLOT]
    return Slot(id=slot_id, template=spec.template, size=spec.size, egress=spec.egress)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
