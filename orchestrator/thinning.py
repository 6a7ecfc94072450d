"""Thinning out the versions of Repls at rest, once a day. What runs does it by itself, but seldom for long enough."""

import logging

from orchestrator.backends.base import Backend, BackendError
from orchestrator.clock import Clock, after, within
from orchestrator.domain import Limits
from orchestrator.faults import Faults
from orchestrator.records import Records

FIRST_S = 3600  # after the start of a server, which has other things to do at first
ROUND_S = 24 * 3600  # the finest step of retention that a Repl at rest still passes is a day's
PAUSE_S = 5  # between two Repls: everybody's versions are saved by the process that does this, too
WITHIN_S = 1800  # of one Repl; one that takes longer is left to the next round

log = logging.getLogger(__name__)


class Thinning:
    """One Repl after another. One that was started meanwhile is left alone: its versions are of a newer epoch."""

    def __init__(self, backend: Backend, records: Records, clock: Clock, limits: Limits) -> None:
        self._backend = backend
        self._records = records
        self._clock = clock
        self._faults = Faults(limits)

    async def run(self) -> None:
        """Work until cancelled."""
        pause_s: float = FIRST_S
        while True:
            await self._clock.sleep_until(after(self._clock, pause_s))
            try:
                for repl in await self._records.list_at_rest():
                    await self._thin(repl.id)
                    await self._clock.sleep_until(after(self._clock, PAUSE_S))
                self._faults.worked("thinning versions out")
                pause_s = ROUND_S
            except Exception as error:
                pause_s = self._faults.failed("thinning versions out", error)

    async def _thin(self, repl_id: str) -> None:
        repl = await self._records.get(repl_id)
        if repl is None or not repl.at_rest:
            return
        try:
            await within(self._clock, after(self._clock, WITHIN_S), self._backend.collect(repl.id, repl.epoch))
        except (BackendError, TimeoutError) as error:
            extra = {"repl_id": repl.id, "epoch": repl.epoch}
            log.warning("old versions were not thinned out: %s", str(error) or "it took too long", extra=extra)
