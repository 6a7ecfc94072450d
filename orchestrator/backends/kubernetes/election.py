"""Which of several servers leads: whoever holds a Lease of coordination.k8s.io, as client-go's leader election has it.

No two clocks are compared. Who does not lead counts, by its own monotonic clock, from when it saw the Lease change;
who leads counts from before it asked to renew, and gives up well before anybody else may take it.
"""

import asyncio
import logging
import random
import secrets
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from orchestrator.backends.kubernetes.api import LEASES, Api, ApiError, Object
from orchestrator.backends.kubernetes.installation import INSTALLATION
from orchestrator.backends.kubernetes.manifests import Manifest

# client-go's numbers: a leader that dies is replaced within 17 s, and one whose API server is slow stays.
LEASE_S: Final = 15  # nobody else takes it for so long after it was renewed
RENEW_WITHIN_S: Final = 10.0  # who has not renewed it by then leads no more; the rest is for ending its work
TRY_S: Final = 5.0  # one try: a server that hangs leaves time for another
RETRY_S: Final = 2.0

log = logging.getLogger(__name__)


class LeaseElection:
    """One candidate. `run` keeps what `orchestrator.backends.base.Election` promises. `beside` is what who leads does
    for the cluster itself: until cancelled.
    """

    def __init__(self, api: Api, name: str, beside: Callable[[], Coroutine[Any, Any, None]] | None = None) -> None:
        self.installation = ""  # set by the backend: whose Lease it is, see `installation`
        self.identity: Final = f"{socket.gethostname()}_{secrets.token_hex(4)}"  # another one after every restart
        self._api = api
        self._name = name
        self._beside = beside
        self._held: Object | None = None  # as we last wrote it: it is not asked for before it is renewed
        self._seen = ""  # the version of another one's, and since when it has not changed
        self._seen_at_s = 0.0

    async def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        try:
            while True:
                lead_until_s = await self._until_taken()
                log.info("this server leads: it is %s", self.identity)
                await self._lead(work, lead_until_s)
                log.warning("this server does not lead any more")
        finally:
            await self._release()

    async def _until_taken(self) -> float:
        """-> until when it may be relied on."""
        while True:
            asked_at_s = _now_s()
            try:
                if await self._try():
                    return asked_at_s + RENEW_WITHIN_S
            except (ApiError, TimeoutError) as error:
                log.info("it is not known who leads: %s", str(error) or "the API server is slow")
            await asyncio.sleep(RETRY_S * random.uniform(1.0, 1.2))  # noqa: S311

    async def _lead(self, work: Callable[[], Coroutine[Any, Any, None]], until_s: float) -> None:
        """Do the work until somebody else may lead. Raises what it raises."""
        working = asyncio.create_task(work(), name="leader's work")
        together = [working, *([asyncio.create_task(self._beside(), name="beside it")] if self._beside else [])]
        try:
            while until_s > _now_s():
                await asyncio.wait([working], timeout=min(RETRY_S, until_s - _now_s()))
                if working.done():
                    return working.result()
                asked_at_s = _now_s()
                try:
                    async with asyncio.timeout_at(until_s):
                        if not await self._try():
                            return None
                    until_s = asked_at_s + RENEW_WITHIN_S
                except (ApiError, TimeoutError) as error:
                    log.warning("the lead was not renewed: %s", str(error) or "the API server is slow")
        finally:
            for task in together:
                task.cancel()
            await asyncio.wait(together)

    async def _try(self) -> bool:
        """Take it or renew it; False when it is somebody else's. Raises ApiError and TimeoutError: it is not known."""
        held, self._held = self._held, None
        async with asyncio.timeout(TRY_S):
            found = held or await self._api.get(LEASES, self._name)
            if found is None:
                self._held = await self._api.create(self._manifest())
            elif self._is_free(found):
                self._held = await self._api.patch(LEASES, self._name, self._taken(found))
        return self._held is not None

    def _is_free(self, found: Object) -> bool:
        """Or ours. Another installation's is neither."""
        annotations = found["metadata"].get("annotations") or {}
        if self.installation and annotations.get(INSTALLATION, self.installation) != self.installation:
            log.error("the Lease %s is another installation's by now: see DEVEX_K8S_NAMESPACE", self._name)
            return False
        spec, version = found["spec"], found["metadata"]["resourceVersion"]
        if version != self._seen:
            self._seen, self._seen_at_s = version, _now_s()
        lasts_s = spec.get("leaseDurationSeconds") or LEASE_S
        return spec.get("holderIdentity", "") in ("", self.identity) or _now_s() > self._seen_at_s + lasts_s

    def _manifest(self) -> Manifest:
        times = {"acquireTime": _stamp(), "renewTime": _stamp()}
        spec = {"holderIdentity": self.identity, "leaseDurationSeconds": LEASE_S, "leaseTransitions": 0, **times}
        annotations = {INSTALLATION: self.installation}
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, **({"annotations": annotations} if self.installation else {})},
            "spec": spec,
        }

    def _taken(self, found: Object) -> Manifest:
        """The change, which is refused when somebody was faster."""
        spec: Manifest = {
            "holderIdentity": self.identity, "leaseDurationSeconds": LEASE_S, "renewTime": _stamp()
        }  # fmt: skip
        if found["spec"].get("holderIdentity") != self.identity:
            spec |= {"acquireTime": _stamp(), "leaseTransitions": found["spec"].get("leaseTransitions", 0) + 1}
        return {"metadata": {"resourceVersion": found["metadata"]["resourceVersion"]}, "spec": spec}

    async def _release(self) -> None:
        """So that nobody has to wait. What was cut off may have reached the server: only that one knows."""
        with suppress(ApiError, TimeoutError):
            async with asyncio.timeout(TRY_S):
                found = await self._api.get(LEASES, self._name)
                if found is not None and found["spec"].get("holderIdentity") == self.identity:
                    version = found["metadata"]["resourceVersion"]
                    free = {"holderIdentity": None, "leaseDurationSeconds": 1, "renewTime": _stamp()}
                    await self._api.patch(LEASES, self._name, {"metadata": {"resourceVersion": version}, "spec": free})


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _stamp() -> str:
    """For people: nobody decides by it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
