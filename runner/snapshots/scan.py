"""Reading a workspace for a version: what is as it was costs a look, what is not is read and handed over."""

import errno
import marshal
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from runner.errors import DevexError
from runner.snapshots import layout
from runner.snapshots.cache import Cache, Known, KnownFolder
from runner.snapshots.ignored import Ignored
from runner.snapshots.layout import CHUNK_BYTES, ZEROS, Digest, Row
from runner.snapshots.uploads import Uploads
from runner.workspace import Stat, Workspace
from runner.workspace.paths import join

TRIES: Final = 3  # at a file that is written while it is read
RACY_NS: Final = 2_000_000_000  # a file changed so lately may change again within one tick of its time stamp
MAX_FILE_BYTES: Final = 64 << 30  # 16,384 chunks; only a sparse file pretends to more
MAX_FOLDER: Final = 250_000  # entries of one folder; about 25 MB of names while it is read
LOOKED_AT: Final = 5_000  # entries of a folder that is known by its look; larger ones are gone through row by row
BATCH: Final = 1_000  # of them looked up in the cache at once
HOLLOW: Final = 8  # a file of so many times what it takes on the disk: compressed ones are hardly like that
HOLLOW_FREE_BYTES: Final = 64 << 10  # what a small file takes may be nothing
HOLLOW_MOST_BYTES: Final = 2 << 30  # read of all such files: some seconds
PROGRESS_S: Final = 0.2

Progress = Callable[[dict[str, int]], None]
"""Called a few times a second with `files` and `bytes` looked at, and `sent_bytes`."""

Trees = tuple[Digest, ...]
"""What a folder holds."""


@dataclass(slots=True)
class _Opened:
    """A folder while it is read. `inside`: of those folders in it that were looked into, None when it is left out."""

    path: str
    descriptor: int
    names: list[bytes]
    inside: dict[bytes, Trees | None] = field(default_factory=dict)
    known: dict[bytes, Known] = field(default_factory=dict)
    fresh: dict[bytes, Known] = field(default_factory=dict)


