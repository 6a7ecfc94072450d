"""Deleting trees of any depth with two open descriptors, while their owner may still be writing into them."""

import os
import secrets
import stat
import time

from runner.errors import DevexError

REMOVE_BUDGET_S = 60.0  # about a million files; a program that creates faster than we delete ends here
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(parent: int, name: bytes) -> None:
    """Delete the folder `name` of `parent`. Raises OSError, or DevexError `busy` when it does not get empty in time.

    Folders inside are moved up to the top one before they are emptied: nothing grows with depth.
    """
    ends_at = time.monotonic() + REMOVE_BUDGET_S
    top = os.open(name, _FOLDER, dir_fd=parent)
    try:
        _unlock(top)
        while folders := _empty(top, ends_at):
            for folder in folders:
                _hoist(top, folder, ends_at)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=parent)


def _unlock(folder: int) -> None:
    """Read-only folders (package caches) are deleted like others: they belong to the same user."""
    mode = stat.S_IMODE(os.fstat(folder).st_mode)
    if mode & 0o700 != 0o700:
        os.fchmod(folder, mode | 0o700)


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
        folder = os.open(name, _FOLDER, dir_fd=top)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        _unlock(folder)
        for child in _empty(folder, ends_at):
            try:
                os.rename(child, secrets.token_hex(8), src_dir_fd=folder, dst_dir_fd=top)
            except FileNotFoundError:
                continue
    finally:
        os.close(folder)
    try:
        os.rmdir(name, dir_fd=top)
    except OSError:
        pass  # filled again or gone: the next pass decides
