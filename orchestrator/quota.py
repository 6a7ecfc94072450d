"""What one owner may have: how many REPLs, how many that run, how many hours kept awake in a day."""

import asyncio
from weakref import WeakValueDictionary

from orchestrator.clock import Clock
from orchestrator.domain import Goal, Limits, used_today_s
from orchestrator.records import Records
from runner.errors import DevexError


class Quota:
    """Holds for who checks and records under the owner's `lock`. It is this server's: another one that is asked in the
    same moment may grant one more.
    """

    def __init__(self, records: Records, clock: Clock, limits: Limits) -> None:
        self._records = records
        self._clock = clock
        self._limits = limits
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def lock(self, owner_id: str) -> asyncio.Lock:
        """Counting and recording of one owner happen one after the other, so that limits hold."""
        return self._locks.setdefault(owner_id, asyncio.Lock())

    async def check_one_more(self, owner_id: str) -> None:
        """Raises DevexError when the owner has as many as one may have."""
        if len(await self._records.list_by_owner(owner_id)) >= self._limits.max_repls:
            message = f"You have {self._limits.max_repls} REPLs, the most one may have."
            raise DevexError("too_many", message, "Delete one you no longer need, and empty the trash.", status=409)

    async def check_one_more_running(self, owner_id: str) -> None:
        """Raises DevexError when as many run as may at once."""
        running = [repl for repl in await self._records.list_by_owner(owner_id) if repl.goal is Goal.RUN]
        if len(running) >= self._limits.max_running:
            message = f"{self._limits.max_running} of your REPLs are running, the most at once."
            raise DevexError("too_many_running", message, "Stop one and try again.", status=409, retryable=True)

    async def extension_left_s(self, owner_id: str) -> float:
        """What is left of today's budget for keeping this owner's REPLs awake."""
        owned = await self._records.list_by_owner(owner_id)
        return max(self._limits.extend_day_s - used_today_s(owned, self._clock.now()), 0)

    def check_extension(self, wanted_s: float, left_s: float) -> None:
        """Raises DevexError when it is more than is left of today's budget."""
        if wanted_s > left_s:
            most, left = self._limits.extend_day_s / 3600, f"{left_s // 3600:.0f} h {left_s % 3600 // 60:.0f} min"
            message = f"Your REPLs may be kept awake for {most:g} hours a day, of which {left} are left today."
            action = "Choose fewer hours, or wait until midnight UTC."
            raise DevexError("extend_budget", message, action, status=409)
