"""`/repls/{repl_id}/…`: what a REPL's runner serves, for those who may."""

import asyncio
import re
from contextlib import suppress
from typing import Final

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access import Access, Action, actor_of, authorize, grant
from app.services import Services
from orchestrator.domain import Goal, Phase, Repl
from orchestrator.registry import NoSuchRepl
from orchestrator.service import Orchestrator
from runner.errors import DevexError
from runner.proxy.files.transfer import SAFE_HEADERS
from runner.viewer import Viewer, runner_scope

PREFIX = "/repls/"
READING = frozenset({"GET", "HEAD"})
IN_STORE = "snapshots"
RECORDS = "records"
WHILE_STOPPED = frozenset(
    {"tree", "files", "zip", "find", "search", "usage", RECORDS, IN_STORE}
)  # what can still be shown
EDITING = frozenset({"files", "mkdir", "move"})  # what starts a stopped REPL; not an upload that goes on by itself
COMES_UP_S = 10.0  # a start takes 0.1 s; finding an agent again after a restart a second or two
OURS = frozenset({b"authorization", b"cookie"})  # who asks is said by us: a pod that was taken over sees no secret
ELSEWHERE = "ports"  # programs speak on hosts of their own, never on the application's origin

_POLICY: Final = b"content-security-policy"
_TOLD: Final = frozenset(
    {
        *(b"accept-ranges", b"allow", b"cache-control", b"content-disposition", b"content-length", b"content-range"),
        *(b"content-type", b"devex-missing", b"devex-offset", b"etag", b"retry-after", b"x-accel-buffering"),
    }
)

_PATH = re.compile(r"/repls/([a-z0-9]{1,32})/(.*)", re.DOTALL)


class NotRunning(DevexError):
    def __init__(self) -> None:
        super().__init__("not_running", "This REPL is stopped.", "Start it.", status=409, retryable=True)


def action_of(scope: Scope) -> Action:
    """Sockets carry reading and writing: the runner refuses to write for a viewer who may only look."""
    return Action.OPEN if scope["type"] == "websocket" or scope["method"] in READING else Action.WRITE


def viewer_of(access: Access) -> Viewer:
    """Who looks, as the runner is told, and whether they may write."""
    return Viewer(access.actor.user_id, access.actor.name, can_write=access.can_write)


async def running_app(orchestrator: Orchestrator, repl: Repl, *, within_s: float = COMES_UP_S) -> ASGIApp:
    """What serves it; waited for while it is coming up, or is being found again after a restart of the server.

    Raises NotRunning when it does not come up in time.
    """
    if (app := orchestrator.runner_app(repl.id)) is not None:
        return app
    changes = orchestrator.backend.watch()
    with suppress(TimeoutError):  # then it is looked for once more
        async with asyncio.timeout(within_s):
            while _comes_up(repl):
                await anext(changes)
                if (app := orchestrator.runner_app(repl.id)) is not None:
                    return app
                repl = await orchestrator.get(repl.id)
    if (app := orchestrator.runner_app(repl.id)) is not None:
        return app
    raise NotRunning


async def app_of_records(orchestrator: Orchestrator, repl: Repl) -> ASGIApp:
    """What may delete records of it, whether it runs or not; while it starts it is waited for, as it writes some.

    Raises NotRunning.
    """
    rests = repl.phase in (Phase.STOPPED, Phase.FAILED) and not _comes_up(repl)
    if rests and orchestrator.runner_app(repl.id) is None:
        return orchestrator.files_app(repl)
    return await running_app(orchestrator, repl)


def _comes_up(repl: Repl) -> bool:
    """Also while it is stopped: there a start begins, with the goal to run."""
    return repl.goal is Goal.RUN and repl.phase in (Phase.STOPPED, Phase.STARTING, Phase.RUNNING)


def as_content(send: Send) -> Send:
    """Of a runner's headers those that say what its answer is. It speaks under the application's name, and may be a pod
    that was taken over: it sets no cookies there, and the door's policy lets it run no script.
    """

    def is_told(name: bytes, value: bytes) -> bool:
        return name in _TOLD or (name == _POLICY and value == SAFE_HEADERS["Content-Security-Policy"].encode())

    async def send_content(message: Message) -> None:
        if "headers" in message:
            told = [(name, value) for name, value in message["headers"] if is_told(name.lower(), value)]
            message = {**message, "headers": told}
        await send(message)

    return send_content


class Runners:
    """The ASGI application behind `/repls/`."""

    def __init__(self, services: Services) -> None:
        self._services = services

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = _PATH.fullmatch(scope["path"])
        actor = await actor_of(self._services, HTTPConnection(scope))
        access = await grant(self._services, actor, action_of(scope), found[1] if found else "")
        assert found is not None  # there is no REPL without a name
        first = found[2].partition("/")[0]
        if first == ELSEWHERE:
            raise NoSuchRepl
        async with self._services.live.hold(access.standing):  # also while it is waited for: a start may take a minute
            app = await self._app(scope, access, first)
            raw_path = b"/" + scope["raw_path"].split(b"/", 3)[-1]
            headers = [(name, value) for name, value in scope["headers"] if name not in OURS]
            fresh = runner_scope(
                {**scope, "headers": headers}, viewer_of(access), path=f"/{found[2]}", raw_path=raw_path
            )
            await app(fresh, receive, as_content(send))

    async def _app(self, scope: Scope, access: Access, first: str) -> ASGIApp:
        orchestrator, repl = self._services.orchestrator, access.the_repl
        reads = scope["type"] == "http" and scope["method"] in READING and first in WHILE_STOPPED
        if reads:
            if (app := orchestrator.runner_app(repl.id)) is not None:
                return app
            if first not in (IN_STORE, RECORDS):
                await orchestrator.laid_out(repl.id)
            return orchestrator.files_app(repl)
        if scope["type"] == "http" and scope["method"] == "DELETE" and first == RECORDS:
            return await app_of_records(orchestrator, repl)
        edits = scope["type"] == "http" and scope["method"] not in READING and first in EDITING
        if edits and repl.phase is not Phase.FAILED and orchestrator.runner_app(repl.id) is None:  # why, is to be read
            authorize(access, Action.START)
            repl = await orchestrator.open(repl.id)
        return await running_app(orchestrator, repl)
