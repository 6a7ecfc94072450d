"""Which file of the workspace a program means that prints a path, such as a compiler that complains. Pure."""

import posixpath
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Final

MOST: Final = 16  # paths in one request: a screen's line names no more
MAX_CHARACTERS: Final = 1024  # of a path that is asked for
MAX_DROPPED: Final = 8  # folders that may be missing at a path's beginning


def candidates(asked: str, cwd: str, home: str) -> Iterator[str]:
    """Paths of the workspace, the likeliest first. `home` is the workspace as programs see it, `cwd` where the program
    ran, or "". What lies outside is not among them."""
    if not asked or len(asked) > MAX_CHARACTERS:
        return
    if asked.startswith("/"):
        yield from _within(asked, home)
        return
    for folder in dict.fromkeys((cwd, home)):
        yield from _within(posixpath.join(folder, asked), home)
    parts = PurePosixPath(posixpath.normpath(asked)).parts  # of a build that ran elsewhere, or a/… and b/… of a diff
    for dropped in range(1, min(len(parts), MAX_DROPPED + 1)):
        yield from _within(posixpath.join(home, *parts[dropped:]), home)


def the_one_that_ends_so(asked: str, paths: Iterable[str]) -> str | None:
    """Of a program that ran in a folder nobody knows: the one file whose path ends with this one."""
    asked = posixpath.normpath(asked)
    if not asked or asked.startswith(("/", "..")):
        return None
    found = [path for path in paths if path.endswith(f"/{asked}")]
    return found[0] if len(found) == 1 else None


def _within(path: str, home: str) -> Iterator[str]:
    inside = PurePosixPath(posixpath.normpath(path))
    if path.startswith("/") and inside.is_relative_to(home) and inside != PurePosixPath(home):
        yield str(inside.relative_to(home))
