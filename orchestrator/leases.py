"""The leases of every Repl that is awake. Kept in memory: a restarted server grants them anew."""

from collections.abc import Callable
from datetime import datetime, timedelta

from orchestrator.clock import Clock
from orchestrator.domain import Activity, Lease


class Leases:
    """`on_change(repl_id)` is called when what a user sees changes by activity: a warning was lifted."""

    def __init__(self, clock: Clock, idle_stop_s: float, on_change: Callable[[str], None]) -> None:
        self._clock = clock
        self._idle_stop_s = idle_stop_s
        self._on_change = on_change
        self._leases: dict[str, Lease] = {}

    def get(self, repl_id: str) -> Lease | None:
        return self._leases.get(repl_id)

    def grant(self, repl_id: str) -> None:
        """Begin a lease; one that runs is left alone."""
        now = self._clock.now()
        self._leases.setdefault(
            repl_id,
            Lease(
                repl_id=repl_id,
                activity=Activity.OPENED,
                renewed_at=now,
                expires_at=now + timedelta(seconds=self._idle_stop_s),
            ),
        )

    def renew(self, repl_id: str, activity: Activity) -> None:
        """Activity of a Repl without a lease (it is not awake) means nothing. Called for every keystroke."""
        if lease := self._leases.get(repl_id):
            now = self._clock.now()
            self._put(lease, lease.renewed(activity, now, self._idle_stop_s), now)

    def extend(self, repl_id: str, duration_s: float) -> Lease | None:
        """Keep it awake for `duration_s` from now, whatever happens."""
        lease = self._leases.get(repl_id)
        if lease is None:
            return None
        now = self._clock.now()
        self._put(lease, lease.renewed(Activity.EXTENDED, now, duration_s), now)
        return self._leases[repl_id]

    def drop(self, repl_id: str) -> None:
        self._leases.pop(repl_id, None)

    def _put(self, before: Lease, after: Lease, now: datetime) -> None:
        self._leases[before.repl_id] = after
        if before.warning_s(now) != after.warning_s(now):
            self._on_change(before.repl_id)