class Scan:
    """Walks the workspace, deepest folders first, and hands over what the store does not have. In one thread."""

    def __init__(
        self,
        workspace: Workspace,
        cache: Cache,
        uploads: Uploads,
        stored: set[bytes],
        progress: Progress,
    ) -> None:
        self.files = self.folders = self.size_bytes = self.added = self.noted = 0
        self.notes: list[tuple[str, str]] = []
        self.linked: list[tuple[str, str]] = []  # notes, too, but the first to be left out
        self._workspace = workspace
        self._cache = cache
        self._ignored = Ignored(workspace)
        self._uploads = uploads
        self._stored = stored
        self._progress = progress
        self._told_s = 0.0
        self._started_ns = time.time_ns()
        self._buffer = bytearray(CHUNK_BYTES)
        self._hollow_bytes = 0

    def run(self) -> Trees:
        root = self._folder("")
        self._uploads.finish()
        self._tell()
        return root

    def _below(self, path: str) -> Trees | None:
        """Of a folder; None when it is left out of the version."""
        try:
            return self._folder(path)
        except DevexError as error:
            self._left_out(path, error)
            return None

    def _folder(self, path: str) -> Trees:
        """Raises DevexError when it cannot be listed."""
        self._uploads.check()
        self.folders += 1
        with self._workspace.folder(path, MAX_FOLDER + 1) as (descriptor, names):
            opened = _Opened(path, descriptor, names)
            look = self._look(opened) if len(names) <= LOOKED_AT else None
            if look is None:
                return self._read_folder(opened)
            known = self._cache.known_folder(os.fsencode(path), look)
            if known is None or not all(bytes.fromhex(tree) in self._stored for tree in known.trees):
                files, size_bytes, noted = self.files, self.size_bytes, self.noted
                trees = self._read_folder(opened)
                if self.noted == noted and not self._ignored.gave_up:
                    known = KnownFolder(trees, self.files - files, self.size_bytes - size_bytes)
                    self._cache.remember_folder(os.fsencode(path), look, known)
                return trees
            self.files += known.files
            self.size_bytes += known.size_bytes
            self._tell(rarely=True)
            return known.trees

    def _look(self, opened: _Opened) -> bytes | None:
        """-> what differs whenever the folder's trees would; on the way the folders in it are looked into.

        None: it may hold what is to be noted, or what may change again within one tick of its time stamp.
        """
        entries: list[tuple[object, ...]] = []
        is_sure = True
        racy_ns = self._started_ns - RACY_NS
        for name in opened.names:
            try:
                found = os.stat(name, dir_fd=opened.descriptor, follow_symlinks=False)
            except OSError:
                is_sure = False
                continue
            if not stat.S_ISDIR(found.st_mode):
                is_sure = is_sure and found.st_nlink == 1 and found.st_ctime_ns < racy_ns
                stamp = (found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
                entries.append((name, *stamp))
                continue
            path = join(opened.path, os.fsdecode(name))
            opened.inside[name] = trees = None
            if not self._ignored(path, True):
                opened.inside[name] = trees = self._below(path)
                is_sure = is_sure and trees is not None
            entries.append((name, found.st_mode, trees))
        # marshal's later versions depend on who else holds a value
        look = sha256(marshal.dumps((self._ignored.text, entries), 2)).digest()
        return look if is_sure else None

    def _read_folder(self, opened: _Opened) -> Trees:
        if len(opened.names) > MAX_FOLDER:
            del opened.names[MAX_FOLDER:]
            self._note(opened.path, f"holds too much: only {MAX_FOLDER} of its entries are in the version")
        return tuple(self._tree(piece) for piece in layout.segments(self._rows(opened)))

    def _rows(self, opened: _Opened) -> Iterator[Row]:
        folder, names, after = os.fsencode(opened.path), opened.names, b""
        for begin in range(0, max(1, len(names)), BATCH):
            batch = names[begin : begin + BATCH]
            is_last = begin + BATCH >= len(names)
            opened.known = self._cache.known_files(folder, after, None if is_last else batch[-1])
            opened.fresh = {}
            for name in batch:
                if (row := self._row(opened, name)) is not None:
                    yield row
            # what is left of those known was not seen again
            self._cache.remember(folder, opened.fresh.items(), opened.known)
            after = batch[-1] if batch else b""

    def _row(self, opened: _Opened, raw: bytes) -> Row | None:
        self._uploads.check()
        name = os.fsdecode(raw)
        path = join(opened.path, name)
        try:
            found = Stat.of(os.stat(raw, dir_fd=opened.descriptor, follow_symlinks=False))
        except FileNotFoundError:
            return None
        if found.kind == "d" and raw in opened.inside:
            trees = opened.inside[raw]
            return None if trees is None else Row(name, "d", found.mode, 0, 0, trees)
        if self._ignored(path, found.kind == "d"):
            return None
        try:
            match found.kind:
                case "d":
                    trees = self._below(path)
                    return None if trees is None else Row(name, "d", found.mode, 0, 0, trees)
                case "l":
                    target = os.fsdecode(self._workspace.read_link(path))
                    return Row(name, "l", 0, found.mtime_ns, 0, (target,))
                case "f":
                    self.files += 1
                    self.size_bytes += found.size_bytes
                    if time.monotonic() - self._told_s > PROGRESS_S:
                        self._tell()
                    if found.links > 1:
                        self._note_link(path)
                    return self._file(opened, path, found, opened.known.pop(raw, None))
            self._note(path, "is a pipe, a socket or a device")
        except DevexError as error:
            self._left_out(path, error)
        return None

    def _left_out(self, path: str, error: DevexError) -> None:
        if error.code == "overloaded":  # it is we who cannot: not a version without it
            raise error
        if error.code not in {"not_found", "not_a_folder"}:  # vanished: it is not there
            self._note(path, error.message)

    def _file(self, opened: _Opened, path: str, found: Stat, before: Known | None) -> Row | None:
        name = path.rpartition("/")[2]
        stamp = _stamp(found)
        if before is not None and before.stamp == stamp and all(map(self._has, before.chunks)):
            return Row(name, "f", found.mode, found.mtime_ns, found.size_bytes, before.chunks)
        if found.size_bytes > MAX_FILE_BYTES:
            self._note(path, f"is larger than {MAX_FILE_BYTES >> 30} GiB")
            return None
        handed_over = self._uploads.chunks
        row, whole = self._read(path, name, opened.fresh)
        for _ in range(TRIES - 1):
            if not whole:
                row, whole = self._read(path, name, opened.fresh)
        if not whole:
            self._note(path, "was written while it was read, and may be torn")
        self.added += self._uploads.chunks > handed_over
        return row

    def _read(self, path: str, name: str, fresh: dict[bytes, Known]) -> tuple[Row, bool]:
        """-> and whether the file stayed the same meanwhile."""
        descriptor = self._workspace.open_read(path)
        try:
            begun = Stat.of(os.fstat(descriptor))
            chunks, size_bytes = self._chunks(descriptor, begun)
            ended = Stat.of(os.fstat(descriptor))
        except OSError as error:
            raise DevexError("disk_error", f"could not be read: {error.strerror}", "Try again.", status=500) from error
        finally:
            os.close(descriptor)
        stamp = _stamp(begun)
        whole = stamp == _stamp(ended) and size_bytes == begun.size_bytes
        if whole and begun.ctime_ns < self._started_ns - RACY_NS:  # which, unlike mtime, nobody can set
            fresh[os.fsencode(name)] = Known(stamp, chunks)
        return Row(name, "f", ended.mode, ended.mtime_ns, size_bytes, chunks), whole

    def _chunks(self, descriptor: int, begun: Stat) -> tuple[tuple[Digest, ...], int]:
        """At most what the file held at first: one that grows for ever ends. Raises DevexError for small holes without
        an end: some MiB on the disk would keep everybody's versions waiting while terabytes of nothing are hashed.
        """
        chunks: list[Digest] = []
        size_bytes = begun.size_bytes
        is_hollow = size_bytes > HOLLOW * begun.disk_bytes + HOLLOW_FREE_BYTES
        offset = 0
        while offset < size_bytes:
            if size_bytes - offset >= CHUNK_BYTES and _is_hole(descriptor, offset, CHUNK_BYTES):
                if not self._has(ZEROS):
                    self._uploads.add("p", ZEROS, layout.ZERO_CHUNK)
                chunks.append(ZEROS)
                offset += CHUNK_BYTES
                continue
            if is_hollow and self._hollow_bytes > HOLLOW_MOST_BYTES:
                raise DevexError("hollow", "has more small holes than can be read", "Copy it without holes.")
            view = memoryview(self._buffer)[: min(CHUNK_BYTES, size_bytes - offset)]
            got = 0
            while got < len(view) and (more := os.preadv(descriptor, [view[got:]], offset + got)):
                got += more
            if not got:
                break
            is_cut = got < len(view)  # the file was: what is written behind it now is no part of this reading
            piece = view[:got]
            digest = layout.digest_of(piece)
            if not self._has(digest):
                self._uploads.add("p", digest, bytes(piece))
            chunks.append(digest)
            offset += got
            self._hollow_bytes += got * is_hollow
            self._uploads.check()
            self._tell(rarely=True)
            if is_cut:
                break
        return tuple(chunks), offset

    def _tree(self, rows: list[Row]) -> Digest:
        data = layout.tree_bytes(rows)
        digest = layout.digest_of(data)
        if not self._has(digest):
            self._uploads.add("t", digest, data)
        return digest

    def _has(self, digest: Digest) -> bool:
        raw = bytes.fromhex(digest)
        return raw in self._stored or self._uploads.has(raw)

    def _note(self, path: str, why: str) -> None:
        self.noted += 1
        if len(self.notes) < layout.MAX_NOTES:
            self.notes.append((path, why))

    def _note_link(self, path: str) -> None:
        self.noted += 1
        if len(self.linked) < layout.MAX_NOTES:
            self.linked.append((path, "has other names (hard links); restored, it is a file of its own"))

    def _tell(self, *, rarely: bool = False) -> None:
        now_s = time.monotonic()
        if rarely and now_s - self._told_s <= PROGRESS_S:
            return
        self._told_s = now_s
        self._progress({"files": self.files, "bytes": self.size_bytes, "sent_bytes": self._uploads.sent_bytes})


def _stamp(found: Stat) -> bytes:
    """Changes whenever the content may have, also for one who sets the time of modification back.

    As text: a time beyond 2262 has nanoseconds that no integer of 64 bits holds.
    """
    return b"%d %d %d %d" % (found.mtime_ns, found.ctime_ns, found.size_bytes, found.inode)


def _is_hole(descriptor: int, offset: int, length: int) -> bool:
    """Whether nothing is stored there (lseek(2), SEEK_DATA); False where the file system cannot say."""
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA) >= offset + length
    except OSError as error:
        return error.errno == errno.ENXIO  # no data up to the end of the file
