"""What is done to one incarnation in the cluster: which act is next, purely from what is known, and each of them.

Every act may be done again, and by several servers at once: what one of them has done already is left as it is.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, assert_never

from orchestrator.backends.base import BackendError, SandboxSpec
from orchestrator.backends.kubernetes import manifests
from orchestrator.backends.kubernetes.api import DEPLOYMENTS, PODS, Api, ApiError
from orchestrator.backends.kubernetes.cluster import Cluster
from orchestrator.backends.kubernetes.known import Incarnations, Key, Known, claim_in, is_leaving, uid_of
from orchestrator.backends.kubernetes.manifests import CLAIMED, EPOCH, FAILED, OURS, REPL, SLOT, SLOT_PREFIX, name_of
from orchestrator.backends.kubernetes.observe import (
    Object,
    current_pod,
    failure_in,
    is_crowded_out,
    is_gone,
    observation_of,
)
from orchestrator.backends.kubernetes.slots import Slots
from orchestrator.domain import SandboxPhase

AGAIN_S: Final = 1.0  # between two acts on one incarnation: by then the views show what came of the first
LEFT_WITHIN_S: Final = 60.0  # by a slot's pod that is in the way; on a machine that does not answer it never does


@dataclass(frozen=True, slots=True)
class Remove:
    """It is of an earlier epoch, or one of two that servers have made at once."""


@dataclass(frozen=True, slots=True)
class MakeRoom:
    """Slots that are nobody's have what it needs."""


@dataclass(frozen=True, slots=True)
class Bury:
    """It has failed, and nothing says so yet."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Have one pod act for it."""

    deployment: Object  # as it was seen without a claim
    uid: str  # of the pod


Act = Remove | MakeRoom | Bury | Claim


def next_act(
    known: Known, epochs: Mapping[int, Known], now: datetime, *, has_free_slots: bool, leads: bool
) -> Act | None:
    """None: nothing is to be done about it, or not by this server. `epochs` are those of its REPL; who `leads` has
    slots give way.
    """
    deployment, seen = known.deployment, known.seen()
    _, epoch = known.key
    if deployment is None or is_leaving(deployment):
        return None
    if epochs.get(epoch) is not known or any(of > epoch and newer.deployment for of, newer in epochs.items()):
        return Remove()
    if known.has_failed:
        return None
    if has_free_slots and is_crowded_out(seen):
        return MakeRoom() if leads else None
    found, pod = observation_of(seen, now), current_pod(seen)
    if found is not None and found.phase is SandboxPhase.FAILED:
        return Bury()
    if pod is not None and not seen.claimed and not is_leaving(pod):
        return Claim(deployment, uid_of(pod))
    return None


class Acts:
    """`known` is what the views show. Each raises ApiError."""

    def __init__(self, api: Api, cluster: Cluster, known: Incarnations, slots: Slots) -> None:
        self._api = api
        self._cluster = cluster
        self._known = known
        self._slots = slots

    async def do(self, known: Known, act: Act) -> None:
        match act:
            case Remove():
                await self._remove(known)
            case MakeRoom():
                await self._make_room(known)
            case Bury():
                await self._bury(known)
            case Claim(deployment, uid):
                await self._claim(known, deployment, uid)
            case _:
                assert_never(act)

    async def make(self, spec: SandboxSpec, key: bytes, slug: str) -> None:
        """Every step may be repeated: what is there by then is left as it is."""
        name = name_of(spec.repl_id, spec.epoch)
        if self._cluster.claim:
            await self._make_disk(spec)
        try:
            made = await self._api.apply(manifests.deployment(spec, self._cluster), force=False)
        except ApiError as error:
            found = await self._api.list(DEPLOYMENTS, selector_of((spec.repl_id, spec.epoch)))
            if error.status == 409 and any(one["spec"].get("replicas") for one in found.items):
                return  # they are not ours to take: it is made, and no view shows it yet
            raise
        for one in manifests.dependents(spec, self._cluster, key, uid_of(made), slug):
            await self._api.apply(one)
        await self._api.scale(DEPLOYMENTS, name, 1)

    async def clear(self, repl_id: str, epoch: int | None = None) -> None:
        """Have all of the epochs before this one removed. Raises BackendError while a pod of one may still save."""
        earlier = [known for of, known in self._known.of(repl_id).items() if epoch is None or of < epoch]
        for known in earlier:
            if known.deployment is not None:
                await self._remove(known)
        now = self._api.now()
        if any(not is_gone(pod, now) for known in earlier for pod in known.pods.values()):
            raise BackendError("An earlier run of it is still ending.", retryable=True)

    async def _make_disk(self, spec: SandboxSpec) -> None:
        """It stays what it was made as: clusters change sizes seldom and classes never."""
        try:
            await self._api.create(manifests.claim(spec, self._cluster))
        except ApiError as error:
            if error.status != 409:
                raise

    async def _make_room(self, known: Known) -> None:
        """What nobody uses goes, and what had no room is made once more where its pod was not even made."""
        await self._slots.give_way()
        now_s = asyncio.get_running_loop().time
        until_s = now_s() + LEFT_WITHIN_S
        while is_crowded_out(known.seen()) and now_s() < until_s:
            if not any(slot.pods for slot in self._known.free):
                break
            await asyncio.sleep(AGAIN_S)
        if known.deployment is not None and not known.pods:
            await self._remove(known)

    async def _remove(self, known: Known) -> None:
        """With all that belongs to it. A slot is shown until its pods are gone: they do not say whose they are."""
        uid = uid_of(known.deployment) if known.deployment else ""
        await self._api.delete(DEPLOYMENTS, known.name, uid, is_last=known.is_slot)

    async def _claim(self, known: Known, deployment: Object, uid: str) -> None:
        """For one pod, once and for all: whoever is second is refused."""
        while not claim_in(deployment):
            version = deployment["metadata"]["resourceVersion"]
            change = {"metadata": {"resourceVersion": version, "annotations": {CLAIMED: uid}}}
            try:
                await self._api.patch(DEPLOYMENTS, known.name, change)
                return
            except ApiError as error:
                if error.status != 409:
                    raise
            found = await self._api.list(DEPLOYMENTS, _selector(known))  # perhaps its status alone has changed
            if not found.items:
                return
            deployment = found.items[0]

    async def _bury(self, known: Known) -> None:
        """What has failed runs no further, and says why for as long as it is there.

        The views may be behind each other: it is looked at anew first.
        """
        deployments = await self._api.list(DEPLOYMENTS, _selector(known))
        pods = await self._api.list(PODS, _selector(known))
        for deployment in deployments.items:
            seen = replace(replace(known, deployment=deployment).seen(), pods=tuple(pods.items))
            found = observation_of(seen, self._api.now())
            if found is not None and found.phase is SandboxPhase.FAILED and not failure_in(deployment):
                version = deployment["metadata"]["resourceVersion"]
                told = {"resourceVersion": version, "annotations": {FAILED: found.reason}}
                await self._api.patch(DEPLOYMENTS, known.name, {"metadata": told, "spec": {"replicas": 0}})


def selector_of(key: Key) -> str:
    """Of all that says whose it is: also of a slot that was claimed."""
    return f"{OURS},{REPL}={key[0]},{EPOCH}={key[1]}"


def _selector(known: Known) -> str:
    if known.is_slot:
        return f"{OURS},{SLOT}={known.name.removeprefix(SLOT_PREFIX)}"
    return selector_of(known.key)
