"""The workspaces on this machine's disk, and which uid each belongs to. Everything blocks: call it in a thread."""

import os
import shutil
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from orchestrator.backends.base import BackendError
from orchestrator.backends.local import uids
from orchestrator.backends.local.layout import Layout
from orchestrator.backends.seeding import lay_out
from runner.errors import DevexError
from runner.workspace import UNLIMITED, Entry, Usage, Workspace
from runner.workspace.paths import join
from runner.workspace.removal import remove_tree

PIECE_BYTES = 1 << 20
ROOT_MODE = 0o700  # of a workspace: other uids have no business in it
SPARSE_TIMES, SPARSE_BYTES = 4, 1 << 30  # a copy is not sparse: so much more than the disk holds, and no terabytes


class Made(NamedTuple):
    """A workspace that is being made, and the uid that it will belong to."""

    folder: Path
    uid: int

    @property
    def owner(self) -> tuple[int, int] | None:
        return uids.owner(self.uid)


class Workspaces:
    """A workspace's owner is its sandbox's uid, one of `uids`, kept while it exists and these are the same."""

    def __init__(self, layout: Layout) -> None:
        self.uids: range = uids.usual()
        self._layout = layout
        self._lock = threading.Lock()
        self._last_uid = 0

    def exists(self, repl_id: str) -> bool:
        return self._layout.workspace(repl_id).is_dir()

    def uid_of(self, repl_id: str) -> int:
        """Raises BackendError: there is no workspace."""
        try:
            return self._layout.workspace(repl_id).lstat().st_uid
        except OSError:
            raise BackendError("It has no files.", retryable=False) from None

    def open(self, repl_id: str, limit: Usage = UNLIMITED) -> Workspace:
        uid = self.uid_of(repl_id)
        return Workspace(self._layout.workspace(repl_id), uids.owner(uid), limit)

    def own(self, repl_id: str) -> int:
        """-> the sandbox's uid. Gives the files to one when they are somebody else's, as after a copy by hand."""
        uid = self.uid_of(repl_id)
        if uid in self.uids:
            return uid
        if os.geteuid() != 0:
            raise BackendError(f"Its files belong to uid {uid}.", retryable=False, action="Ask the operator.")
        uid = self._new_uid()
        root = self._layout.workspace(repl_id)
        for _, folders, files, descriptor in os.fwalk(root, follow_symlinks=False):
            for name in (*folders, *files):
                os.chown(name, uid, uid, dir_fd=descriptor, follow_symlinks=False)
        os.chown(root, uid, uid, follow_symlinks=False)  # last, so that what was cut off begins anew
        return uid

    def seed(self, repl_id: str, files: Mapping[str, bytes], copy_of: str | None, given_up: threading.Event) -> None:
        """Made beside its place and moved there whole, unless it is given up before. Raises BackendError."""
        made = self.begin(repl_id)
        try:
            if copy_of is not None:
                with self.open(copy_of) as source, Workspace(made.folder, made.owner) as workspace:
                    _Copy(source, workspace, given_up).run()
            self.finish(repl_id, made, files)
        except BackendError:
            raise
        except (DevexError, OSError) as error:
            raise BackendError(f"The files could not be made: {error}.", retryable=True) from error
        finally:
            _remove(made.folder)

    def begin(self, repl_id: str) -> Made:
        """An empty folder, to be filled and given to `finish`; what was begun before is gone. Raises BackendError."""
        folder = self._beside(repl_id, "new")
        _remove(folder)
        _remove(self._beside(repl_id, "old"))
        made = Made(folder, self._new_uid())
        folder.mkdir(mode=ROOT_MODE)
        return made

    def finish(self, repl_id: str, made: Made, files: Mapping[str, bytes]) -> None:
        """Write `files` over what is there, and move it to its place. Raises BackendError."""
        place, old = self._layout.workspace(repl_id), self._beside(repl_id, "old")
        try:
            with Workspace(made.folder, made.owner) as workspace:
                lay_out(workspace, files)
            uids.give(made.folder, made.uid)
            if place.exists():
                place.rename(old)
            made.folder.rename(place)
        except (DevexError, OSError) as error:
            raise BackendError(f"The files could not be made: {error}.", retryable=True) from error
        _remove(old)

    def delete(self, repl_id: str) -> None:
        """Raises BackendError."""
        for folder in (self._layout.workspace(repl_id), self._beside(repl_id, "new"), self._beside(repl_id, "old")):
            _remove(folder)
        _remove(self._layout.temporary / repl_id)
        _remove(self._layout.records(repl_id))
        shutil.rmtree(self._layout.sockets(repl_id), ignore_errors=True)  # ours alone

    def make_temporary(self, repl_id: str, uid: int) -> Path:
        """An empty /tmp."""
        folder = self._layout.temporary / repl_id
        _remove(folder)
        folder.mkdir(mode=ROOT_MODE)
        uids.give(folder, uid)
        return folder

    def _beside(self, repl_id: str, what: str) -> Path:
        return self._layout.workspace(repl_id).with_name(f".{what}-{repl_id}")

    def _new_uid(self) -> int:
        """The next one that owns nothing. The first is the probes'. Raises BackendError."""
        if os.geteuid() != 0:
            return os.geteuid()
        taken = set(_owners(self._layout.workspaces))
        with self._lock:
            last = self._last_uid if self._last_uid in self.uids else self.uids.start
            for uid in chain(range(last + 1, self.uids.stop), range(self.uids.start + 1, last + 1)):
                if uid not in taken:
                    self._last_uid = uid
                    return uid
        raise BackendError("Every uid of sandboxes is in use.", retryable=False, action="Delete REPLs.")


