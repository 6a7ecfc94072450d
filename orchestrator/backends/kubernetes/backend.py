"""REPLs as pods: what every backend promises, kept by a Kubernetes cluster. See `manifests` for what there is of one.

What runs is what the API server shows: nothing of it is remembered here, so that a server that is restarted, or another
one, finds everything again.
"""

import asyncio
import hashlib
import hmac
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any, Final, Self

from starlette.types import ASGIApp

from orchestrator.backends.base import BackendError, Check, Election, OnActivity, PreviewDoors, SandboxSpec
from orchestrator.backends.kubernetes import acts, doctor
from orchestrator.backends.kubernetes.acts import Act, Acts, next_act, selector_of
from orchestrator.backends.kubernetes.api import CLAIMS, DEPLOYMENTS, EVENTS, PODS, Api, ApiError
from orchestrator.backends.kubernetes.cluster import Cluster
from orchestrator.backends.kubernetes.computing import Computing
from orchestrator.backends.kubernetes.dependents import Dependents
from orchestrator.backends.kubernetes.election import LeaseElection
from orchestrator.backends.kubernetes.forward import Dial
from orchestrator.backends.kubernetes.installation import take_namespace
from orchestrator.backends.kubernetes.known import NOBODY, Incarnations, Key, Known, is_leaving, uid_of
from orchestrator.backends.kubernetes.manifests import OURS, SLOT, SLUG, claim_name
from orchestrator.backends.kubernetes.observe import Object, is_gone, observation_of
from orchestrator.backends.kubernetes.pods import ClaimedPod
from orchestrator.backends.kubernetes.slots import Slots
from orchestrator.backends.kubernetes.versions import Versions
from orchestrator.backends.kubernetes.watching import View
from orchestrator.changes import Changes
from orchestrator.domain import Observation, SandboxPhase, Size
from runner.forwarding.keys import Incarnation
from runner.snapshots.stores.asking import Ask

LEASE: Final = "devex-leader"
FOUND_WITHIN_S: Final = 60.0  # two calls with their retries
ADVICE: Final = "`devex doctor` says what is missing."
LOOK_S: Final = 5.0  # a pod whose machine is gone is overdue by the time alone: nobody tells

log = logging.getLogger(__name__)


