"""The leases of every Repl that is awake, and what kept it so.

Every server has them, from the same sources: what is recorded, and what each sandbox tells every server. The one that
acts on what runs goes by its own.

In memory: a restarted server grants leases anew and begins new ledgers, and says since when. Nobody but its operator
can have that, and what it gives away is one idle time. What is limited, hours by the day, is recorded with the Repl
(see `domain.extension`), and so survives.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from orchestrator.clock import Clock, within
from orchestrator.domain import RESTING, Activity, Lease, Ledger, Phase, Repl, closed, noted

LEDGERS_MOST = 1000  # of Repls that were active last; a full one is 30 KB


class Leases:
    """`on_change(repl_id)` is called when a warning falls due or is lifted."""

    def __init__(self, clock: Clock, idle_stop_s: float, on_change: Callable[[str], None]) -> None:
        self.since = clock.now()  # what was before is in no ledger
        self._clock = clock
        self._idle_stop_s = idle_stop_s
        self._on_change = on_change
        self._leases: dict[str, Lease] = {}
        self._ledgers: OrderedDict[str, Ledger] = OrderedDict()
        self._warned: dict[str, int] = {}  # which warning was told last
        self._granted = asyncio.Event()

    async def run(self) -> None:
        """Tell when warnings fall due, until cancelled."""
        while True:
            self._granted.clear()
            now = self._clock.now()
            for lease in list(self._leases.values()):
                self._tell(lease, now)
            ahead = [at for lease in self._leases.values() if (at := lease.next_change_at(now)) > now]
            if not ahead:
                await self._granted.wait()
                continue
            with suppress(TimeoutError):
                await within(self._clock, min(ahead), self._granted.wait())

    def follow(self, repl: Repl) -> None:
        """As it is recorded now: it has a lease from when it runs until it rests, for at least as long as was asked."""
        if repl.phase in RESTING:
            self.drop(repl.id)
        elif repl.phase is Phase.RUNNING:
            self.grant(repl.id, repl.awake_until)
            lease = self._leases[repl.id]
            if repl.awake_until is not None and repl.awake_until > lease.expires_at:
                self.extend(repl.id, repl.awake_until)
            elif repl.opened_at > lease.renewed_at:  # by way of another server
                self.renew(repl.id, Activity.OPENED)

    def get(self, repl_id: str) -> Lease | None:
        """What keeps it awake and until when; None while it does not run."""
        return self._leases.get(repl_id)

    def ledger(self, repl_id: str) -> Ledger:
        """What has kept it awake `since` the server started, also of one that has stopped."""
        return self._ledgers.get(repl_id, ())

    def grant(self, repl_id: str, awake_until: datetime | None = None) -> None:
        """Begin a lease, at least until then; one that runs is left alone."""
        if repl_id in self._leases:
            return
        now = self._clock.now()
        expires_at = now + timedelta(seconds=self._idle_stop_s)
        lease = Lease(repl_id=repl_id, activity=Activity.OPENED, renewed_at=now, expires_at=expires_at)
        self._leases[repl_id] = lease
        self._granted.set()
        if awake_until is not None and awake_until > now:
            self.extend(repl_id, awake_until)
        else:
            self._note(repl_id, Activity.OPENED, now)

    def renew(self, repl_id: str, activity: Activity) -> None:
        """Activity of a Repl without a lease (it is not awake) means nothing. Called for every keystroke."""
        if lease := self._leases.get(repl_id):
            now = self._clock.now()
            self._note(repl_id, activity, now)
            self._put(lease.renewed(activity, now, self._idle_stop_s), now)

    def extend(self, repl_id: str, until: datetime) -> None:
        """Keep it awake until then, whatever happens."""
        if lease := self._leases.get(repl_id):
            now = self._clock.now()
            self._note(repl_id, Activity.EXTENDED, now, until)
            self._put(lease.renewed(Activity.EXTENDED, now, (until - now).total_seconds()), now)

    def drop(self, repl_id: str) -> None:
        if self._leases.pop(repl_id, None) is None:
            return
        self._warned.pop(repl_id, None)
        if repl_id in self._ledgers:
            self._ledgers[repl_id] = closed(self._ledgers[repl_id], self._clock.now())

    def _note(self, repl_id: str, activity: Activity, now: datetime, until: datetime | None = None) -> None:
        self._ledgers[repl_id] = noted(self.ledger(repl_id), activity, now, until)
        self._ledgers.move_to_end(repl_id)
        while len(self._ledgers) > LEDGERS_MOST:
            self._ledgers.popitem(last=False)

    def _put(self, lease: Lease, now: datetime) -> None:
        self._leases[lease.repl_id] = lease
        self._tell(lease, now)

    def _tell(self, lease: Lease, now: datetime) -> None:
        due = lease.warning_s(now) or 0
        if due != self._warned.get(lease.repl_id, 0):
            self._warned[lease.repl_id] = due
            self._on_change(lease.repl_id)
