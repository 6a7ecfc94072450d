"""A folder of a version as a ZIP file, made while it is sent."""

import asyncio
import os
import zipfile
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from runner.errors import DevexError
from runner.snapshots.history import Found, Version
from runner.workspace.archive import Sink, zip_info

ZIP_BYTES: Final = 8 << 30  # before compression, as of a workspace
ZIP_ENTRIES: Final = 200_000  # as many as a workspace has; ZIP lists them at its end, so each stays in memory


async def zip_pieces(version: Version, path: str) -> AsyncGenerator[bytes, None]:
    """Links are stored as links. Raises DevexError `too_large` before the first piece, `not_found`, `not_a_folder`,
    StoreError, Damaged.
    """
    entries = await _entries(version, path)
    sink = Sink()
    with zipfile.ZipFile(sink, "w") as archive:

        def add(found: Found, data: bytes) -> None:
            archive.writestr(_info(found, path), data)

        for found in entries:
            if found.row.kind == "l":
                add(found, os.fsencode(found.row.content[0]))
            elif not found.row.content or found.row.kind == "d":
                add(found, b"")
            for data in sink.taken():
                yield data
        files = [found for found in entries if found.row.kind == "f"]
        async with aclosing(version.packs(found for found in files if len(found.row.content) == 1)) as packs:
            async for wanted, pieces in packs:
                for found in wanted:
                    await asyncio.to_thread(add, found, pieces.of(found.row))
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
    for data in sink.taken(least_bytes=1):
        yield data


async def _entries(version: Version, path: str) -> list[Found]:
    content = version.commit.root
    if path:
        row = await version.find(path)
        if row.kind != "d":
            raise DevexError("not_a_folder", "This is not a folder.", "Choose a folder.", status=409)
        content = row.content
    entries: list[Found] = []
    left_bytes = ZIP_BYTES
    async for whole, row in version.walk(content, path):
        left_bytes -= row.size_bytes if row.kind == "f" else 0
        if left_bytes < 0 or len(entries) >= ZIP_ENTRIES:
            what = f"{ZIP_ENTRIES} entries" if left_bytes >= 0 else f"{ZIP_BYTES >> 20} MiB"
            message = f"This folder holds more than {what}."
            raise DevexError("too_large", message, "Download its folders one by one.", status=413)
        entries.append(Found(whole, row))
    return entries


def _info(found: Found, path: str) -> zipfile.ZipInfo:
    inside = found.path[len(path) + 1 :] if path else found.path
    return zip_info(inside, found.row.kind, found.row.mode, found.row.mtime_ns)
