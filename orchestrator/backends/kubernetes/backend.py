"""REPLs as pods: what every backend promises, kept by a Kubernetes cluster. See `manifests` for what there is of one.

What runs is what the API server shows: nothing of it is remembered here, so that a server that is restarted, or another
one, finds everything again.
"""

import asyncio
import hashlib
import hmac
import logging
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, Self

from starlette.types import ASGIApp

from orchestrator.backends.base import BackendError, Check, Election, OnActivity, PreviewDoors, SandboxSpec
from orchestrator.backends.kubernetes import manifests
from orchestrator.backends.kubernetes.api import CLAIMS, DEPLOYMENTS, EVENTS, PODS, Api, ApiError
from orchestrator.backends.kubernetes.cluster import Cluster
from orchestrator.backends.kubernetes.computing import Computing
from orchestrator.backends.kubernetes.election import LeaseElection
from orchestrator.backends.kubernetes.forward import Dial
from orchestrator.backends.kubernetes.manifests import APP, APP_NAME, CLAIMED, EPOCH, REPL, claim_name, name_of
from orchestrator.backends.kubernetes.observe import Object, Seen, current_pod, observation_of
from orchestrator.backends.kubernetes.pods import ClaimedPod
from orchestrator.backends.kubernetes.versions import Versions
from orchestrator.backends.kubernetes.watching import View
from orchestrator.changes import Changes
from orchestrator.domain import Observation, SandboxPhase, Size
from runner.errors import DevexError
from runner.forwarding.keys import Incarnation
from runner.snapshots.stores.asking import Ask

OURS: Final = f"{APP}={APP_NAME}"
LEASE: Final = "devex-leader"
SLUG: Final = "DEVEX_REPL_SLUG"
EVENTS_MOST: Final = 20  # of one REPL, the newest
_EVENT_OF: Final = re.compile(r"repl-([a-z0-9]+)-(\d+)")

log = logging.getLogger(__name__)

Key = tuple[str, int]
"""`(repl_id, epoch)`."""