class KubernetesBackend:
    """It opens and closes `api` and `versions`. `dial_of` says how a pod is reached, `secret` makes their keys.

    `installation` is asked for when it is entered, and says whose REPLs the namespace has; unsaid, they are anybody's.
    """

    keeps_disk = False  # a claim's disk stays, but nobody can save from it before it is mounted again

    def __init__(
        self,
        api: Api,
        cluster: Cluster,
        versions: Versions,
        *,
        dial_of: Callable[[Object], Dial],
        secret: bytes,
        installation: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        self.preview_doors = (
            PreviewDoors(key_of=lambda repl_id, epoch: self.key_of((repl_id, epoch)), may_look=_nobody_may)
            if cluster.ingress and cluster.ingress.preview_ports
            else None
        )
        self.on_activity: OnActivity = lambda repl_id, reason: None  # set by the orchestrator
        self._api = api
        self._cluster = cluster
        self._versions = versions
        self._dial_of = dial_of
        self._secret = secret
        self._installation = installation
        self._changes = Changes[str](key=str)
        self._deployments = View(api, DEPLOYMENTS, OURS, self._looked_at_deployment)
        self._pods = View(api, PODS, OURS, self._looked_at_pod)
        self._events = View(api, EVENTS, "", self._heard)
        self._dependents = Dependents(api, OURS, self._deployments, with_ingress=cluster.ingress is not None)
        self._computing = Computing(
            api, lambda: {str(one["metadata"]["name"]): uid_of(one) for one in self._pods.objects.values()}
        )
        self._known = Incarnations()
        self._slots = Slots(api, cluster, self._known, dial_of=dial_of, secret=secret)
        self._acts = Acts(api, cluster, self._known, self._slots)
        self._candidate = LeaseElection(api, LEASE, beside=self._slots.keep_full)
        self.election: Election | None = self._candidate
        self._shown: dict[str, Observation] = {}
        self._noted: set[str] = set()  # by name
        self._leaving: set[str] = set()  # those which the time alone may show otherwise
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._api)
            await stack.enter_async_context(self._versions)
            await self._take_namespace()
            stack.push_async_callback(self._leave)
            await self._find_all()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._stack.aclose()

    async def _take_namespace(self) -> None:
        """Before anything of another installation is seen, let alone removed."""
        if self._installation is None:
            return
        self._candidate.installation = await self._installation()
        try:
            await take_namespace(self._api, LEASE, self._cluster.namespace, self._candidate.installation)
        except ApiError as error:
            raise BackendError(
                f"The cluster does not show whose it is: {error}", retryable=True, action=ADVICE
            ) from error

    async def _find_all(self) -> None:
        for view in (self._deployments, self._pods, self._events):
            self._own(view.run())
        self._own(self._dependents.run())
        try:
            async with asyncio.timeout(FOUND_WITHIN_S):
                await asyncio.gather(self._deployments.listed.wait(), self._pods.listed.wait())
        except TimeoutError:
            why = self._deployments.trouble or self._pods.trouble
            raise BackendError(f"The cluster does not show its REPLs: {why}", retryable=True, action=ADVICE) from None
        for known in self._known:
            self._act(known)

    async def _leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        links = [known.link for known in self._known if known.link]
        self._known.forget_all()
        await asyncio.gather(*(link.close() for link in links))

    async def ensure(self, spec: SandboxSpec) -> None:
        """Goes on with a start that was cut off."""
        known = self._known.get(spec.repl_id, spec.epoch)
        if known is not None and known.is_made:
            return
        try:
            await self._acts.clear(spec.repl_id, spec.epoch)
            key, slug = self.key_of((spec.repl_id, spec.epoch)), spec.environment.get(SLUG, spec.repl_id)
            if not await self._slots.take(spec, key, slug):
                await self._acts.make(spec, key, slug)
        except ApiError as error:
            if _is_of_quota(error):
                with suppress(ApiError):  # the next try does it again; why there is no room is what is said
                    await self._slots.give_way()
            raise _explained(error) from error

    async def observe(self) -> dict[str, Observation]:
        for known in [known for name in self._leaving if (known := self._known.named(name))]:
            repl_id, _ = known.key
            before = self._shown.get(repl_id)
            self._look(repl_id)
            if self._shown.get(repl_id) != before:
                self._act(known)
        return self._shown  # not a copy: it is asked for each REPL that is looked at

    async def cpu_times(self) -> dict[str, float]:
        used = await self._computing.look()
        return {
            known.key[0]: used[uid]
            for known in self._known
            if known.link is not None and (uid := known.link.incarnation.instance) in used
        }

    def watch(self) -> AsyncIterator[str]:
        return self._changes.subscribe()

    async def save(self, repl_id: str, epoch: int, message: str) -> str:
        link = self._link_to(repl_id, epoch)
        if link is not None:
            return await link.save(message)
        return await self._versions.newest(repl_id)

    async def stop(self, repl_id: str, epoch: int) -> None:
        link = self._link_to(repl_id, epoch)
        if link is not None and link.answers:
            with suppress(BackendError):  # it is saved already, or lost
                await link.flush()
        changes = self._changes.subscribe(lambda changed: changed == repl_id)
        try:
            found = await self._api.list(DEPLOYMENTS, selector_of((repl_id, epoch)))
            for one in found.items:  # whether a view shows it yet or not
                is_slot = SLOT in one["metadata"]["labels"]
                await self._api.delete(DEPLOYMENTS, one["metadata"]["name"], is_last=is_slot)
        except ApiError as error:
            raise _explained(error) from error
        while (known := self._known.get(repl_id, epoch)) and observation_of(known.seen(), self._api.now()):
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await anext(changes)

    async def seed(
        self, repl_id: str, files: Mapping[str, bytes], *, copy_of: str | None, version: str | None = None
    ) -> str | None:
        if copy_of is not None and version is None:
            running = [known.link for known in self._known.of(copy_of).values() if known.link]
            for link in running:
                version = await link.save("to be copied")
        return await self._versions.seed(repl_id, files, copy_of, version)

    async def collect(self, repl_id: str, epoch: int) -> None:
        if self._link_to(repl_id, epoch) is None:
            await self._versions.collect(repl_id, epoch)

    async def delete_workspace(self, repl_id: str) -> None:
        try:
            await self._acts.clear(repl_id)
            await self._versions.purge(repl_id)
            if self._cluster.claim:
                await self._api.delete(CLAIMS, claim_name(repl_id))
        except ApiError as error:
            raise _explained(error) from error

    def runner_app(self, repl_id: str) -> ASGIApp | None:
        shown = self._shown.get(repl_id)
        if shown is None or shown.phase is not SandboxPhase.RUNNING:
            return None
        link = self._link_to(repl_id, shown.epoch)
        return link.forward if link is not None else None

    def files_app(self, repl_id: str, size: Size) -> ASGIApp:
        return self._versions.app(repl_id, size)

    def has_tool(self, name: str) -> bool:
        return True  # images bring them; what an image lacks is found out by running it

    async def doctor(self) -> list[Check]:
        return await doctor.checks(self._api, self._cluster, self._versions)

    # What is there

    def _looked_at_deployment(self, found: Object) -> None:
        there = found["metadata"]["name"] in self._deployments.objects
        self._note(self._known.take_deployment(found, is_there=there))
        self._dependents.look(found)

    def _looked_at_pod(self, found: Object) -> None:
        self._note(self._known.take_pod(found, is_there=found["metadata"]["name"] in self._pods.objects))

    def _heard(self, event: Object) -> None:
        if event["metadata"]["name"] in self._events.objects:
            self._note(self._known.take_event(event))

    def _note(self, known: Known | None) -> None:
        """To be acted on when all is known that came with it: a list shows an earlier epoch before a later one."""
        if known is not None:
            if not self._noted:
                asyncio.get_running_loop().call_soon(self._act_on_noted)
            self._noted.add(known.name)

    def _act_on_noted(self) -> None:
        noted, self._noted = self._noted, set()
        if self._deployments.listed.is_set() and self._pods.listed.is_set():
            for known in [known for name in noted if (known := self._known.named(name))]:
                self._act(known)

    def _link_to(self, repl_id: str, epoch: int) -> ClaimedPod | None:
        known = self._known.get(repl_id, epoch)
        return known.link if known is not None else None

    def _look(self, repl_id: str) -> None:
        """What is shown of it, anew: the newest epoch's."""
        self._shown.pop(repl_id, None)
        for _, known in sorted(self._known.of(repl_id).items()):
            found = observation_of(known.seen(), self._api.now())
            if found is not None and found.phase is SandboxPhase.FAILED and not known.has_failed:
                found = replace(found, phase=SandboxPhase.STARTING, reason=None)  # it is looked into: see Bury
            if found is not None:
                self._shown[repl_id] = found

    # What is done about it

    def _act(self, known: Known) -> None:
        """Speak to the pod that is claimed, leave one that is gone, do what is to be done, and tell what is seen."""
        if known.is_slot:
            self._slots.look()
        if known.key == NOBODY:
            if known.deployment is None and not known.pods:
                self._known.forget(known)
            return
        pods = [pod for pod in known.pods.values() if not is_gone(pod, self._api.now())]
        if known.link is not None and not any(uid_of(pod) == known.link.incarnation.instance for pod in pods):
            # Not before: a pod that is asked to end saves a last version, for which we sign.
            self._own(known.link.close())
            known.link = None
        if known.link is None and (pod := known.claimed) is not None and pod in pods:
            known.link = self._speak_to(known, pod)
        if not known.is_acted_on and (act := self._next_act(known)) is not None:
            known.is_acted_on = True
            self._own(self._do(known, act))
        if any(is_leaving(pod) for pod in known.pods.values()):
            self._leaving.add(known.name)
        else:
            self._leaving.discard(known.name)
        repl_id, _ = known.key
        self._look(repl_id)
        if known.deployment is None and not known.pods and known.link is None:
            self._known.forget(known)
        self._changes.publish(repl_id)

    def _next_act(self, known: Known) -> Act | None:
        epochs, has_free_slots = self._known.of(known.key[0]), bool(self._known.free)
        return next_act(known, epochs, self._api.now(), has_free_slots=has_free_slots, leads=self._slots.leads)

    async def _do(self, known: Known, act: Act) -> None:
        """One act at a time; the next when the views show what came of it."""
        try:
            await self._acts.do(known, act)
        except ApiError as error:
            log.warning("%s is tried again: %s", known.name, error)
        except Exception:  # what an API server says that nobody expects
            log.exception("%s is tried again", known.name)
        await asyncio.sleep(acts.AGAIN_S)
        known.is_acted_on = False
        self._note(known)

    def _speak_to(self, known: Known, pod: Object) -> ClaimedPod:
        repl_id, epoch = known.key
        return ClaimedPod(
            Incarnation(repl_id, epoch, uid_of(pod)),
            self._dial_of(pod),
            self.key_of(known.key),
            answer=self._answering(repl_id, self._versions.answer_of(repl_id, epoch)),
            on_activity=lambda reason: self.on_activity(repl_id, reason),
            changed=lambda: self._note(known),
        )

    def _answering(self, repl_id: str, sign: Ask) -> Ask:
        async def answer(question: dict[str, Any]) -> dict[str, Any]:
            match question:
                case {"session": str(session_id)} if self.preview_doors is not None:
                    try:
                        return {"good": await self.preview_doors.may_look(repl_id, session_id)}
                    except Exception:  # the database is away: the pod believes what it was told before
                        log.exception("who looks at a preview could not be found out")
                        return {}
                case _:
                    return await sign(question)

        return answer

    def key_of(self, key: Key) -> bytes:
        """Of an incarnation. Made, not kept: no server needs to read a Secret."""
        return hmac.digest(self._secret, f"repl key {key[0]} {key[1]}".encode(), hashlib.sha256)

    def _own(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task of the backend failed", exc_info=error)


async def _nobody_may(repl_id: str, session_id: str) -> bool:
    return False


def _is_of_quota(error: ApiError) -> bool:
    return error.status == 403 and "exceeded quota" in error.message


def _explained(error: ApiError) -> BackendError:
    if _is_of_quota(error):
        message = "All REPLs together have used up what the operator set aside."
        return BackendError(message, retryable=True, action="Stop another one.")
    if error.status == 0:
        return BackendError("The cluster does not answer.", retryable=True)
    passes = error.retryable or error.status == 409  # somebody else was faster
    return BackendError(f"The cluster refused it: {error.message}", retryable=passes)
