"""Workspace paths: how they are written, checked and shown.

A path is relative and separated by `/`; "" is the workspace itself. In Python and JSON it is a `str` in which a byte
that is not UTF-8 is a lone surrogate (`os.fsdecode`), so every name a program can make survives the way to the browser
and back. Write such JSON with `json.dumps` as it comes (ASCII escapes): lone surrogates cannot be encoded as UTF-8.
"""

import os
import unicodedata

from runner.errors import DevexError

Parts = tuple[bytes, ...]

MAX_NAME_BYTES = 255  # NAME_MAX of every common file system
MAX_PATH_BYTES = 4096  # PATH_MAX
MAX_DEPTH = 64  # deeper than real projects; bounds every walk that keeps a path or a descriptor per level

_UNSHOWN = {"Cc", "Cf", "Cs", "Cn", "Zl", "Zp"}  # control, format (bidi, zero width), surrogates, unassigned, line ends


def parse(path: str) -> Parts:
    """The names along a path. Raises DevexError `bad_path` for anything but plain relative paths."""
    try:
        raw = os.fsencode(path)
    except UnicodeEncodeError:
        raise _bad("contains a character that no file name can have") from None
    if not raw:
        return ()
    if len(raw) > MAX_PATH_BYTES:
        raise _bad(f"is longer than {MAX_PATH_BYTES} bytes")
    if b"\0" in raw:
        raise _bad("contains a NUL character")
    parts = tuple(raw.split(b"/"))
    if len(parts) > MAX_DEPTH:
        raise _bad(f"is more than {MAX_DEPTH} folders deep")
    for part in parts:
        if part in {b"", b".", b".."}:
            raise _bad("must be relative, without empty, '.' or '..' parts")
        if len(part) > MAX_NAME_BYTES:
            raise _bad(f"has a name longer than {MAX_NAME_BYTES} bytes")
    return parts


def parse_file(path: str) -> Parts:
    """As `parse`, but the workspace itself is refused: it is no file, and nobody moves or deletes it."""
    if parts := parse(path):
        return parts
    raise _bad("is empty")


def text(parts: Parts) -> str:
    return os.fsdecode(b"/".join(parts))


def join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def is_text(path: str) -> bool:
    """Whether it is UTF-8; most paths are, and only those can be opened in editors."""
    return path.isascii() or not any(0xDC80 <= ord(character) <= 0xDCFF for character in path)


def display(name: str) -> str:
    r"""For people: what would not show, or would reorder its surroundings, is escaped (`\n`, `\u202e`)."""
    if name.isascii() and name.isprintable():
        return name
    return "".join(_escaped(character) for character in name)


def _escaped(character: str) -> str:
    if unicodedata.category(character) not in _UNSHOWN:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if character in "\n\r\t":
        return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}[character]
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _bad(reason: str) -> DevexError:
    return DevexError("bad_path", f"This path {reason}.", "Choose another name.", status=400)
