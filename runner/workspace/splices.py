"""Small changes to a file: `(start, delete, insert)` in bytes of the old content, ascending and disjoint."""

from collections.abc import Sequence

from runner.errors import DevexError

Splice = tuple[int, int, bytes]


def apply_splices(data: bytes, splices: Sequence[Splice]) -> bytes:
    """Raises DevexError `bad_splices` when they do not fit the data."""
    pieces: list[bytes] = []
    at = 0
    for start, delete, insert in splices:
        if start < at or delete < 0 or start + delete > len(data):
            raise DevexError("bad_splices", "The change does not fit the file.", "Open the file again.", status=400)
        pieces += (data[at:start], insert)
        at = start + delete
    pieces.append(data[at:])
    return b"".join(pieces)
