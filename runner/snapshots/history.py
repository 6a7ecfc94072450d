"""Reading a REPL's versions from its store."""

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
from runner.snapshots.layout import Commit, Digest, Name, Place, Row
from runner.snapshots.places import Places
from runner.snapshots.stores.store import Listed, Missing, Store
from runner.workspace.paths import join

LISTED_AT_ONCE: Final = 16  # commits fetched side by side: an S3 answers in 20-50 ms
TREE_BYTES: Final = 8 << 20  # of packs kept while a version is read: trees that were written together lie together
PACKS_AHEAD: Final = 2  # fetched side by side, of 4 MiB and more
TURN_S: Final = 0.005  # of reading trees, then it is the others' turn: a huge folder would hold them up for seconds
AHEAD: Final = 2  # chunks fetched before they are wanted; with CHUNK_BYTES it bounds the memory

NO_VERSION: Final = "This REPL has no version yet."

P = ParamSpec("P")
T = TypeVar("T")


def _twice(read: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """What was damaged on its way only is whole the second time: nobody gives it up for that."""

    @wraps(read)
    async def reading(*args: P.args, **kwargs: P.kwargs) -> T:
        with suppress(layout.Damaged):
            return await read(*args, **kwargs)
        return await read(*args, **kwargs)

    return reading


class History:
    """The versions under one REPL's prefix."""

    def __init__(self, store: Store, prefix: str) -> None:
        self.store = store
        self.prefix = prefix

    def key(self, name: str) -> str:
        return f"{self.prefix}/{name}"

    async def fetch(self, name: str, start: int = 0, length: int | None = None) -> bytes:
        """An object that a version names. Raises StoreError, Damaged when it is not there."""
        try:
            return await self.store.get(self.key(name), start, length)
        except Missing:
            raise layout.Damaged(name) from None

    async def head(self) -> str | None:
        """The newest version's name; costs one request."""
        return next(iter(await self.newest(1)), None)

    async def newest(self, limit: int) -> list[str]:
        """The names of the newest versions, the newest first."""
        found = [layout.name_in(one.key) async for one in self.store.list(self.key("c/"), limit=limit)]
        return [layout.version_of(name) for name in found]

    @_twice
    async def commit(self, version: str) -> Commit:
        """Raises DevexError `missing` (404) or Damaged."""
        key = layout.commit_key(version)
        try:
            commit = layout.commit_of(await self.store.get(self.key(key)))
        except Missing:
            raise DevexError(
                "no_version", "This version is gone.", "Choose another one of the list.", status=404
            ) from None
        if commit.version != version:
            raise layout.Damaged("version")
        return commit

    async def versions(self) -> list[str]:
        """All of them, newest first."""
        return [layout.version_of(layout.name_in(found.key)) for found in await self.objects("c/")]

    async def objects(self, kind: str) -> list[Listed]:
        """Of one kind: "p/", "t/", "i/", "c/" or "n/"."""
        return [found async for found in self.store.list(self.key(kind))]

    async def commits(self, versions: Sequence[str], damaged: set[str] | None = None) -> list[Commit]:
        """In the same order; one that was thinned out meanwhile is left out. Those that are damaged are added to
        `damaged`; without it the first one is raised.
        """
        found: list[Commit] = []
        for at in range(0, len(versions), LISTED_AT_ONCE):
            batch = versions[at : at + LISTED_AT_ONCE]
            commits = await asyncio.gather(*map(self.commit, batch), return_exceptions=True)
            for version, commit in zip(batch, commits, strict=True):
                if isinstance(commit, Commit):
                    found.append(commit)
                elif isinstance(commit, layout.Damaged) and damaged is not None:
                    damaged.add(version)
                elif not (isinstance(commit, DevexError) and commit.code == "no_version"):
                    raise commit
        return found

    async def every_commit(self) -> list[Commit]:
        """Newest first. Raises Damaged where one is listed and not there: what it names must not be given up."""
        versions = await self.versions()
        found = await self.commits(versions)
        if len(found) < len(versions):
            raise layout.Damaged("list of versions")
        return found

    async def named(self) -> set[str]:
        """Versions that have a name."""
        return {layout.version_named(layout.name_in(listed.key)) for listed in await self.objects("n/")}

    async def names(self, of: Container[str] | None = None, damaged: set[str] | None = None) -> dict[str, Name]:
        """By version: of those that are given, or all. `damaged` as in `commits`."""
        found: dict[str, Name] = {}
        keys = [
            listed.key
            for listed in await self.objects("n/")
            if of is None or layout.version_named(layout.name_in(listed.key)) in of
        ]
        for at in range(0, len(keys), LISTED_AT_ONCE):
            batch = keys[at : at + LISTED_AT_ONCE]
            names = await asyncio.gather(*map(self._name, batch), return_exceptions=True)
            for key, name in zip(batch, names, strict=True):
                version = layout.version_named(layout.name_in(key))
                if isinstance(name, layout.Damaged) and damaged is not None:
                    damaged.add(version)
                elif isinstance(name, BaseException):
                    raise name
                elif name is not None:
                    found[version] = max(name, found.get(version, name), key=lambda one: one.at)
        return found

    async def _name(self, key: str) -> Name | None:
        """None: it was taken away meanwhile."""
        with suppress(Missing):
            return layout.name_of(await self.store.get(key))
        return None

    async def set_name(self, version: str, name: Name | None) -> None:
        """None takes it away, and with it the promise to keep the version. At every moment it has the old name or the
        new one, or both; the younger counts."""
        names = self.key(layout.names_key(version))
        old = {listed.key async for listed in self.store.list(names)}
        if name is not None:
            await self.commit(version)  # it is there
            data = layout.name_bytes(name)
            new = self.key(layout.name_key(version, data))
            await self.store.create(new, data)
            old.discard(new)
        await self.store.delete(sorted(old))

    @_twice
    async def part(self, digest: Digest) -> list[tuple[Digest, Place]]:
        data = await self.fetch(layout.index_key(digest))
        if layout.digest_of(data) != digest:
            raise layout.Damaged("index")
        return layout.index_places(data)

    async def places(self, parts: Iterable[Digest], *, whole: bool = True) -> Places:
        """Later parts win. Unless it must be `whole`, damaged parts are left out: then what lies where they said is
        damaged, and nothing else.
        """
        found: list[Places] = []
        for part in parts:
            try:
                found.append(Places.of(await self.part(part)))
            except layout.Damaged:
                if whole:
                    raise
        return Places.of(place for places in found for place in places)

    async def open(self, version: str) -> "Version":
        """The newest version's index comes last: what was packed anew since is found there. Raises Damaged when the
        commit is; of what is damaged else, when it is read.
        """
        commit = head = await self.commit(version)
        newest = await self.head()
        if newest not in {None, version}:
            with suppress(layout.Damaged):
                head = await self.commit(newest or version)
        return Version(self, commit, await self.places(dict.fromkeys((*commit.index, *head.index)), whole=False))


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

    def __init__(self, history: History, commit: Commit, places: Places) -> None:
        self.commit = commit
        self.history = history
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

    @_twice
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

    async def packs(self, files: Iterable[F]) -> AsyncGenerator[tuple[list[F], "Pieces"], None]:
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
                    fetching.append((found, asyncio.create_task(self._fetch(found), name="fetch of a pack")))
                found, data = fetching[0]
                places = {file.row.content[0]: place for place, file in found}
                yield [file for _, file in found], Pieces(places, found[0][0].offset, await data)
                fetching.pop(0)
        finally:
            for _, data in fetching:
                data.cancel()
            await asyncio.gather(*(data for _, data in fetching), return_exceptions=True)

    async def _fetch(self, found: Sequence[tuple[Place, object]]) -> bytes:
        """Of a pack, from the first wanted chunk to the last."""
        places = [place for place, _ in found]
        begin = places[0].offset
        length = max(place.offset + place.stored_bytes for place in places) - begin
        try:
            return await self.history.fetch(places[0].pack, begin, length)
        except layout.Damaged:  # it is gone, and so is each piece of it
            return b""

    @_twice
    async def chunk(self, digest: Digest) -> bytes:
        if digest == layout.ZEROS:
            return layout.ZERO_CHUNK
        place = self.place(digest)
        if place.size_bytes > layout.CHUNK_BYTES:
            raise layout.Damaged("index")
        stored = await self.history.fetch(place.pack, place.offset, place.stored_bytes)
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
        pack = await self.history.fetch(key)
        self._packs[key] = pack
        while len(self._packs) > 1 and sum(map(len, self._packs.values())) > TREE_BYTES:
            self._packs.popitem(last=False)
        return pack
