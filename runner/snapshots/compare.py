"""What differs between two versions: equal parts of their trees are not even read."""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Final, NamedTuple

from runner.snapshots.history import History
from runner.snapshots.layout import Commit, Damaged, Digest, Row
from runner.snapshots.version import Version
from runner.workspace.paths import join

LOOKED_AT: Final = 100  # versions at once for what changed one path: each may cost a request or two


class Change(NamedTuple):
    """`old` is None for what was added, `new` for what was removed. Folders come before what they hold."""

    path: str
    old: Row | None
    new: Row | None


async def changes(
    old: Version | None, new: Version, *, times: bool = False, damaged: Callable[[str], None] | None = None
) -> AsyncGenerator[Change, None]:
    """Everything that differs, by content, kind and mode; with `times` also by time of modification.

    `damaged` is told each folder whose list cannot be read in one of the two: the rest of it is left out. Without it
    Damaged is raised.
    """
    pending: list[tuple[str, str, Sequence[Digest], Sequence[Digest]]] = [
        ("", "", old.commit.root if old else (), new.commit.root)
    ]
    while pending:
        *where, before, after = pending.pop()
        folder = join(*where)
        same = {*before} & {*after}  # pieces of one folder: their names are in no other piece of it
        olds = (old or new).rows([piece for piece in before if piece not in same])
        news = new.rows([piece for piece in after if piece not in same])
        async with aclosing(olds), aclosing(news), aclosing(_paired(olds, news)) as pairs:
            while True:
                try:
                    pair = await anext(pairs, None)
                except Damaged:
                    if damaged is None:
                        raise
                    damaged(folder)
                    break
                if pair is None:
                    break
                a, b = pair
                if a == b:
                    continue
                name = a.name if a is not None else b.name if b is not None else ""
                if a is None or b is None or _differ(a, b, times):
                    yield Change(join(folder, name), a, b)
                inside_a = a.content if a is not None and a.kind == "d" else ()
                inside_b = b.content if b is not None and b.kind == "d" else ()
                if inside_a != inside_b:
                    pending.append((folder, name, inside_a, inside_b))


async def _paired(
    olds: AsyncIterator[Row], news: AsyncIterator[Row]
) -> AsyncGenerator[tuple[Row | None, Row | None], None]:
    """What has one name, from two lists that are in its order."""
    a, b = await anext(olds, None), await anext(news, None)
    while a is not None or b is not None:
        if b is None or (a is not None and os.fsencode(a.name) < os.fsencode(b.name)):
            yield a, None
            a = await anext(olds, None)
        elif a is None or a.name != b.name:
            yield None, b
            b = await anext(news, None)
        else:
            yield a, b
            a, b = await anext(olds, None), await anext(news, None)


def _differ(a: Row, b: Row, times: bool) -> bool:
    """Of the entries themselves; what is in two folders is compared by itself."""
    if a.kind != b.kind or a.mode != b.mode:
        return True
    return a.kind != "d" and (a.content != b.content or (times and a.mtime_ns != b.mtime_ns))


async def changing(history: History, versions: Sequence[str], path: str, limit: int) -> tuple[list[Commit], str | None]:
    """Of `versions`, newest first, those in which `path` is not what it was in the one before; at most `limit`.

    With them the last one looked at, to go on after; None when that was the oldest.
    """
    found: list[Commit] = []
    commits = await history.commits(versions[: LOOKED_AT + 1], set())  # one more, to compare with
    if not commits:
        return found, None
    reader = await history.open(commits[0].version)
    here = await reader.entry(path)
    for at, commit in enumerate(commits):
        older = commits[at + 1] if at + 1 < len(commits) else None
        if older is None and len(versions) > LOOKED_AT:
            return found, commits[at - 1].version
        before = None
        if older is not None:
            reader, before = await _entry(history, reader, older, path)
        if _content(here) != _content(before):
            found.append(commit)
        if len(found) == limit:
            return found, commit.version if older is not None else None
        here = before
    return found, None


async def _entry(history: History, reader: Version, commit: Commit, path: str) -> tuple[Version, Row | None]:
    """Mostly, a newer version's index knows where an older one's trees lie."""
    try:
        return reader, await reader.entry(path, commit.root)
    except Damaged:
        reader = await history.open(commit.version)
        return reader, await reader.entry(path)


def _content(row: Row | None) -> object:
    return row and (row.kind, row.mode, row.content)
