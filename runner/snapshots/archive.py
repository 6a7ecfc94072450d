"""A folder of a version as a ZIP file, made while it is sent."""

import asyncio
import os
import sys
import zipfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from runner.errors import DevexError
from runner.snapshots.version import Found, Pieces, Version
from runner.workspace.archive import Memory, Sink, zip_info

ZIP_BYTES: Final = 8 << 30  # before compression, as of a workspace
ZIP_ENTRIES: Final = 200_000  # as many as a workspace has; ZIP lists them at its end, so each stays in memory
HELD_BYTES: Final = 320 << 20  # of memory: so many entries with paths of 150 characters
ENTRY_BYTES: Final = 1_200  # of an entry, ours and zipfile's, but for its path, which is written once more at the end
EMPTY_AT_ONCE: Final = 1_000  # entries without content: some 30 ms
MEMORY: Final = Memory(512 << 20)  # of all ZIPs of this process, while they are sent


async def zip_pieces(version: Version, path: str, memory: Memory = MEMORY) -> AsyncGenerator[bytes, None]:
    """Links are stored as links. Raises DevexError `too_large` or `busy` before the first piece, `not_found`,
    `not_a_folder`, StoreError, Damaged.
    """
    held = _Held(memory)
    try:
        entries = await _entries(version, path, held)
        async with aclosing(_zipped(version, path, entries)) as pieces:
            async for piece in pieces:
                yield piece
    finally:
        held.give_back()


class _Held:
    """What one ZIP holds of the `memory` of all."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._bytes = 0

    def add(self, found: Found) -> None:
        size_bytes = ENTRY_BYTES + 2 * sys.getsizeof(found.path)
        if self._bytes + size_bytes > HELD_BYTES:
            raise _too_large("has too many entries with long paths")
        self._memory.claim(size_bytes)
        self._bytes += size_bytes

    def give_back(self) -> None:
        self._memory.give_back(self._bytes)


async def _zipped(version: Version, path: str, entries: Sequence[Found]) -> AsyncGenerator[bytes, None]:
    """Whatever takes long is done in threads, a part at a time: others' versions are saved meanwhile."""
    sink = Sink()
    archive = zipfile.ZipFile(sink, "w")

    def add(files: Sequence[Found], pieces: Pieces | None) -> None:
        for found in files:
            target = os.fsencode(found.row.content[0]) if found.row.kind == "l" else b""
            archive.writestr(_info(found, path), target if pieces is None else pieces.of(found.row))

    empty = [found for found in entries if found.row.kind != "f" or not found.row.content]
    for at in range(0, len(empty), EMPTY_AT_ONCE):
        await asyncio.to_thread(add, empty[at : at + EMPTY_AT_ONCE], None)
        for data in sink.taken():
            yield data
    files = [found for found in entries if found.row.kind == "f"]
    async with aclosing(version.packs(found for found in files if len(found.row.content) == 1)) as packs:
        async for wanted, pieces in packs:
            await asyncio.to_thread(add, wanted, pieces)
            for data in sink.taken():
                yield data
    for found in files:
        if len(found.row.content) > 1:
            with archive.open(_info(found, path), "w", force_zip64=True) as target:
                async with aclosing(version.content(found.row)) as content:
                    async for piece in content:
                        await asyncio.to_thread(target.write, piece)
                        for data in sink.taken():
                            yield data
    await asyncio.to_thread(archive.close)
    for data in sink.taken(least_bytes=1):
        yield data


async def _entries(version: Version, path: str, held: _Held) -> list[Found]:
    content = await version.folder(path)
    entries: list[Found] = []
    left_bytes = ZIP_BYTES
    async for whole, row in version.walk(content, path):
        left_bytes -= row.size_bytes if row.kind == "f" else 0
        if left_bytes < 0:
            raise _too_large(f"holds more than {ZIP_BYTES >> 20} MiB")
        if len(entries) >= ZIP_ENTRIES:
            raise _too_large(f"holds more than {ZIP_ENTRIES} entries")
        entries.append(Found(whole, row))
        held.add(entries[-1])
    return entries


def _too_large(what: str) -> DevexError:
    return DevexError("too_large", f"This folder {what}.", "Download its folders one by one.", status=413)


def _info(found: Found, path: str) -> zipfile.ZipInfo:
    inside = found.path[len(path) + 1 :] if path else found.path
    return zip_info(inside, found.row.kind, found.row.mode, found.row.mtime_ns)
