"""The last RING_BYTES a terminal has written, addressed by their offset since it was opened."""

from __future__ import annotations

import mmap

RING_BYTES = 1 << 20  # some 10 000 lines: what a reconnecting or a new viewer can still be shown


class Ring:
    """Anonymous memory, because the kernel gives its pages only when they are written: an idle shell holds 4 KiB."""

    def __init__(self, size_bytes: int = RING_BYTES) -> None:
        self._size_bytes = size_bytes
        self._memory = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self.end = 0

    @property
    def start(self) -> int:
        """The oldest offset still held."""
        return max(0, self.end - self._size_bytes)

    def append(self, data: bytes) -> None:
        kept = data[-self._size_bytes :]
        at = (self.end + len(data) - len(kept)) % self._size_bytes
        head = kept[: self._size_bytes - at]
        self._memory[at : at + len(head)] = head
        if len(head) < len(kept):
            self._memory[: len(kept) - len(head)] = kept[len(head) :]
        self.end += len(data)

    def read(self, offset: int, limit_bytes: int) -> bytes:
        """-> at most `limit_bytes` from `offset` (start <= offset <= end) on; fewer where the memory wraps."""
        at = offset % self._size_bytes
        return self._memory[at : min(at + min(limit_bytes, self.end - offset), self._size_bytes)]

    def close(self) -> None:
        self._memory.close()
