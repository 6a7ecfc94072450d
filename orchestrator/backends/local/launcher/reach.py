"""Folders below private ones, such as /root, made reachable for sandboxes of other uids.

bubblewrap resolves paths as the sandbox's uid and needs search permission on every parent. So root's launcher takes a
mount namespace of its own and binds what it needs to a neutral place there: nothing changes for the rest of the
machine, and the mounts end with the launcher and its sandboxes.
"""

import ctypes
import os
import stat
from pathlib import Path

_CLONE_NEWNS = 0x00020000
_MS_BIND, _MS_REC, _MS_SLAVE, _MNT_DETACH = 0x1000, 0x4000, 0x80000, 2
_libc = ctypes.CDLL(None, use_errno=True)


def own_mounts() -> bool:
    """Leave the machine's mount namespace, following its changes. False: not allowed to."""
    if _libc.unshare(_CLONE_NEWNS) != 0:
        return False
    return bool(_libc.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None) == 0)


def made_reachable(folder: Path, neutral: Path) -> Path:
    """-> a path of `folder` that any uid can resolve. Raises OSError: there is none, and it cannot be made."""
    if os.geteuid() != 0 or open_to_all(folder):
        return folder
    neutral.mkdir(exist_ok=True)
    if _libc.mount(os.fsencode(folder), os.fsencode(neutral), None, _MS_BIND | _MS_REC, None) != 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), str(folder))
    return neutral


def let_go(neutral: Path) -> None:
    """Undo `made_reachable`."""
    if neutral.exists():
        _libc.umount2(os.fsencode(neutral), _MNT_DETACH)
        neutral.rmdir()  # never more than that: what is mounted there are people's files


def open_to_all(folder: Path) -> bool:
    """Whether any uid may search every parent, and the folder itself."""
    chain = (folder.resolve(), *folder.resolve().parents)
    return all(step.stat().st_mode & stat.S_IXOTH for step in chain)
