"""Which kernel uids the sandboxes of an installation have: one each as root, never shared with another installation's.

As root a launcher claims a range by a lock that the kernel lets go of when it ends. The range is kept in mind with the
data; should another installation that runs hold it by then, the next free one is claimed, and workspaces change owner
as they start.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from orchestrator.backends.local.layout import Layout

FIRST_UID = 200_000  # above what distributions give to people and services
UIDS = 65_536  # of one installation: more REPLs than fit a machine. The first uid is the probes'
_END = 1 << 31  # beyond, tools begin to disagree


def usual() -> range:
    """Until a launcher has claimed some; anybody but root has only their own."""
    uid = os.geteuid()
    return range(uid, uid + 1) if uid else range(FIRST_UID, FIRST_UID + UIDS)


def owner(uid: int) -> tuple[int, int] | None:
    """What files of a sandbox with this uid are given to as they are made; None: whoever makes them is that."""
    return (uid, uid) if os.geteuid() == 0 else None


def give(folder: Path, uid: int) -> None:
    """To a sandbox with this uid."""
    os.chown(folder, uid, uid if os.geteuid() == 0 else -1)


def claim(layout: Layout) -> range:
    """Held until this process ends. Raises OSError: there can be no lock, or no range is free."""
    if os.geteuid() != 0:
        return usual()
    locks = layout.runtime.parent / "devex-uids"
    locks.mkdir(exist_ok=True, mode=0o700)
    found = locks.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0:
        raise PermissionError(f"{locks} belongs to somebody else")
    note = layout.data / "uids"
    for first in _candidates(note):
        if _lock(locks / str(first)):
            note.write_text(f"{first}\n")
            return range(first, first + UIDS)
    raise OSError(f"every range of uids is taken, by the locks in {locks}")


def _candidates(note: Path) -> Iterator[int]:
    """The last time's first."""
    every = range(FIRST_UID, _END - UIDS, UIDS)
    last = note.read_text().strip() if note.exists() else ""
    if last.isdecimal() and int(last) in every:
        yield int(last)
    yield from every


def _lock(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    return True