def _owners(folder: Path) -> Iterator[int]:
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # just deleted
                yield entry.stat(follow_symlinks=False).st_uid


def _remove(folder: Path) -> None:
    """Raises BackendError: not now."""
    parent = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove_tree(parent, os.fsencode(folder.name))
    except FileNotFoundError:
        pass  # gone, as is wanted
    except (DevexError, OSError) as error:
        raise BackendError(f"The files could not be removed: {error}.", retryable=True) from error
    finally:
        os.close(parent)


class _Copy:
    """Of a hostile tree that may be changing: what vanished is left out, and so is what is no file, folder or link."""

    def __init__(self, source: Workspace, target: Workspace, given_up: threading.Event) -> None:
        self._source = source
        self._target = target
        self._given_up = given_up
        self._left_bytes = SPARSE_BYTES + SPARSE_TIMES * source.usage().disk_bytes

    def run(self) -> None:
        """Raises BackendError."""
        walk = self._source.walk()
        for folder, entries in walk:
            for entry in entries:
                self._go_on()
                try:
                    self._entry(join(folder, entry.name), entry)
                except DevexError as error:
                    if isinstance(error, BackendError) or error.status not in {404, 409}:
                        raise
        if walk.cut:
            raise BackendError("It has too many files to be copied.", retryable=False, action="Delete some first.")

    def _entry(self, path: str, entry: Entry) -> None:
        match entry.stat.kind:
            case "d":
                self._target.mkdir(path)
            case "l":
                self._target.symlink(path, self._source.read_link(path))
            case "f":
                self._file(path, entry.stat.mode & 0o777)

    def _file(self, path: str, mode: int) -> None:
        descriptor = self._source.open_read(path)
        try:
            with self._target.draft(path) as draft:
                while piece := os.read(descriptor, PIECE_BYTES):
                    self._go_on()
                    draft.write(piece)
                    self._left_bytes -= len(piece)
                    if self._left_bytes < 0:
                        action = "Delete its sparse files first."
                        raise BackendError("Its files are larger than its disk.", retryable=False, action=action)
                draft.commit(mode=mode, durable=False)
        finally:
            os.close(descriptor)

    def _go_on(self) -> None:
        if self._given_up.is_set():
            raise BackendError("The files were not copied in time.", retryable=True)
