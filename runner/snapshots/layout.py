"""What the objects of a store look like: pure functions between bytes and plain data.

    p/DIGEST   pack of file contents: zstd frames, one after another, of chunks of at most CHUNK_BYTES
    t/DIGEST   pack of trees: the same, each a piece of one folder's listing
    i/DIGEST   index part: where the chunks and trees that are new in one version lie
    c/KEY      commit: one version; written last, so whatever it names is there
    n/VERSION-DIGEST
               the name a person gave to a version, which is kept for ever then; of two, the younger one counts

Nothing is ever overwritten. A commit's key counts down with epoch and sequence: the first key is the newest version,
and a writer of an outdated epoch sorts behind whoever replaced it.
"""

import json
import os
import re
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Literal, NamedTuple

import zstandard

from runner.errors import DevexError

CHUNK_BYTES: Final = 4 << 20  # files are cut here: a changed byte costs at most so much; three in flight stay small
PACK_BYTES: Final = 4 << 20  # a pack is closed when it has reached this
LEVEL: Final = 3  # zstd: 200 MB/s of text here; higher levels cost more than they save
SEGMENT_ROWS: Final = 256  # on average; one changed file in a huge folder sends about 10 kB
SEGMENT_MOST: Final = 4096
MAX_TREE_BYTES: Final = 8 << 20  # of SEGMENT_MOST rows with the longest names; what is longer was not written by us
MAX_PIECE_BYTES: Final = max(CHUNK_BYTES, MAX_TREE_BYTES)
PART_PLACES: Final = 25_000  # of an index part: some 2 MB of JSON, read whole
MAX_INDEX_BYTES: Final = 4 << 20  # of its JSON, with a pack for each place; read, ten times as much
MAX_OBJECT_BYTES: Final = 16 << 20  # of a decompressed commit
MAX_WORDS: Final = 512 << 10  # characters of a commit's author or message: there may be a path in it
EPOCHS: Final = 10**8
SEQUENCES: Final = 10**10

Digest = str  # 40 hexadecimal digits: SHA-256, cut to 160 bits
Kind = Literal["f", "d", "l"]

_PACK: Final = re.compile(r"[pt]/[0-9a-f]{40}")
_DIGEST: Final = re.compile(r"[0-9a-f]{40}")
_LARGEST: Final = (2**63 - 1) * 10**9  # of what a Row counts: nanoseconds of as many seconds as the system takes
_VERSION: Final = re.compile(r"([0-9]{1,8})-([0-9]{1,10})")
_NAME: Final = re.compile(rf"n/({_VERSION.pattern})-({_DIGEST.pattern})")


class Damaged(DevexError):
    """An object is not what its name says."""

    def __init__(self, what: str) -> None:
        super().__init__(
            "damaged", f"The store's {what} is damaged.", "Ask the operator to run `devex verify`.", status=502
        )


class Row(NamedTuple):
    """One entry of a folder. `content` of a file: its chunks; of a folder: its segments; of a link: its target.

    Names and targets are `os.fsdecode`d. Folders carry no time: whatever happens in them would change it.
    """

    name: str
    kind: Kind
    mode: int
    mtime_ns: int
    size_bytes: int
    content: tuple[str, ...]


