"""The folder of one REPL's records: `{id}/about.json`, and the entries in files named by the offset they begin at.

Everything blocks: call it in a thread; calls from several wait for one another. Nothing is forced to the disk (fsync):
what a machine's crash tears is recognised and left out.
"""

import json
import os
import shutil
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from errno import ENOSPC
from pathlib import Path
from typing import Any, Final

from runner.errors import DevexError
from runner.proxy.records.about import About
from runner.proxy.records.entries import Entry, Gap, Output, Sized, decode, encode, with_gaps
from runner.proxy.terminals.ids import ID

RECORDS: Final = 200  # of one REPL: a month of work at ten programs a day; each may be looked through in a search
RECORD_BYTES: Final = 2 << 20  # of one, some 20,000 lines: twice what a page that attaches again is shown
TOTAL_BYTES: Final = 64 << 20  # of all of one REPL: a sixth of a pod's cache, where versions are made, too
SEGMENT_BYTES: Final = 256 << 10  # one file: what goes at once when a record is too long
GAPS_TOLD: Final = 1000  # of one record: a flood has one for each moment in which the disk fell behind
_ABOUT: Final = "about.json"
_NAME_DIGITS: Final = 20  # of an offset: names sort as numbers do


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    records: int = RECORDS
    record_bytes: int = RECORD_BYTES
    total_bytes: int = TOTAL_BYTES
    segment_bytes: int = SEGMENT_BYTES


@dataclass(slots=True)
class _Segment:
    """`size_bytes` in the file, of which `output_bytes` are a terminal's."""

    start: int
    size_bytes: int
    output_bytes: int


@dataclass(slots=True)
class _Kept:
    """One record. `end`: the offset behind the last byte that is on disk."""

    about: About
    end: int = 0
    segments: list[_Segment] = field(default_factory=list)
    cols_rows: tuple[int, int] = field(init=False)  # with which the next segment begins
    torn: bool = False  # the last segment: nothing is added to it

    def __post_init__(self) -> None:
        self.cols_rows = self.about.cols, self.about.rows

    @property
    def size_bytes(self) -> int:
        return sum(segment.size_bytes for segment in self.segments)

    @property
    def output_bytes(self) -> int:
        return sum(segment.output_bytes for segment in self.segments)


