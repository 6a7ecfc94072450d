"""One version, to be read: folders piece by piece, files chunk by chunk, many small files pack by pack."""

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Container,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing, suppress
from functools import wraps
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple, ParamSpec, Protocol, TypeVar

from runner.errors import DevexError
from runner.snapshots import layout
from runner.snapshots.layout import Commit, Digest, Place, Row
from runner.snapshots.places import Places
from runner.workspace.paths import join

TREE_BYTES: Final = 8 << 20  # of packs kept while a version is read: trees that were written together lie together
PACKS_AHEAD: Final = 2  # fetched side by side, of 4 MiB and more
TURN_S: Final = 0.005  # of reading trees, then it is the others' turn: a huge folder would hold them up for seconds
AHEAD: Final = 2  # chunks fetched before they are wanted; with CHUNK_BYTES it bounds the memory

P = ParamSpec("P")
T = TypeVar("T")


class Fetch(Protocol):
    """`History.fetch`."""

    def __call__(self, name: str, start: int = 0, length: int | None = None) -> Awaitable[bytes]: ...


def twice(read: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """What was damaged on its way only is whole the second time: nobody gives it up for that."""

    @wraps(read)
    async def reading(*args: P.args, **kwargs: P.kwargs) -> T:
        with suppress(layout.Damaged):
            return await read(*args, **kwargs)
        return await read(*args, **kwargs)

    return reading


class Found(NamedTuple):
    """An entry of a version."""

    path: str
    row: Row


class HasRow(Protocol):
    @property
    def row(self) -> Row: ...


F = TypeVar("F", bound=HasRow)


class Pieces(NamedTuple):
    """Chunks as they lie in a pack, from `begin` on, and where."""

    places: Mapping[Digest, Place]
    begin: int
    data: bytes

    def of(self, row: Row) -> bytes:
        """The only chunk of a file, checked. Raises Damaged."""
        place = self.places.get(row.content[0])
        if place is None:
            raise layout.Damaged("index")
        begin = place.offset - self.begin
        return layout.chunk(self.data[begin : begin + place.stored_bytes], place, row.content[0])


class Version:
    """One version, to be read. Whatever is read is checked against its digest."""

    def __init__(self, fetch: Fetch, commit: Commit, places: Places) -> None:
        self.commit = commit
        self._fetch = fetch
        self.places = places
        self._packs: OrderedDict[str, bytes] = OrderedDict()
        self._turn_s = 0.0  # when others last had theirs

    def place(self, digest: Digest) -> Place:
        """Raises Damaged."""
        place = self.places.get(digest)
        if place is None:
            raise layout.Damaged("index")
        return place

    async def rows(self, content: Sequence[Digest]) -> AsyncGenerator[Row, None]:
        """A folder's entries, in the order of their names' bytes. Raises Damaged."""
        before = b""
        for digest in content:
            for row in await self.piece(digest):
                name = os.fsencode(row.name)
                if name <= before:
                    raise layout.Damaged("list of files")
                before = name
                yield row

    @twice
    async def piece(self, digest: Digest) -> list[Row]:
        """Of a folder's entries."""
        place = self.place(digest)
        if place.size_bytes > layout.MAX_TREE_BYTES:
            raise layout.Damaged("list of files")
        pack = await self._pack(place.pack)
        if (now_s := time.monotonic()) - self._turn_s > TURN_S:  # what is at hand suspends nobody
            await asyncio.sleep(0)
            self._turn_s = now_s
        try:
            return layout.tree_rows(layout.chunk(place.of(pack), place, digest))
        except layout.Damaged:
            self._packs.pop(place.pack, None)  # to be fetched anew
            raise

    async def entry(self, path: str, root: Sequence[Digest] | None = None) -> Row | None:
        """What is at a path, or at one below another version's `root`; None where nothing is."""
        content = self.commit.root if root is None else root
        row: Row | None = None
        for name in path.split("/"):
            if row is not None and row.kind != "d":
                return None
            async with aclosing(self.rows(content)) as rows:
                row = await anext((one async for one in rows if one.name == name), None)
            if row is None:
                return None
            content = row.content
        return row

    async def find(self, path: str) -> Row:
        """The entry at a path. Raises DevexError `not_found` (404)."""
        row = await self.entry(path)
        if row is None:
            raise DevexError(
                "not_found", "This version has no such file.", "Choose another version or file.", status=404
            )
        return row

    async def folder(self, path: str) -> tuple[Digest, ...]:
        """The pieces of its entries. Raises DevexError `not_found` (404) where there is none."""
        if not path:
            return self.commit.root
        row = await self.find(path)
        if row.kind != "d":
            raise DevexError("not_a_folder", "This is not a folder.", "Choose a folder.", status=409)
        return row.content

    async def walk(
        self, content: Sequence[Digest] | None = None, path: str = "", *, skip: Container[str] = ()
    ) -> AsyncIterator[tuple[str, Row]]:
        """Every entry below a folder with its path, folders before what they hold; not what is in folders to `skip`."""
        parent, _, name = path.rpartition("/")
        stack = [(parent, name, self.commit.root if content is None else content)]  # who waits shares its folder's path
        while stack:
            *where, segments = stack.pop()
            folder = join(*where)
            async for row in self.rows(segments):
                yield join(folder, row.name), row
                if row.kind == "d" and row.name not in skip:
                    stack.append((folder, row.name, row.content))

    async def packs(self, files: Iterable[F]) -> AsyncGenerator[tuple[list[F], Pieces], None]:
        """Files of one chunk each, pack by pack, so that one request brings many; PACKS_AHEAD are on their way.

        What is damaged is found so by `Pieces.of`.
        """
        located: list[tuple[Place, F]] = []
        nowhere: list[F] = []
        for file in files:
            place = self.places.get(file.row.content[0])
            if place is None:
                nowhere.append(file)
            else:
                located.append((place, file))
        if nowhere:
            yield nowhere, Pieces({}, 0, b"")
        located.sort(key=itemgetter(0))
        packs = [list(group) for _, group in groupby(located, key=lambda found: found[0].pack)]
        packs.reverse()
        fetching: list[tuple[list[tuple[Place, F]], asyncio.Task[bytes]]] = []
        try:
            while packs or fetching:
                while packs and len(fetching) < PACKS_AHEAD:
                    found = packs.pop()
                    fetching.append((found, asyncio.create_task(self._span(found), name="fetch of a pack")))
                found, data = fetching[0]
                places = {file.row.content[0]: place for place, file in found}
                yield [file for _, file in found], Pieces(places, found[0][0].offset, await data)
                fetching.pop(0)
        finally:
            for _, data in fetching:
                data.cancel()
            await asyncio.gather(*(data for _, data in fetching), return_exceptions=True)

    async def _span(self, found: Sequence[tuple[Place, object]]) -> bytes:
        """Of a pack, from the first wanted chunk to the last."""
        places = [place for place, _ in found]
        begin = places[0].offset
        length = max(place.offset + place.stored_bytes for place in places) - begin
        try:
            return await self._fetch(places[0].pack, begin, length)
        except layout.Damaged:  # it is gone, and so is each piece of it
            return b""

    @twice
    async def chunk(self, digest: Digest) -> bytes:
        if digest == layout.ZEROS:
            return layout.ZERO_CHUNK
        place = self.place(digest)
        if place.size_bytes > layout.CHUNK_BYTES:
            raise layout.Damaged("index")
        stored = await self._fetch(place.pack, place.offset, place.stored_bytes)
        return await asyncio.to_thread(layout.chunk, stored, place, digest)

    async def content(self, row: Row, ahead: int = AHEAD) -> AsyncGenerator[bytes, None]:
        """A file's chunks; `ahead` of them are on their way."""
        fetching: list[asyncio.Task[bytes]] = []
        left = list(reversed(row.content))
        try:
            while left or fetching:
                while left and len(fetching) < ahead:
                    fetching.append(asyncio.create_task(self.chunk(left.pop()), name="chunk"))
                yield await fetching.pop(0)
        finally:
            for task in fetching:
                task.cancel()
            await asyncio.gather(*fetching, return_exceptions=True)

    async def read(self, path: str, limit_bytes: int) -> bytes:
        """A file of at most so many bytes; DevexError `too_large` (413) otherwise, `not_found`, `not_a_file`."""
        row = await self.find(path)
        if row.kind != "f":
            raise DevexError("not_a_file", "This is not a file.", "Choose a file.", status=409)
        if row.size_bytes > limit_bytes:
            raise DevexError(
                "too_large", "This file is too large to be shown.", "Restore or download it instead.", status=413
            )
        return b"".join([piece async for piece in self.content(row)])

    async def _pack(self, key: str) -> bytes:
        if key in self._packs:
            self._packs.move_to_end(key)
            return self._packs[key]
        pack = await self._fetch(key)
        self._packs[key] = pack
        while len(self._packs) > 1 and sum(map(len, self._packs.values())) > TREE_BYTES:
            self._packs.popitem(last=False)
        return pack
