"""What the last snapshots found out, so that the next one need not read it again: a file beside the workspace's proxy.

Everything in it can be lost; a cache that cannot be read is made anew. Blocks: used in one thread at a time.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, Self

from runner.snapshots.layout import Commit, Digest, Place, commit_bytes, commit_of

FORMAT: Final = 4  # another one is thrown away
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
PENDING_S: Final = 12 * 3600  # of what was stored and never committed; garbage collection leaves it alone for a day

_TABLES: Final = """
CREATE TABLE file (folder BLOB, name BLOB, stamp BLOB, chunks BLOB, PRIMARY KEY (folder, name)) WITHOUT ROWID;
CREATE TABLE folder (folder BLOB PRIMARY KEY, look BLOB, trees BLOB, files INT, size INT) WITHOUT ROWID;
CREATE TABLE reading (begun INT);
CREATE TABLE blob (digest BLOB PRIMARY KEY, pack TEXT, offset INT, stored INT, size INT, part TEXT) WITHOUT ROWID;
CREATE TABLE pending (digest BLOB PRIMARY KEY, pack TEXT, offset INT, stored INT, size INT, at REAL) WITHOUT ROWID;
CREATE TABLE part (digest TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE head (version TEXT, data BLOB);
CREATE TABLE store (name TEXT);
CREATE TABLE made (boot TEXT);
CREATE TABLE held (kept INT, sent INT, taken INT);
CREATE TABLE crowded (why TEXT);
"""
_DIGEST_BYTES: Final = 20


class Known(NamedTuple):
    stamp: bytes
    chunks: tuple[Digest, ...]


class KnownFolder(NamedTuple):
    """`files` and `size_bytes` of those that lie in it directly."""

    trees: tuple[Digest, ...]
    files: int
    size_bytes: int


class Cache:
    """At `path`, or without one in memory, where it ends with its use. `store` names the one the versions go to: what
    waits for its version in another one is forgotten.
    """

    def __init__(self, path: Path | None, store: str = "") -> None:
        try:
            self._db = _opened(path or ":memory:")
        except sqlite3.DatabaseError:
            if path is None:
                raise
            discard(path)
            self._db = _opened(path)
        if self._db.execute("SELECT name FROM store").fetchall() != [(store,)]:
            self.forget_pending()
            self._db.execute("DELETE FROM store")
            self._db.execute("INSERT INTO store VALUES (?)", (store,))
            self.save()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def save(self) -> None:
        self._db.commit()

    def begin_reading(self) -> None:
        """Of a reading that did not end nothing is known but what it stored: what folders hold may not all be there."""
        if self._db.execute("SELECT begun FROM reading").fetchone():
            self._db.execute("DELETE FROM folder")
        self._db.execute("INSERT INTO reading VALUES (1)")
        self.save()

    def end_reading(self) -> None:
        """All that was read is in the store, and in a version."""
        self._db.execute("DELETE FROM reading")
        self.save()

    # folders

    def known_folder(self, folder: bytes, look: bytes) -> KnownFolder | None:
        """What it holds when it looks as it did then."""
        query = "SELECT trees, files, size FROM folder WHERE folder = ? AND look = ?"
        found = self._db.execute(query, (folder, look)).fetchone()
        return KnownFolder(_split(found[0]), *found[1:]) if found else None

    def remember_folder(self, folder: bytes, look: bytes, known: KnownFolder) -> None:
        row = (folder, look, bytes.fromhex("".join(known.trees)), known.files, known.size_bytes)
        self._db.execute("INSERT OR REPLACE INTO folder VALUES (?, ?, ?, ?, ?)", row)

    # files

    def known_files(self, folder: bytes, after: bytes, last: bytes | None) -> dict[bytes, Known]:
        """Those in a folder with names after one and up to another, in their bytes' order; None: up to the end."""
        query = "SELECT name, stamp, chunks FROM file WHERE folder = ? AND name > ?"
        if last is None:
            found = self._db.execute(query, (folder, after))
        else:
            found = self._db.execute(f"{query} AND name <= ?", (folder, after, last))
        return {name: Known(stamp, _split(chunks)) for name, stamp, chunks in found}

    def remember(self, folder: bytes, files: Iterable[tuple[bytes, Known]], gone: Iterable[bytes]) -> None:
        self._db.executemany("DELETE FROM file WHERE folder = ? AND name = ?", ((folder, name) for name in gone))
        self._db.executemany(
            "INSERT OR REPLACE INTO file VALUES (?, ?, ?, ?)",
            ((folder, name, known.stamp, bytes.fromhex("".join(known.chunks))) for name, known in files),
        )

    def entries(self) -> int:
        """Files and folders that are remembered."""
        query = "SELECT (SELECT count(*) FROM file) + (SELECT count(*) FROM folder)"
        found: int = self._db.execute(query).fetchone()[0]
        return found

    def forget_entries(self) -> None:
        self._db.execute("DELETE FROM file")
        self._db.execute("DELETE FROM folder")

    # what lies where

    def stored(self) -> set[bytes]:
        """Digests (20 bytes) of all that the head's index names."""
        return {digest for (digest,) in self._db.execute("SELECT digest FROM blob")}

    def pending(self) -> Iterator[tuple[Digest, Place]]:
        """What this snapshot has stored, and an earlier one before it was cut off."""
        for digest, *place in self._db.execute("SELECT digest, pack, offset, stored, size FROM pending"):
            yield digest.hex(), Place(*place)

    def pending_packs(self, now_s: float) -> set[str]:
        """Packs that no version names, and that garbage collection leaves alone for now."""
        self._db.execute("DELETE FROM pending WHERE at < ? OR at > ?", (now_s - PENDING_S, now_s))
        return {pack for (pack,) in self._db.execute("SELECT DISTINCT pack FROM pending")}

    def forget_packs(self, packs: Iterable[str]) -> None:
        self._db.executemany("DELETE FROM pending WHERE pack = ?", ((pack,) for pack in packs))

    def add_pending(self, places: Iterable[tuple[Digest, Place]], now_s: float) -> None:
        self._db.executemany(
            "INSERT OR REPLACE INTO pending VALUES (?, ?, ?, ?, ?, ?)",
            ((bytes.fromhex(digest), *place, now_s) for digest, place in places),
        )

    def forget_pending(self) -> None:
        self._db.execute("DELETE FROM pending")

    def parts(self) -> set[Digest]:
        return {part for (part,) in self._db.execute("SELECT digest FROM part")}

    def add_part(self, part: Digest, places: Iterable[tuple[Digest, Place]]) -> None:
        self._db.execute("INSERT OR REPLACE INTO part VALUES (?)", (part,))
        self._db.executemany(
            "INSERT OR REPLACE INTO blob VALUES (?, ?, ?, ?, ?, ?)",
            ((bytes.fromhex(digest), *place, part) for digest, place in places),
        )

    def keep_parts(self, parts: Iterable[Digest]) -> None:
        for part in self.parts() - set(parts):
            self._db.execute("DELETE FROM blob WHERE part = ?", (part,))
            self._db.execute("DELETE FROM part WHERE digest = ?", (part,))

    def count(self) -> int:
        found: int = self._db.execute("SELECT count(*) FROM blob").fetchone()[0]
        return found

    def places(self) -> Iterator[tuple[Digest, Place]]:
        for digest, *place in self._db.execute("SELECT digest, pack, offset, stored, size FROM blob"):
            yield digest.hex(), Place(*place)

    # how much the history takes

    def held(self) -> tuple[int, int] | None:
        """Bytes in all, and of them what came after the last `set_held`; None before the first."""
        found = self._db.execute("SELECT kept, sent FROM held").fetchone()
        return (found[0] + found[1], found[1]) if found else None

    def set_held(self, kept_bytes: int) -> None:
        self._db.execute("DELETE FROM held")
        self._db.execute("INSERT INTO held VALUES (?, 0, 0)", (kept_bytes,))

    def taken(self) -> int:
        """How many versions came after the last `set_held`."""
        found = self._db.execute("SELECT taken FROM held").fetchone()
        return found[0] if found else 0

    def add_sent(self, size_bytes: int) -> None:
        self._db.execute("UPDATE held SET sent = sent + ?", (size_bytes,))

    def crowded(self) -> str | None:
        """One sentence about a history that had no room, until it is thinned out as usual."""
        found = self._db.execute("SELECT why FROM crowded").fetchone()
        return found[0] if found else None

    def set_crowded(self, why: str | None) -> None:
        self._db.execute("DELETE FROM crowded")
        if why is not None:
            self._db.execute("INSERT INTO crowded VALUES (?)", (why,))

    # the newest version

    def head(self, version: str) -> Commit | None:
        found = self._db.execute("SELECT data FROM head WHERE version = ?", (version,)).fetchone()
        return commit_of(found[0]) if found else None

    def set_head(self, commit: Commit) -> None:
        self._db.execute("DELETE FROM head")
        self._db.execute("INSERT INTO head VALUES (?, ?)", (commit.version, commit_bytes(commit)))
        self._db.execute("UPDATE held SET taken = taken + 1")


def _split(chunks: bytes) -> tuple[Digest, ...]:
    return tuple(chunks[at : at + _DIGEST_BYTES].hex() for at in range(0, len(chunks), _DIGEST_BYTES))


def discard(path: Path) -> None:
    """With its journal, which another one must not replay."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


def _boot() -> str:
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return ""


def _opened(path: Path | str) -> sqlite3.Connection:
    """Without a journal's durability: a killed process loses nothing by it, and a machine that lost its power may have
    mixed old with new. So what an earlier boot wrote is no more believed than what is torn.
    """
    db = sqlite3.connect(path, check_same_thread=False)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -4000")
        if db.execute("PRAGMA user_version").fetchone()[0] != FORMAT:
            if db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise sqlite3.DatabaseError("another format")
            db.executescript(_TABLES)
            db.execute("INSERT INTO made VALUES (?)", (_boot(),))
            db.execute(f"PRAGMA user_version = {FORMAT}")
        db.commit()
        if db.execute("SELECT boot FROM made").fetchone() != (_boot(),):
            raise sqlite3.DatabaseError("of an earlier boot")
    except BaseException:
        db.close()
        raise
    return db