class Disk:
    """`may_write`: it is this process's to write, and what was torn is cut off. Otherwise nothing is changed, but
    records may be removed: a writer that had loaded one still lists it, and finds no output in it.
    """

    def __init__(self, folder: Path, bounds: Bounds | None = None, *, may_write: bool = True) -> None:
        self._folder = folder
        self._bounds = bounds or Bounds()
        self._may_write = may_write
        self._kept: dict[str, _Kept] = {}
        self._lock = threading.Lock()

    def load(self) -> dict[str, tuple[About, int]]:
        """Read what is there -> of each record what is known, and the offset behind its last byte."""
        with self._lock:
            self._kept.clear()
            for folder in self._folders():
                if kept := self._read(folder):
                    self._kept[folder.name] = kept
                elif self._may_write:  # it was begun or removed when the process was killed
                    shutil.rmtree(folder, ignore_errors=True)
            return {kept.about.id: (kept.about, kept.end) for kept in self._kept.values()}

    def listing(self, live: Collection[str], kind: str | None = None) -> list[dict[str, Any]]:
        """As `GET records`, the newest first. What has no end and is not `live` was lost."""
        with self._lock:
            found = [self._json(kept, live) for kept in self._kept.values() if kind in (None, kept.about.kind)]
        return sorted(found, key=lambda one: one["started_at"], reverse=True)

    def look(self, record_id: str, live: Collection[str]) -> dict[str, Any]:
        """As `GET records/{id}`. DevexError 404."""
        with self._lock:
            told = self._json(self._get(record_id), live)
        gaps = [one for one in with_gaps(self.entries(record_id)) if isinstance(one, Gap)]
        return {**told, "gaps": gaps[:GAPS_TOLD]}

    def about(self, record_id: str) -> About:
        """DevexError 404."""
        with self._lock:
            return self._get(record_id).about

    def entries(self, record_id: str) -> Iterator[Entry]:
        """From the oldest that is kept on. DevexError 404."""
        with self._lock:
            starts = [segment.start for segment in self._get(record_id).segments]
        return self._entries_of(record_id, starts)

    def _entries_of(self, record_id: str, starts: Sequence[int]) -> Iterator[Entry]:
        for start in starts:
            with suppress(FileNotFoundError):  # it became too old meanwhile
                for entry, _ in decode(self._segment(record_id, start).read_bytes()):
                    yield entry

    def write(self, about: About, entries: Sequence[Entry], live: Collection[str]) -> None:
        """Add to a record, which begins with that. OSError: some of it was not kept; `end` says how far it came."""
        with self._lock:
            kept = self._kept.get(about.id)
            if kept is None:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                (self._folder / about.id).mkdir(mode=0o700, exist_ok=True)
                kept = _Kept(about)
                self._describe(about.id, kept)
                self._kept[about.id] = kept
            for some, raw in _chunks(entries, self._bounds.segment_bytes // 2):
                self._append(kept, some, raw)
            if kept.about != about:
                kept.about = about
                self._describe(about.id, kept)
            self._keep_bounds(kept, live)

    def end(self, record_id: str) -> int:
        """The offset behind its last byte; 0 when there is none."""
        with self._lock:
            kept = self._kept.get(record_id)
            return kept.end if kept else 0

    def remove(self, record_id: str) -> None:
        """DevexError 404; OSError."""
        with self._lock:
            self._remove(self._get(record_id))

    def remove_all(self, but: Collection[str]) -> list[str]:
        """Remove all but these -> the ids of those removed. OSError."""
        with self._lock:
            gone = [kept for kept in self._kept.values() if kept.about.id not in but]
            for kept in gone:
                self._remove(kept)
            return [kept.about.id for kept in gone]

    # With the lock held

    def _get(self, record_id: str) -> _Kept:
        if kept := self._kept.get(record_id):
            return kept
        raise DevexError("no_record", "This record does not exist any more.", "Look at the list again.", status=404)

    def _json(self, kept: _Kept, live: Collection[str]) -> dict[str, Any]:
        about = kept.about
        if about.ended_at is None and about.id not in live:
            about = about.lost(self._seen_s(kept))
        return {**about.json(), "bytes": kept.output_bytes, "missing": kept.end - kept.output_bytes}

    def _seen_s(self, kept: _Kept) -> float:
        last = self._segment(kept.about.id, kept.segments[-1].start) if kept.segments else self._about(kept.about.id)
        try:
            return last.stat().st_mtime
        except OSError:
            return 0.0

    def _append(self, kept: _Kept, entries: Sequence[Entry], raw: bytes) -> None:
        first = entries[0]
        if kept.torn or not kept.segments or kept.segments[-1].size_bytes + len(raw) > self._bounds.segment_bytes:
            kept.torn = False
            start = max(first.offset, kept.end)
            if kept.segments and kept.segments[-1].start >= start:  # nothing of it was whole
                kept.segments.pop()
            if not isinstance(first, Sized):
                raw = encode(Sized(start, first.at_ms, *kept.cols_rows)) + raw
            kept.segments.append(_Segment(start, 0, 0))
            self._segment(kept.about.id, start).unlink(missing_ok=True)
        segment = kept.segments[-1]
        try:
            _add(self._segment(kept.about.id, segment.start), segment.size_bytes, raw)
        except OSError:
            kept.torn = True
            raise
        segment.size_bytes += len(raw)
        for entry in entries:
            if isinstance(entry, Output):
                segment.output_bytes += len(entry.data)
                kept.end = entry.offset + len(entry.data)
            else:
                kept.cols_rows = entry.cols, entry.rows

    def _describe(self, record_id: str, kept: _Kept) -> None:
        place = self._about(record_id)
        whole = {"about": asdict(kept.about), "end": kept.end, "segments": [asdict(one) for one in kept.segments]}
        fresh = place.with_suffix(".new")
        fresh.write_text(json.dumps(whole))
        fresh.replace(place)

    def _keep_bounds(self, grown: _Kept, live: Collection[str]) -> None:
        bounds = self._bounds
        while grown.size_bytes > bounds.record_bytes and len(grown.segments) > 1:
            self._drop_oldest(grown)
        total = sum(kept.size_bytes for kept in self._kept.values())
        ended = sorted((kept for kept in self._kept.values() if kept.about.id not in live), key=_ended)
        while ended and (len(self._kept) > bounds.records or total > bounds.total_bytes):
            total -= ended[0].size_bytes
            self._remove(ended.pop(0))
        while total > bounds.total_bytes:
            largest = max(self._kept.values(), key=_size)
            if len(largest.segments) < 2:
                return
            total -= largest.segments[0].size_bytes
            self._drop_oldest(largest)

    def _drop_oldest(self, kept: _Kept) -> None:
        self._segment(kept.about.id, kept.segments[0].start).unlink(missing_ok=True)
        del kept.segments[0]

    def _remove(self, kept: _Kept) -> None:
        folder = self._folder / kept.about.id
        self._about(kept.about.id).unlink(missing_ok=True)  # first: what is left without it is no record
        with suppress(FileNotFoundError):  # removed by another process, as the REPL began to run
            shutil.rmtree(folder)
        del self._kept[kept.about.id]

    # What is there

    def _folders(self) -> list[Path]:
        try:
            return sorted(folder for folder in self._folder.iterdir() if ID.fullmatch(folder.name))
        except FileNotFoundError:
            return []

    def _read(self, folder: Path) -> _Kept | None:
        try:
            told = json.loads((folder / _ABOUT).read_bytes())
            kept = _Kept(About.load(told["about"]), told["end"])
            known = {segment["start"]: _Segment(**segment) for segment in told["segments"]}
            starts = sorted(int(path.stem) for path in folder.glob(f"{'[0-9]' * _NAME_DIGITS}.log"))
        except (OSError, ValueError, TypeError, KeyError):
            return None
        for start in starts:
            self._found(kept, start, known.get(start))
        return kept

    def _found(self, kept: _Kept, start: int, known: _Segment | None) -> None:
        """A segment that is as it was described needs no reading."""
        place = self._segment(kept.about.id, start)
        with suppress(OSError):
            size_bytes = place.stat().st_size
            if known is not None and known.size_bytes == size_bytes:
                kept.segments.append(known)
                return
            segment = _Segment(start, 0, 0)
            for entry, end in decode(place.read_bytes()):
                segment.size_bytes = end
                if isinstance(entry, Output):
                    segment.output_bytes += len(entry.data)
                    kept.end = max(kept.end, entry.offset + len(entry.data))
                else:
                    kept.cols_rows = entry.cols, entry.rows
            kept.segments.append(segment)
            if segment.size_bytes < size_bytes and self._may_write:
                os.truncate(place, segment.size_bytes)

    def _segment(self, record_id: str, start: int) -> Path:
        return self._folder / record_id / f"{start:0{_NAME_DIGITS}}.log"

    def _about(self, record_id: str) -> Path:
        return self._folder / record_id / _ABOUT


def _size(kept: _Kept) -> int:
    return kept.size_bytes


def _ended(kept: _Kept) -> str:
    return kept.about.ended_at or kept.about.started_at


def _chunks(entries: Sequence[Entry], most_bytes: int) -> Iterator[tuple[list[Entry], bytes]]:
    """So many at a time that a segment takes them, with their form in a file."""
    chunk: list[Entry] = []
    raw = bytearray()
    for entry in entries:
        encoded = encode(entry)
        if chunk and len(raw) + len(encoded) > most_bytes:
            yield chunk, bytes(raw)
            chunk = []
            raw.clear()
        chunk.append(entry)
        raw += encoded
    if chunk:
        yield chunk, bytes(raw)


def _add(place: Path, size_bytes: int, raw: bytes) -> None:
    """Behind its first `size_bytes`; when there is no room for all of it, none is added. OSError."""
    with place.open("ab", buffering=0) as file:
        try:
            written = file.write(raw)
            if written != len(raw):
                raise OSError(ENOSPC, os.strerror(ENOSPC))
        except OSError:
            file.truncate(size_bytes)
            raise
