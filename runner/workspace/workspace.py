"""A REPL's file tree by relative paths. Everything blocks: call it in a thread where it can be large."""

import ctypes
import errno
import hashlib
import os
import secrets
import stat
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from runner.errors import DevexError
from runner.workspace import access
from runner.workspace.drafts import CHUNK_BYTES, Draft, changed, digest_of, draft_name, is_draft, is_resumable
from runner.workspace.entries import Entry, Owner, Stat, require_regular
from runner.workspace.paths import MAX_PATH_BYTES, Parts, join, parse, parse_file
from runner.workspace.problems import explain, explained
from runner.workspace.quota import UNLIMITED, Quota, Usage
from runner.workspace.removal import remove_tree
from runner.workspace.tree import MAX_LISTED, WALK_BUDGET_S, WALK_ENTRIES, Walk, names, scan

NEW_FOLDER_MODE = 0o755
RESUMABLE_FOR_S = 86_400  # uploads that can be continued
_libc = ctypes.CDLL(None, use_errno=True)  # Python has no syncfs(2)
DRAFT_FOR_S = 3_600  # others: whoever writes one stops after a minute without a byte


class Workspace:
    """Opened once by its root, which only trusted code may rename or replace. `owner` is who new files belong to when
    this process is root and the sandbox has a uid of its own; without it, whoever owns the root. `quota` keeps it
    within `limit`.

    Paths are relative (see `paths`); every method raises DevexError. Digests are SHA-256 in hex.
    """

    def __init__(self, root: Path, owner: Owner | None = None, limit: Usage = UNLIMITED) -> None:
        self.root = root
        self.quota = Quota(self.usage, limit)
        self._root = os.open(root, access.FOLDER | os.O_NOFOLLOW | os.O_CLOEXEC)
        status = os.fstat(self._root)
        if owner is None and os.geteuid() == 0 and status.st_uid != 0:
            owner = (status.st_uid, status.st_gid)
        self.owner = owner

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._root >= 0:
            os.close(self._root)
            self._root = -1

    def fileno(self) -> int:
        return self._root

    # reading

    def open_read(self, path: str) -> int:
        """A descriptor of a regular file; the caller closes it."""
        with explained(path):
            descriptor = access.open_beneath(self._root, parse_file(path), access.READ)
            try:
                require_regular(Stat.of(os.fstat(descriptor)), self.owner)
            except BaseException:
                os.close(descriptor)
                raise
            return descriptor

    def read(self, path: str, limit: int) -> bytes:
        """The content of a file of at most `limit` bytes; DevexError `too_large` (413) otherwise."""
        descriptor = self.open_read(path)
        try:
            with explained(path):
                pieces: list[bytes] = []
                left = limit + 1
                while left and (piece := os.read(descriptor, min(left, CHUNK_BYTES))):
                    pieces.append(piece)
                    left -= len(piece)
                if not left:
                    raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
                return b"".join(pieces)
        finally:
            os.close(descriptor)

    def digest(self, path: str) -> str:
        descriptor = self.open_read(path)
        try:
            with explained(path):
                return digest_of(descriptor)
        finally:
            os.close(descriptor)

    def stat(self, path: str) -> Stat:
        """A link's own; "" is the workspace."""
        parts = parse(path)
        with explained(path):
            if not parts:
                return Stat.of(os.fstat(self._root))
            with access.parent_of(self._root, parts) as (folder, name):
                return Stat.of(os.stat(name, dir_fd=folder, follow_symlinks=False))

    def exists(self, path: str) -> bool:
        try:
            self.stat(path)
        except DevexError as error:
            if error.status in {404, 409}:
                return False
            raise
        return True

    def read_link(self, path: str) -> bytes:
        with explained(path), access.parent_of(self._root, parse_file(path)) as (folder, name):
            return os.readlink(name, dir_fd=folder)

    def list_dir(self, path: str, limit: int = MAX_LISTED) -> list[Entry]:
        """At most `limit` entries, by name."""
        with explained(path), access.opened(self._root, parse(path), access.FOLDER) as folder:
            return sorted(scan(folder, limit))

    @contextmanager
    def folder(self, path: str, limit: int) -> Iterator[tuple[int, list[bytes]]]:
        """An open folder, and the names of at most `limit` of its entries, sorted: for who looks at many."""
        with explained(path):
            descriptor = access.open_beneath(self._root, parse(path), access.FOLDER)
        try:
            with explained(path):
                found = names(descriptor, limit)
            yield descriptor, found
        finally:
            os.close(descriptor)

    def walk(
        self,
        path: str = "",
        *,
        skip: Collection[str] = (),
        entries: int = WALK_ENTRIES,
        budget_s: float = WALK_BUDGET_S,
    ) -> Walk:
        """Iterate over (folder, entries) below a folder; names in `skip` are listed but not entered."""
        return Walk(self._root, parse(path), frozenset(skip), entries, budget_s=budget_s)

    def usage(self) -> Usage:
        """What the disk holds, drafts included; sparse files count their blocks, hard-linked ones count once.

        DevexError when it cannot be said in bounded time (`too_many`, `too_deep`): treat that as full.
        """
        used = entries = 0
        linked: set[int] = set()
        # as deep as a path can be written, and behind closed doors, so that nothing hides there
        walk = Walk(self._root, depth=MAX_PATH_BYTES, drafts=True, unlock=True)
        for _, found in walk:
            entries += len(found)
            for entry in found:
                if entry.stat.links > 1 and entry.stat.kind == "f":
                    if entry.stat.inode in linked:
                        continue
                    linked.add(entry.stat.inode)
                used += entry.stat.disk_bytes
        if walk.cut == "depth":
            raise DevexError(
                "too_deep", "Folders are nested too deeply to be counted.", "Delete the deepest folders.", status=507
            )
        if walk.cut:
            raise DevexError(
                "too_many", "There are too many files to be counted.", "Delete files you no longer need.", status=507
            )
        return Usage(used, entries)

    # writing

    def draft(self, path: str, token: str | None = None) -> Draft:
        """Start writing a file piece by piece; its folder must exist. Room for it is claimed by the caller."""
        return Draft(self._root, parse_file(path), self.owner, token)

    def draft_size(self, path: str, token: str) -> int:
        """How far an earlier draft of the token got; 0 when there is none."""
        folder = path.rpartition("/")[0]
        try:
            return self.stat(join(folder, draft_name(token))).size_bytes
        except DevexError as error:
            if error.code == "not_found":
                return 0
            raise

    def write_atomic(self, path: str, data: bytes, *, mode: int | None = None, expect: str | None = None) -> Stat:
        """Replace or create a file at once, durably, within the quota; see Draft.commit for `mode` and `expect`."""
        before = self.stat(path) if self.exists(path) else None
        self.quota.claim(len(data) - (before.disk_bytes if before else 0), 0 if before else 1)
        with self.draft(path) as draft:
            draft.write(data)
            return draft.commit(mode=mode, expect=expect)

    def mkdir(self, path: str, *, parents: bool = False, exist_ok: bool = False) -> bool:
        """Whether it was made: False when it was there and `exist_ok`."""
        parts = parse_file(path)
        with explained(path):
            if parents:
                for depth in range(1, len(parts)):
                    self._make_folder(parts[:depth])
            made = self._make_folder(parts)
            if not made and not exist_ok:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
            if not made:
                os.close(access.open_beneath(self._root, parts, access.FOLDER))  # it is one, and no link
        return made

    def _make_folder(self, parts: Parts) -> bool:
        with access.parent_of(self._root, parts) as (parent, name):
            try:
                os.mkdir(name, 0o700, dir_fd=parent)
            except FileExistsError:
                return False
            with access.opened(parent, (name,), access.FOLDER) as folder:
                if self.owner is not None:
                    os.fchown(folder, *self.owner)
                os.fchmod(folder, NEW_FOLDER_MODE)
            return True

    def symlink(self, path: str, target: bytes, mtime_ns: int | None = None) -> None:
        """Store a link as it is; nothing here will follow it."""
        with explained(path), access.parent_of(self._root, parse_file(path)) as (folder, name):
            os.symlink(target, name, dir_fd=folder)
            if self.owner is not None:
                os.chown(name, *self.owner, dir_fd=folder, follow_symlinks=False)
            if mtime_ns is not None:
                os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=folder, follow_symlinks=False)

    def remove(self, path: str) -> None:
        """Delete a file, a link or a whole folder."""
        with explained(path), access.parent_of(self._root, parse_file(path)) as (folder, name):
            try:
                os.unlink(name, dir_fd=folder)
            except OSError as error:
                if error.errno not in {errno.EISDIR, errno.EPERM}:
                    raise
                remove_tree(folder, name)

    def remove_unchanged(self, path: str, expect: Stat) -> None:
        """Delete a file or link that is still what it was; DevexError `changed` (412) otherwise, and it is there."""
        with explained(path), access.parent_of(self._root, parse_file(path)) as (folder, name):
            aside = draft_name(secrets.token_hex(8)).encode()
            access.rename(folder, name, folder, aside, access.RENAME_NOREPLACE)
            if Stat.of(os.stat(aside, dir_fd=folder, follow_symlinks=False)).stamp != expect.stamp:
                access.rename(folder, aside, folder, name, access.RENAME_NOREPLACE)
                raise changed(path)
            os.unlink(aside, dir_fd=folder)

    def remove_empty(self, path: str) -> bool:
        """Delete a folder; whether it was empty."""
        with explained(path), access.parent_of(self._root, parse_file(path)) as (folder, name):
            try:
                os.rmdir(name, dir_fd=folder)
            except OSError as error:
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                    raise
                return False
            return True

    def set_folder_mode(self, path: str, mode: int) -> int:
        """-> what it was; also of a folder that is locked for its owner, who we are."""
        with explained(path), access.opened(self._root, parse(path), access.ANCHOR) as folder:
            before = stat.S_IMODE(os.fstat(folder).st_mode)
            if mode != before:
                os.chmod(f"/proc/self/fd/{folder}", mode)  # fchmod(2) takes no descriptor opened without reading
            return before

    def sync(self) -> None:
        """Bring all that was written without `durable` to the disk."""
        with explained(""):
            if _libc.syncfs(self._root) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))

    def move(self, source: str, target: str, *, overwrite: bool = False) -> None:
        """Rename a file, link or folder. `overwrite` replaces a file or an empty folder; else DevexError `exists`."""
        old, new = parse_file(source), parse_file(target)
        if new[: len(old)] == old and new != old:
            raise DevexError(
                "inside_itself", "A folder cannot be moved into itself.", "Choose another folder.", status=409
            )
        try:
            with access.parent_of(self._root, old) as (old_folder, old_name):
                os.stat(old_name, dir_fd=old_folder, follow_symlinks=False)
                with explained(target), access.parent_of(self._root, new) as (new_folder, new_name):
                    flags = 0 if overwrite else access.RENAME_NOREPLACE
                    access.rename(old_folder, old_name, new_folder, new_name, flags)
        except OSError as error:
            raise explain(error, source) from error

    def sweep(self, is_over: Callable[[], bool] = lambda: False) -> int:
        """Delete the drafts that a killed server left behind; returns how many. Leaves what is being written.

        `is_over` is asked at every folder.
        """
        swept = 0
        now_ns = time.time_ns()
        for folder, found in Walk(self._root, drafts=True):
            if is_over():
                break
            for entry in found:
                kept_s = RESUMABLE_FOR_S if is_resumable(entry.name) else DRAFT_FOR_S
                old = now_ns - entry.stat.mtime_ns > kept_s * 1_000_000_000
                if old and entry.stat.kind == "f" and is_draft(entry.name):
                    with suppress(DevexError):  # a program was quicker
                        self.remove(join(folder, entry.name))
                        swept += 1
        return swept


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
