"""What differs between two versions: equal parts of their trees are not even read."""

from collections.abc import AsyncGenerator, Sequence
from typing import NamedTuple

from runner.snapshots.history import Version
from runner.snapshots.layout import Digest, Row


class Change(NamedTuple):
    """`old` is None for what was added, `new` for what was removed. Folders come before what they hold."""

    path: str
    old: Row | None
    new: Row | None


async def changes(old: Version | None, new: Version, *, times: bool = False) -> AsyncGenerator[Change, None]:
    """Everything that differs, by content, kind and mode; with `times` also by time of modification."""
    pending: list[tuple[str, Sequence[Digest], Sequence[Digest]]] = [
        ("", old.commit.root if old else (), new.commit.root)
    ]
    while pending:
        folder, before, after = pending.pop()
        if tuple(before) == tuple(after):
            continue
        olds = {row.name: row for row in await old.rows(before)} if old and before else {}
        news = {row.name: row for row in await new.rows(after)}
        for name in sorted(olds.keys() | news.keys()):
            a, b = olds.get(name), news.get(name)
            if a == b:
                continue
            path = f"{folder}/{name}" if folder else name
            if a is None or b is None or _differ(a, b, times):
                yield Change(path, a, b)
            inside_a = a.content if a is not None and a.kind == "d" else ()
            inside_b = b.content if b is not None and b.kind == "d" else ()
            if inside_a or inside_b:
                pending.append((path, inside_a, inside_b))


def _differ(a: Row, b: Row, times: bool) -> bool:
    """Of the entries themselves; what is in two folders is compared by itself."""
    if a.kind != b.kind or a.mode != b.mode:
        return True
    return a.kind != "d" and (a.content != b.content or (times and a.mtime_ns != b.mtime_ns))
