"""How long a store is waited for, and how often it is asked again."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from runner.snapshots.stores.store import StoreError

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """The defaults suit a version taken in the background: about two minutes with a store that is dead."""

    attempts: int = 6
    connect_s: float = 5.0
    silence_s: float = 20.0  # without a byte: S3 answers within seconds, a disk that spins up within ten
    slowest_bytes_s: int = 64 << 10  # what is slower than this is as good as dead
    first_pause_s: float = 0.2
    longest_pause_s: float = 5.0

    async def persist(self, attempt: Callable[[], Awaitable[T]], size_bytes: int) -> T:
        """Repeats what failed in a way that may pass, with growing pauses of random length; then the last StoreError.

        `size_bytes` is what an attempt moves at most, as far as one knows: it gives its deadline.
        """
        deadline_s = self.connect_s + self.silence_s + size_bytes / self.slowest_bytes_s
        number = 1
        while True:
            try:
                async with asyncio.timeout(deadline_s):
                    return await attempt()
            except TimeoutError:
                error = StoreError("The store does not answer.", retryable=True)
            except StoreError as failed:
                error = failed
            if not error.retryable or number == self.attempts:
                raise error
            _log.info("attempt %d of %d failed: %s", number, self.attempts, error)
            longest = min(self.longest_pause_s, self.first_pause_s * 2 ** (number - 1))
            await asyncio.sleep(random.uniform(longest / 2, longest))  # noqa: S311 - so that many do not return at once
            number += 1


PATIENCE = Patience()
