"""The last bytes a terminal wrote, addressed by their offset since it was opened. The agent holds them, and the proxy a
cache of them.
"""

import mmap

RING_BYTES = 1 << 20  # some 10,000 lines: what a reconnecting or a new viewer can still be shown


class Ring:
    """Anonymous memory: the kernel gives its pages when they are written, so an idle shell holds 4 KiB."""

    def __init__(self, start: int = 0, size_bytes: int = RING_BYTES) -> None:
        self._size_bytes = size_bytes
        self._memory = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.start = start  # the oldest offset held
        self.end = start

    def append(self, offset: int, data: bytes) -> None:
        """What is there already is not taken twice; after a hole, what came before it is forgotten."""
        if offset > self.end:
            self.start = self.end = offset
        fresh = data[self.end - offset :] if offset < self.end else data
        kept = fresh[-self._size_bytes :]
        at = (self.end + len(fresh) - len(kept)) % self._size_bytes
        head = self._size_bytes - at
        if len(kept) <= head:
            self._memory[at : at + len(kept)] = kept
        else:
            self._memory[at:] = kept[:head]
            self._memory[: len(kept) - head] = kept[head:]
        self.end += len(fresh)
        self.start = max(self.start, self.end - self._size_bytes)

    def read(self, offset: int, limit_bytes: int) -> bytes:
        """-> at most `limit_bytes` from `offset` (start <= offset <= end) on; fewer where the memory wraps."""
        at = offset % self._size_bytes
        return self._memory[at : min(at + min(limit_bytes, self.end - offset), self._size_bytes)]

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()

    def since(self, offset: int) -> bytes:
        """All from `offset` (start <= offset <= end) on."""
        first = self.read(offset, self._size_bytes)
        return first + self.read(offset + len(first), self._size_bytes)