class KubernetesBackend:
    """`dial_of` says how a pod is reached, `answer_of` signs for an incarnation, `secret` makes their keys."""

    keeps_disk = False  # a claim's disk stays, but nobody can save from it before it is mounted again
    preview_doors: PreviewDoors | None = None

    def __init__(
        self,
        api: Api,
        cluster: Cluster,
        versions: Versions,
        *,
        dial_of: Callable[[Object], Dial],
        answer_of: Callable[[str, int], Ask],
        secret: bytes,
    ) -> None:
        self.on_activity: OnActivity = lambda repl_id, reason: None  # set by the orchestrator
        self.election: Election | None = LeaseElection(api, LEASE)
        self._api = api
        self._cluster = cluster
        self._versions = versions
        self._dial_of = dial_of
        self._answer_of = answer_of
        self._secret = secret
        self._changes = Changes[str](key=str)
        self._deployments = View(api, DEPLOYMENTS, OURS, self._looked_at)
        self._pods = View(api, PODS, OURS, self._looked_at)
        self._events = View(api, EVENTS, "", self._heard)
        self._computing = Computing(
            api, lambda: {str(one["metadata"]["name"]): _uid(one) for one in self._pods.objects.values()}
        )
        self._why: dict[Key, list[Object]] = {}  # events, the newest last
        self._claimed: dict[Key, ClaimedPod] = {}
        self._claiming: set[Key] = set()
        self._starting: set[Key] = set()  # made by this process, and not scaled yet
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        for view in (self._deployments, self._pods, self._events):
            self._own(view.run())
        await asyncio.gather(self._deployments.listed.wait(), self._pods.listed.wait())
        for found in list(self._deployments.objects.values()):
            if not found["spec"].get("replicas") and not _is_leaving(found):  # a start that was cut off
                await self._remove(found)
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.gather(*(pod.close() for pod in self._claimed.values()))
        self._claimed.clear()

    async def ensure(self, spec: SandboxSpec) -> None:
        key = spec.repl_id, spec.epoch
        if key in self._starting or name_of(*key) in self._deployments.objects:
            return
        self._starting.add(key)
        try:
            await self._make(spec)
        except ApiError as error:
            raise _explained(error) from error
        finally:
            self._starting.discard(key)
            self._changes.publish(spec.repl_id)

    async def observe(self) -> dict[str, Observation]:
        now = datetime.now(UTC)
        newest: dict[str, Observation] = {}
        for key in sorted(self._keys()):  # a later epoch replaces an earlier one
            seen = observation_of(self._seen(key), now)
            if seen is not None:
                newest[seen.repl_id] = seen
        return newest

    async def cpu_times(self) -> dict[str, float]:
        try:
            used = await self._computing.look()
        except ApiError as error:
            raise _explained(error) from error
        return {key[0]: used[uid] for key, pod in self._claimed.items() if (uid := pod.incarnation.instance) in used}

    def watch(self) -> AsyncIterator[str]:
        return self._changes.subscribe()

    async def save(self, repl_id: str, epoch: int, message: str) -> str:
        pod = self._claimed.get((repl_id, epoch))
        if pod is not None and pod.answers:
            return await pod.save(message)
        return await self._versions.newest(repl_id)

    async def stop(self, repl_id: str, epoch: int) -> None:
        key = repl_id, epoch
        pod = self._claimed.get(key)
        if pod is not None and pod.answers:
            with suppress(BackendError):  # it is saved already, or lost
                await pod.flush()
        changes = self._changes.subscribe(lambda changed: changed == repl_id)
        found = self._deployments.objects.get(name_of(*key))
        try:
            if found is not None:
                await self._remove(found)
            while observation_of(self._seen(key), datetime.now(UTC)) is not None:
                await anext(changes)
        except ApiError as error:
            raise _explained(error) from error

    async def seed(
        self, repl_id: str, files: Mapping[str, bytes], *, copy_of: str | None, version: str | None = None
    ) -> str | None:
        if copy_of is not None and version is None:
            running = [pod for (name, _), pod in self._claimed.items() if name == copy_of and pod.answers]
            for pod in running:
                version = await pod.save("to be copied")
        return await self._versions.seed(repl_id, files, copy_of, version)

    async def collect(self, repl_id: str, epoch: int) -> None:
        if (repl_id, epoch) not in self._claimed:
            await self._versions.collect(repl_id, epoch)

    async def delete_workspace(self, repl_id: str) -> None:
        await self._versions.purge(repl_id)
        if self._cluster.claim:
            try:
                await self._api.delete(CLAIMS, claim_name(repl_id))
            except ApiError as error:
                raise _explained(error) from error

    def runner_app(self, repl_id: str) -> ASGIApp | None:
        for key, pod in self._claimed.items():
            if key[0] == repl_id and pod.answers:
                seen = observation_of(self._seen(key), datetime.now(UTC))
                if seen is not None and seen.phase is SandboxPhase.RUNNING:
                    return pod.forward
        return None

    def files_app(self, repl_id: str, size: Size) -> ASGIApp:
        return self._versions.app(repl_id, size)

    def has_tool(self, name: str) -> bool:
        return True  # images bring them; what an image lacks is found out by running it

    async def doctor(self) -> list[Check]:
        try:
            await self._api.list(DEPLOYMENTS, OURS)
            found = Check(name="cluster", ok=True, detail="The API server answers.")
        except ApiError as error:
            action = "Look at DEVEX_KUBECONFIG and at the service account's rights."
            found = Check(name="cluster", ok=False, detail=str(error), action=action)
        try:
            kept = await self._versions.probe()
            store = Check(name="store", ok=kept, detail="Kept by conditions." if kept else "It ignores conditions.")
        except DevexError as error:
            store = Check(name="store", ok=False, detail=error.message, action=error.action)
        return [found, store]

    # What is there

    def _keys(self) -> set[Key]:
        return {
            _key(found)
            for view in (self._deployments, self._pods)
            for found in view.objects.values()
            if _key(found) != _NOBODY
        }

    def _seen(self, key: Key) -> Seen:
        deployment = self._deployments.objects.get(name_of(*key))
        pod = self._claimed.get(key)
        return Seen(
            deployment=deployment,
            pods=tuple(found for found in self._pods.objects.values() if _key(found) == key),
            events=tuple(self._why.get(key, ())),
            claimed=_claim_in(deployment),
            answers=pod is not None and pod.answers,
        )

    def _looked_at(self, found: Object) -> None:
        """A deployment or a pod has changed."""
        key = _key(found)
        if key == _NOBODY:
            return
        self._act(key)
        self._changes.publish(key[0])

    def _heard(self, event: Object) -> None:
        of = _EVENT_OF.match(event.get("involvedObject", {}).get("name", ""))
        if of is None:
            return
        key = of[1], int(of[2])
        events = self._why.setdefault(key, [])
        events.append(event)
        del events[:-EVENTS_MOST]
        if key not in self._keys():
            del self._why[key]
        self._changes.publish(key[0])

    # What is done about it

    def _act(self, key: Key) -> None:
        """Claim the pod of a new incarnation, speak to one that is claimed, leave one that is gone."""
        seen = self._seen(key)
        pod, ours = current_pod(seen), self._claimed.get(key)
        if ours is not None and not any(_uid(one) == ours.incarnation.instance for one in seen.pods):
            # Not before: a pod that is asked to end saves a last version, for which we sign.
            del self._claimed[key]
            self._own(ours.close())
        if seen.deployment is None:
            self._why.pop(key, None)
            return
        if pod is None or _is_leaving(pod) or _is_leaving(seen.deployment):
            return
        uid = pod["metadata"]["uid"]
        if not seen.claimed and key not in self._claiming:
            self._claiming.add(key)
            self._own(self._claim(key, seen.deployment, uid))
        elif seen.claimed == uid and key not in self._claimed and pod.get("status", {}).get("podIP"):
            self._claimed[key] = self._speak_to(key, pod)

    async def _claim(self, key: Key, deployment: Object, uid: str) -> None:
        """For one pod, once and for all: whoever is second is refused."""
        version = deployment["metadata"]["resourceVersion"]
        change = {"metadata": {"resourceVersion": version, "annotations": {CLAIMED: uid}}}
        try:
            await self._api.patch(DEPLOYMENTS, name_of(*key), change)
        except ApiError as error:
            log.info("the claim of %s was refused: %s", key, error)  # its newer state is shown, and acted on
        finally:
            self._claiming.discard(key)

    def _speak_to(self, key: Key, pod: Object) -> ClaimedPod:
        repl_id, epoch = key
        return ClaimedPod(
            Incarnation(repl_id, epoch, pod["metadata"]["uid"]),
            self._dial_of(pod),
            self.key_of(key),
            answer=self._answer_of(repl_id, epoch),
            on_activity=lambda reason: self.on_activity(repl_id, reason),
            changed=lambda: self._changes.publish(repl_id),
        )

    def key_of(self, key: Key) -> bytes:
        """Of an incarnation. Made, not kept: no server needs to read a Secret."""
        return hmac.digest(self._secret, f"repl key {key[0]} {key[1]}".encode(), hashlib.sha256)

    async def _make(self, spec: SandboxSpec) -> None:
        key = self.key_of((spec.repl_id, spec.epoch))
        if self._cluster.claim:
            await self._api.apply(manifests.claim(spec, self._cluster))
        made = await self._api.apply(manifests.deployment(spec, self._cluster))
        uid, slug = made["metadata"]["uid"], spec.environment.get(SLUG, spec.repl_id)
        for one in manifests.dependents(spec, self._cluster, key, uid, slug):
            await self._api.apply(one)
        await self._api.scale(DEPLOYMENTS, name_of(spec.repl_id, spec.epoch), 1)

    async def _remove(self, deployment: Object) -> None:
        await self._api.delete(DEPLOYMENTS, deployment["metadata"]["name"], deployment["metadata"]["uid"])

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task of the backend failed", exc_info=error)


_NOBODY: Final[Key] = ("", 0)


def _key(found: Object) -> Key:
    labels = found["metadata"].get("labels", {})
    epoch = str(labels.get(EPOCH, ""))
    return (labels[REPL], int(epoch)) if REPL in labels and epoch.isdecimal() else _NOBODY


def _claim_in(deployment: Object | None) -> str:
    annotations = deployment["metadata"].get("annotations") or {} if deployment else {}
    return str(annotations.get(CLAIMED, ""))


def _uid(found: Object) -> str:
    return str(found["metadata"]["uid"])


def _is_leaving(found: Object) -> bool:
    return bool(found["metadata"].get("deletionTimestamp"))


def _explained(error: ApiError) -> BackendError:
    if error.status == 403 and "exceeded quota" in error.message:
        message = "All REPLs together have used up what the operator set aside."
        return BackendError(message, retryable=True, action="Stop another one.")
    if error.status == 0:
        return BackendError("The cluster does not answer.", retryable=True)
    return BackendError(f"The cluster refused it: {error.message}", retryable=error.retryable)