class Place(NamedTuple):
    """Where a chunk or tree lies: `pack` is the key of an object."""

    pack: str
    offset: int
    stored_bytes: int
    size_bytes: int

    def of(self, pack: bytes) -> bytes:
        """What lies there in the whole pack."""
        return pack[self.offset : self.offset + self.stored_bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One version. `notes` says what the version does not hold as it was: [path, why], at most MAX_NOTES of `noted`."""

    epoch: int
    seq: int
    root: tuple[Digest, ...]
    index: tuple[Digest, ...]
    parent: str | None
    at: str  # ISO 8601, UTC: it holds everything up to then
    author: str
    message: str  # what made it: "autosave", "before it stopped", "restored everything of 7-41"
    files: int
    size_bytes: int
    added: int  # files that brought something new: roughly those that differ from the parent
    notes: tuple[tuple[str, str], ...] = ()
    noted: int = 0

    @property
    def version(self) -> str:
        return f"{self.epoch}-{self.seq}"

    @property
    def taken_at(self) -> datetime:
        return datetime.fromisoformat(self.at)


MAX_NOTES: Final = 100


def digest_of(data: bytes | bytearray | memoryview) -> Digest:
    return sha256(data).hexdigest()[:40]


ZERO_CHUNK: Final = bytes(CHUNK_BYTES)
ZEROS: Final = digest_of(ZERO_CHUNK)  # of sparse files: neither read nor written


def pack_key(kind: Literal["p", "t"], data: bytes) -> str:
    return f"{kind}/{digest_of(data)}"


def index_key(digest: Digest) -> str:
    return f"i/{digest}"


def commit_key(version: str) -> str:
    """Raises DevexError `no_version`."""
    epoch, seq = order_of(version)
    return f"c/{EPOCHS - epoch:09d}-{SEQUENCES - seq:011d}"


def name_in(key: str) -> str:
    """Of an object, without the prefix of its REPL: `p/DIGEST`."""
    return "/".join(key.rsplit("/", 2)[-2:])


def version_of(key: str) -> str:
    epoch, _, seq = key.removeprefix("c/").partition("-")
    try:
        return f"{EPOCHS - int(epoch)}-{SEQUENCES - int(seq)}"
    except ValueError:
        raise Damaged("list of versions") from None


def order_of(version: str) -> tuple[int, int]:
    """Grows from each version to the next. Raises DevexError `no_version`."""
    found = _VERSION.fullmatch(version)
    if found is None:
        raise DevexError("no_version", "There is no such version.", "Choose one of the list.", status=404)
    return int(found[1]), int(found[2])


class _Zstd(threading.local):
    """Of each thread: to make one takes longer than to compress a small file with it."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=LEVEL)
        self.decompressor = zstandard.ZstdDecompressor()


_zstd: Final = _Zstd()


def compressed(data: bytes | memoryview) -> bytes:
    return _zstd.compressor.compress(data)


def decompressed(data: bytes, most_bytes: int, what: str) -> bytes:
    """At most so many bytes, however much the frame promises or holds. Raises Damaged."""
    try:
        if zstandard.frame_content_size(data) <= most_bytes:  # -1 where it does not say: then the maximum counts
            return _zstd.decompressor.decompress(data, max_output_size=most_bytes)
    except zstandard.ZstdError:
        pass  # as damaged as what promises too much
    raise Damaged(what)


def chunk(stored: bytes, place: Place, digest: Digest) -> bytes:
    """The content of a chunk or tree as it was read from a pack, checked. Raises Damaged."""
    plain = decompressed(stored, place.size_bytes, place.pack)
    if digest_of(plain) != digest:
        raise Damaged(place.pack)
    return plain


# trees


def segments(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Rows, in the order of their names' bytes, in pieces whose ends depend on names alone: what is added or removed
    changes one or two.
    """
    piece: list[Row] = []
    for row in rows:
        piece.append(row)
        if zlib.crc32(os.fsencode(row.name)) % SEGMENT_ROWS == 0 or len(piece) >= SEGMENT_MOST:
            yield piece
            piece = []
    if piece:
        yield piece


def tree_bytes(rows: Sequence[Row]) -> bytes:
    return json.dumps(rows, separators=(",", ":")).encode()


def tree_rows(data: bytes) -> list[Row]:
    """Raises Damaged for anything that `tree_bytes` does not write, hostile names above all."""
    try:
        found = json.loads(data)
        if not isinstance(found, list):
            raise Damaged("list of files")
        return [_row(fields) for fields in found]
    except (ValueError, TypeError, RecursionError):
        raise Damaged("list of files") from None


def _row(fields: list[Any]) -> Row:
    name, kind, mode, mtime_ns, size_bytes, content = fields
    if not name or name in {".", ".."} or "/" in name or "\0" in name:
        raise ValueError(name)
    for number in (mode, mtime_ns, size_bytes):
        if not isinstance(number, int) or abs(number) > _LARGEST:
            raise ValueError(number)
    if size_bytes < 0:
        raise ValueError(size_bytes)
    if kind in {"f", "d"}:
        if not all(_DIGEST.fullmatch(digest) for digest in content):
            raise ValueError(content)
    elif kind != "l" or len(content) != 1 or not content[0] or "\0" in os.fsdecode(os.fsencode(content[0])):
        raise ValueError(kind)
    os.fsencode(name)
    return Row(name, kind, mode & 0o7777, mtime_ns, size_bytes, tuple(content))


# index parts and commits


def index_bytes(places: Iterable[tuple[Digest, Place]]) -> bytes:
    packs: dict[str, int] = {}
    rows = [
        [digest, packs.setdefault(place.pack, len(packs)), place.offset, place.stored_bytes, place.size_bytes]
        for digest, place in places
    ]
    return compressed(json.dumps({"packs": list(packs), "blobs": rows}, separators=(",", ":")).encode())


def index_places(data: bytes) -> list[tuple[Digest, Place]]:
    """Raises Damaged."""
    try:
        plain = decompressed(data, MAX_INDEX_BYTES, "index")
        if plain.count(b"[") > PART_PLACES + 2 or plain.count(b"{") > 1:  # before a stranger's fills the memory
            raise Damaged("index")
        found = json.loads(plain)
        packs = found["packs"]
        if not all(_PACK.fullmatch(pack) for pack in packs):
            raise Damaged("index")
        return [(_digest(digest), _place(packs[pack], *where)) for digest, pack, *where in found["blobs"]]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        raise Damaged("index") from None


def _digest(text: Any) -> Digest:
    if not _DIGEST.fullmatch(text):
        raise ValueError(text)
    return str(text)


def _place(pack: str, *where: Any) -> Place:
    """What promises more than is ever written is refused before it is unpacked."""
    offset, stored_bytes, size_bytes = where
    if not all(type(number) is int and number >= 0 for number in where) or size_bytes > MAX_PIECE_BYTES:
        raise ValueError(where)
    return Place(pack, offset, stored_bytes, size_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """What a person calls a version."""

    name: str
    author: str
    at: str  # ISO 8601, UTC


def names_key(version: str) -> str:
    """What the keys of its names begin with. Raises DevexError `no_version`."""
    commit_key(version)
    return f"n/{version}-"


def name_key(version: str, data: bytes) -> str:
    """Raises DevexError `no_version`."""
    return f"{names_key(version)}{digest_of(data)}"


def version_named(key: str) -> str:
    """By an object of this key. Raises Damaged."""
    if (found := _NAME.fullmatch(key)) is None:
        raise Damaged("name of a version")
    return found[1]


def name_bytes(name: Name) -> bytes:
    return json.dumps(asdict(name)).encode()


def name_of(data: bytes) -> Name:
    """Raises Damaged."""
    try:
        name = Name(**json.loads(data))
        _require(str, name.name, name.author, name.at)
        return name
    except (ValueError, TypeError, RecursionError):
        raise Damaged("name of a version") from None


def commit_bytes(commit: Commit) -> bytes:
    return compressed(json.dumps(asdict(commit), separators=(",", ":")).encode())


def commit_of(data: bytes) -> Commit:
    """Raises Damaged."""
    try:
        fields: dict[str, Any] = json.loads(decompressed(data, MAX_OBJECT_BYTES, "version"))
        fields["root"], fields["index"] = tuple(fields["root"]), tuple(fields["index"])
        fields["notes"] = tuple((path, why) for path, why in fields["notes"])
        commit = Commit(**fields)
        _check(commit)
        return commit
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Damaged("version") from None


def _check(commit: Commit) -> None:
    """Raises ValueError, TypeError."""
    commit_key(commit.version)
    for digest in (*commit.root, *commit.index):
        _digest(digest)
    _require(int, commit.epoch, commit.seq, commit.files, commit.size_bytes, commit.added, commit.noted)
    _require(str, commit.author, commit.message, *(text for note in commit.notes for text in note))
    _require(str | None, commit.parent)
    if commit.taken_at.tzinfo is None:
        raise ValueError(commit.at)
    if len(commit.notes) > MAX_NOTES or max(len(commit.author), len(commit.message)) > MAX_WORDS:
        raise ValueError(commit.version)


def _require(kind: Any, *values: object) -> None:
    for value in values:
        if not isinstance(value, kind):
            raise TypeError(value)


def check_object(name: str, data: bytes) -> None:
    """Raises Damaged unless it is what its name says, as far as it tells by itself."""
    kind, _, rest = name.partition("/")
    match kind:
        case "p" | "t" | "i":
            is_it = digest_of(data) == rest
        case "c":
            is_it = commit_key(commit_of(data).version) == name
        case "n":
            is_it = name_key(version_named(name), data) == name and bool(name_of(data).name)
        case _:
            is_it = False
    if not is_it:
        raise Damaged(f"object “{name}”")
    if kind == "i":
        index_places(data)
