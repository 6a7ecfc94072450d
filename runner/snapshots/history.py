"""A REPL's versions in its store: which there are, what they are called, and one opened to be read."""

import asyncio
from collections.abc import Container, Iterable, Sequence
from contextlib import suppress
from typing import Final

from runner.errors import DevexError
from runner.snapshots import layout
from runner.snapshots.layout import Commit, Digest, Name, Place
from runner.snapshots.places import Places
from runner.snapshots.stores.store import Listed, Missing, Store
from runner.snapshots.version import Version, twice

LISTED_AT_ONCE: Final = 16  # commits fetched side by side: an S3 answers in 20-50 ms


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

    @twice
    async def commit(self, version: str) -> Commit:
        """Raises DevexError `no_version` (404) or Damaged."""
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

    @twice
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

    async def open(self, version: str) -> Version:
        """The newest version's index comes last: what was packed anew since is found there. Raises Damaged when the
        commit is; of what is damaged else, when it is read.
        """
        commit = head = await self.commit(version)
        newest = await self.head()
        if newest not in {None, version}:
            with suppress(layout.Damaged):
                head = await self.commit(newest or version)
        return Version(self.fetch, commit, await self.places(dict.fromkeys((*commit.index, *head.index)), whole=False))
