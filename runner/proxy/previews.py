"""The preview port of a pod: an Ingress leads the hosts of its programs' ports here, past the gateway.

Host is believed, as far as it names this REPL; of X-Forwarded-* nothing is, for nothing of it is needed.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from runner.answers import Unexpected, json_answer, refuse
from runner.errors import DevexError
from runner.live import Live
from runner.previews.entrance import Entrance, NoPass, port_scope
from runner.previews.hosts import PreviewDomain, PreviewHost, header, unforwarded
from runner.previews.tickets import Pass
from runner.proxy.control import Control, Unclaimed
from runner.snapshots.stores.store import StoreError
from runner.viewer import NOBODY

CHECKED_S: Final = 10.0  # as often as the gateway looks which sessions have ended
ASK_AGAIN_S: Final = (
    CHECKED_S / 2
)  # less than a round of `watch`: no answer that came late in one is believed in the next
BELIEVED_S: Final = 300.0  # while no server of the control plane answers: it is being replaced
ANSWER_S: Final = 3.0  # a page waits for it
LOOKS_MOST: Final = 16  # at a time: a version's questions are of the same QUESTIONS_MOST

log = logging.getLogger(__name__)


class UnknownHost(DevexError):
    def __init__(self) -> None:
        action = "Open the preview again from the REPL."
        super().__init__("host", "This REPL is not served under this name.", action, status=421)


class NotToldYet(DevexError):
    """Whether the session is good."""

    def __init__(self) -> None:
        message = "DEVEX's server cannot be asked who you are."
        super().__init__("unreachable", message, "Try again in a minute.", status=503, retryable=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Previewed:
    """Of which REPL previews are served; `origin` is the application's, `key` seals tickets and passes."""

    slug: str
    domain: PreviewDomain
    origin: str
    key: bytes


class PreviewPort:
    """The ASGI application of that port. `proxy` serves the ports; `watch` is to be run beside it."""

    def __init__(self, previewed: Previewed, proxy: ASGIApp, control: Control) -> None:
        self._previewed = previewed
        self._proxy = proxy
        self._control = control
        self._live = Live[str]()
        self._sessions = Sessions(control.ask)
        self._entrance = Entrance(previewed.domain, self, origin=previewed.origin, public=_public)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        domain = self._previewed.domain
        scheme = domain.scheme if scope["type"] == "http" else domain.scheme.replace("http", "ws")
        scope = {**scope, "scheme": scheme, "headers": unforwarded(scope["headers"])}
        host = domain.parse(header(scope, b"host"))
        if host is None or host.slug != self._previewed.slug:
            await refuse(scope, receive, send, json_answer(UnknownHost()))
        else:
            await self._entrance.serve(host, scope, receive, send)

    async def keys(self, slug: str) -> tuple[bytes]:
        """See `Keeper`."""
        return (self._previewed.key,)

    async def show(self, host: PreviewHost, granted: Pass, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._control.claimed.is_set():
            raise Unclaimed
        await self._sessions.check(granted.session_id)
        async with self._live.hold(granted.session_id):
            await self._proxy(port_scope(host, scope, NOBODY), receive, send)

    async def watch(self) -> None:
        """Until cancelled: close what sessions hold open that have ended. One that nobody tells of delays no other."""
        looked_at: set[str] = set()

        async def look(session_id: str) -> None:
            try:
                async with looking:
                    await self._sessions.check(session_id)
            except DevexError:
                self._live.end([session_id], NoPass)
            finally:
                looked_at.discard(session_id)

        looking = asyncio.Semaphore(LOOKS_MOST)
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(CHECKED_S)
                for session_id in self._live.holders() - looked_at:
                    looked_at.add(session_id)
                    group.create_task(look(session_id), name="session looked at")
                self._sessions.forget()


class Sessions:
    """Which ones are good, as the control plane says. `ask` raises StoreError when there is nobody to be asked."""

    def __init__(
        self, ask: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._ask = ask
        self._now = now
        self._good_s: dict[str, float] = {}  # when it was said
        self._asked_s: dict[str, float] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    async def check(self, session_id: str) -> None:
        """Raises NoPass, and NotToldYet."""
        if self._now() - self._asked_s.get(session_id, -ASK_AGAIN_S) >= ASK_AGAIN_S:
            await self._ask_once(session_id)
        if session_id not in self._asked_s:
            raise NoPass
        if self._now() - self._good_s.get(session_id, -BELIEVED_S) >= BELIEVED_S:
            del self._asked_s[session_id]  # who tries again asks again
            raise NotToldYet

    def forget(self) -> None:
        """What has not been asked for a while."""
        long_ago_s = self._now() - BELIEVED_S
        for session_id in [one for one, asked_s in self._asked_s.items() if asked_s < long_ago_s]:
            del self._asked_s[session_id]
            self._good_s.pop(session_id, None)

    async def _ask_once(self, session_id: str) -> None:
        """A page asks for dozens of files at once."""
        if (asking := self._asking.get(session_id)) is None:
            asking = self._asking[session_id] = asyncio.create_task(self._ask_about(session_id), name="session asked")
            asking.add_done_callback(lambda _: self._asking.pop(session_id, None))
        await asyncio.shield(asking)

    async def _ask_about(self, session_id: str) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                good = (await self._ask({"session": session_id})).get("good")
        except (StoreError, TimeoutError):
            good = None
        self._asked_s[session_id] = self._now()
        if good is True:
            self._good_s[session_id] = self._now()
        elif good is False:
            del self._asked_s[session_id]
            self._good_s.pop(session_id, None)


def _public(error: Exception) -> DevexError:
    if isinstance(error, DevexError):
        return error
    told = Unexpected()
    log.error("a preview failed: %s", told.id, exc_info=error)
    return told
