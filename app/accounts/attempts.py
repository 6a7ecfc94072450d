"""Limits on guessing, in memory: each server counts what it is asked, and a restart forgives nothing worth having."""

from collections import OrderedDict
from datetime import datetime, timedelta

from orchestrator.clock import Clock
from runner.errors import DevexError

WINDOW_S = 900.0  # soon over for who mistyped; forty guesses an hour find no password
TRIES_BY_ACCOUNT_AND_ADDRESS = 10  # more than anybody mistypes
TRIES_BY_ADDRESS = 50  # an office behind one address
TRIES_BY_ACCOUNT = 200  # many addresses guess at one account: slow them down before it can be locked by anybody
KEYS_MOST = 10_000  # some MiB; beyond it the longest unused is forgotten


class TooManyAttempts(DevexError):
    def __init__(self, wait: timedelta) -> None:
        minutes = max(1, round(wait.total_seconds() / 60))
        super().__init__(
            "too_many_attempts",
            "There were too many attempts.",
            f"Try again in {minutes} minute{'s' if minutes > 1 else ''}.",
            status=429,
            retryable=True,
        )
        self.retry_after_s = int(wait.total_seconds()) + 1


class Attempts:
    """At most `most` in `window_s` for each key."""

    def __init__(self, clock: Clock, *, most: int, window_s: float) -> None:
        self._clock = clock
        self._most = most
        self._window = timedelta(seconds=window_s)
        self._times: OrderedDict[str, list[datetime]] = OrderedDict()

    def check(self, key: str) -> None:
        """Raises TooManyAttempts when `key` has used up its attempts."""
        recent = self._recent(key)
        if len(recent) >= self._most:
            raise TooManyAttempts(recent[0] + self._window - self._clock.now())

    def count(self, key: str) -> None:
        self._times[key] = [*self._recent(key), self._clock.now()]
        self._times.move_to_end(key)
        while len(self._times) > KEYS_MOST:
            self._times.popitem(last=False)

    def forgive(self, key: str) -> None:
        """Take the last one back: it was counted before its outcome was known."""
        if len(times := self._times.get(key, [])) > 1:
            self._times[key] = times[:-1]
        else:
            self.forget(key)

    def forget(self, key: str) -> None:
        """After a success."""
        self._times.pop(key, None)

    def _recent(self, key: str) -> list[datetime]:
        since = self._clock.now() - self._window
        return [at for at in self._times.get(key, []) if at > since][-self._most :]


class Guesses:
    """At passwords: of one account from one address, from one address, of one account from everywhere."""

    def __init__(self, clock: Clock) -> None:
        self._by_both = Attempts(clock, most=TRIES_BY_ACCOUNT_AND_ADDRESS, window_s=WINDOW_S)
        self._by_address = Attempts(clock, most=TRIES_BY_ADDRESS, window_s=WINDOW_S)
        self._by_account = Attempts(clock, most=TRIES_BY_ACCOUNT, window_s=WINDOW_S)

    def check(self, account: str, address: str) -> None:
        """Raises TooManyAttempts."""
        self._by_both.check(f"{account} {address}")
        self._by_address.check(address)
        self._by_account.check(account)

    def count(self, account: str, address: str) -> None:
        self._by_both.count(f"{account} {address}")
        self._by_address.count(address)
        self._by_account.count(account)

    def count_of(self, address: str) -> None:
        """An attempt that is of no account. Raises TooManyAttempts."""
        self._by_address.check(address)
        self._by_address.count(address)

    def forgive(self, account: str, address: str) -> None:
        """Take back what `count` counted: it was no guess."""
        self._by_both.forgive(f"{account} {address}")
        self._by_address.forgive(address)
        self._by_account.forgive(account)

    def was_right(self, account: str, address: str) -> None:
        """Who knows the password mistyped it before."""
        self.forgive(account, address)
        self._by_both.forget(f"{account} {address}")
