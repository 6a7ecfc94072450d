"""Deleting trees of any depth with two open descriptors, while their owner may still be writing into them."""

import os
import secrets
import stat
import time

from runner.errors import DevexError

REMOVE_BUDGET_S = 60.0  # about a million files; a program that creates faster than we delete ends here


def remove_tree(parent: int, name: bytes) -> None:
    """Delete the folder `name` of `parent`. Raises OSError, or DevexError `busy` when it does not get empty in time.

    Folders inside are moved up to the top one before they are emptied: nothing grows with depth.
    """
    ends_at = time.monotonic() + REMOVE_BUDGET_S
    top = _opened(parent, name)
    try:
        while folders := _empty(top, ends_at):
            for folder in folders:
                _hoist(top, folder, ends_at)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _opened(parent: int, name: str | bytes) -> int:
    """Read-only folders (package caches) and locked ones are deleted like others: they belong to the same user."""
    pinned = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        here = f"/proc/self/fd/{pinned}"  # fchmod(2) takes no descriptor that was opened without reading
        mode = stat.S_IMODE(os.fstat(pinned).st_mode)
        if mode & 0o700 != 0o700:
            os.chmod(here, mode | 0o700)
        return os.open(here, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(pinned)


def _empty(folder: int, ends_at: float) -> list[str]:
    """Delete what is no folder; returns the folders."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if time.monotonic() > ends_at:
                raise DevexError(
                    "busy",
                    "The folder is still being written to.",
                    "Stop the program, then delete it again.",
                    status=409,
                    retryable=True,
                )
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
                continue
            try:
                os.unlink(entry.name, dir_fd=folder)
            except (FileNotFoundError, IsADirectoryError):
                continue  # raced; the next pass sees what it is now
    return folders


def _hoist(top: int, name: str, ends_at: float) -> None:
    try:
        folder = _opened(top, name)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        for child in _empty(folder, ends_at):
            try:
                _move(folder, child, top)
            except (FileNotFoundError, NotADirectoryError):
                continue
    finally:
        os.close(folder)
    try:
        os.rmdir(name, dir_fd=top)
    except OSError:
        pass  # filled again or gone: the next pass decides


def _move(folder: int, child: str, top: int) -> None:
    name = secrets.token_hex(8)
    try:
        os.rename(child, name, src_dir_fd=folder, dst_dir_fd=top)
    except PermissionError:  # a folder that changes its parent is written to
        os.close(_opened(folder, child))
        os.rename(child, name, src_dir_fd=folder, dst_dir_fd=top)
