"""A visit to the preview of a stopped REPL starts it, and its program, behind a page that waits.

Only a person's navigation does: not a page that loads itself again, not a script, not what browsers fetch ahead. Who
visits is known by then (see `previews`). What is decided here depends on nothing but the visits themselves: the page
that waits asks again by itself, and each time things are looked at anew.
"""

import asyncio
from collections import deque
from contextlib import suppress
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from starlette.responses import Response
from starlette.types import Scope

from app.access import Access, Action, recheck
from app.gateway.runner_client import RunnerClient
from app.gateway.runners import running_app, viewer_of
from app.services import Services
from orchestrator.clock import Clock
from orchestrator.domain import Goal, Repl
from runner.errors import DevexError
from runner.plain_page import PageLink, plain_page
from runner.previews.hosts import local_path

log = structlog.get_logger("devex")

REFRESH_S = 1  # a start takes 0.1 s, its program seldom longer than a second
WAKES_MOST, WAKES_WITHIN = 10, timedelta(days=1)  # of one REPL: what comes oftener is no person
WAITED_FOR = timedelta(minutes=5)  # whoever has not asked again for so long has left; so long may a start take


class WokenTooOften(DevexError):
    retry_after_s = 3600

    def __init__(self) -> None:
        message = f"Visits have started this REPL {WAKES_MOST} times within a day, the most they may."
        super().__init__("woken_too_often", message, "Start it in DEVEX.", status=429)


class Wake(NamedTuple):
    at: datetime
    epoch: int  # that ended before it: several visits at once, as of a browser that opens again, are one


class Waking:
    """Which REPLs visits have started.

    In memory: a restarted server counts anew. Only its operator restarts it, and what that gives away is WAKES_MOST
    starts, each of which falls idle like any other.
    """

    def __init__(self, services: Services, clock: Clock) -> None:
        self._services = services
        self._clock = clock
        self._wakes: dict[str, deque[Wake]] = {}
        self._waited_for: dict[str, datetime] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    async def answer(self, scope: Scope, access: Access) -> Response | None:
        """What is shown to somebody who navigates to a port; None when the port itself answers.

        Raises WokenTooOften, or what `Orchestrator.start` raises.
        """
        repl, orchestrator = access.the_repl, self._services.orchestrator
        asked_at = self._waited_for.pop(repl.id, None)
        waited_for = asked_at is not None and self._clock.now() - asked_at < WAITED_FOR
        if orchestrator.runner_app(repl.id) is not None:
            return None
        if repl.goal is not Goal.RUN:
            if waited_for:
                return self._ended(repl)
            if not _is_by_a_person(scope):
                return self._asleep(scope, repl)
            self._check(repl.id)
            await orchestrator.start(repl.id)
            if repl.id not in self._running:
                running = asyncio.create_task(self._run(access), name=f"run {repl.id}")
                self._running[repl.id] = running
                running.add_done_callback(lambda task: self._has_run(repl.id, task))
            wakes = self._wakes.setdefault(repl.id, deque(maxlen=WAKES_MOST))
            if not wakes or wakes[-1].epoch != repl.epoch:
                wakes.append(Wake(self._clock.now(), repl.epoch))
            waited_for = True
        if waited_for:
            self._waited_for[repl.id] = self._clock.now()
        return self._page(repl, f"Starting {repl.name}", "It is shown as soon as it answers.", refresh_s=REFRESH_S)

    async def close(self) -> None:
        """What comes up from now on runs no program."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    def _has_run(self, repl_id: str, task: asyncio.Task[None]) -> None:
        del self._running[repl_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a program was not run", repl_id=repl_id, exc_info=error)

    async def _run(self, access: Access) -> None:
        """Press Run once it is up, unless a program runs. Not when the page asks again: that may be the sandbox's, or
        another server's. What cannot be run is told by the page of the port that nothing answers.
        """
        orchestrator = self._services.orchestrator
        with suppress(DevexError):
            repl = await orchestrator.get(access.the_repl.id)
            app = await running_app(orchestrator, repl, within_s=WAITED_FOR.total_seconds())
            access = await recheck(self._services, access.actor, Action.WRITE, repl.id)  # a start takes its time
            runner = RunnerClient(app, viewer_of(access))
            if not (await runner.ask("GET", "run"))["running"]:
                await runner.ask("POST", "run", {})

    def _check(self, repl_id: str) -> None:
        long_ago = self._clock.now() - WAKES_WITHIN
        self._wakes = {one: wakes for one, wakes in self._wakes.items() if wakes[-1].at > long_ago}
        wakes = self._wakes.get(repl_id)
        if wakes and len(wakes) == WAKES_MOST and wakes[0].at > long_ago:
            raise WokenTooOften

    def _asleep(self, scope: Scope, repl: Repl) -> Response:
        target = scope["raw_path"].decode("latin-1")
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        link = PageLink("Start it", local_path(target), within=True)
        return self._page(repl, f"{repl.name} is stopped", repl.stop_reason or "", link=link)

    def _ended(self, repl: Repl) -> Response:
        why = repl.failure or repl.stop_reason or "It was stopped."
        return self._page(repl, f"{repl.name} did not start", why)

    def _page(
        self, repl: Repl, title: str, text: str, *, link: PageLink | None = None, refresh_s: int | None = None
    ) -> Response:
        origin = self._services.settings.origin
        link = link or PageLink("Open it in DEVEX", f"{origin}/repl/{repl.id}")
        return plain_page(title, text, 503, link=link, refresh_s=refresh_s, ancestors=origin)


def _is_by_a_person(scope: Scope) -> bool:
    """Browsers say which navigations a person caused; what says nothing at all is an old one, or no browser."""
    sent = dict(scope["headers"])
    ahead = b"sec-purpose" in sent or sent.get(b"purpose") == b"prefetch"
    return not ahead and (b"sec-fetch-site" not in sent or sent.get(b"sec-fetch-user") == b"?1")
