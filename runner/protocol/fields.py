"""Wire types of message fields. Each has `put(value) -> bytes` and `take(body, at) -> (value, at)`.

Numbers are big-endian, texts strict UTF-8, lengths and counts u32. What does not fit raises ProtocolError, both ways.
"""

from __future__ import annotations

import struct

from runner.protocol.errors import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Field(Protocol):
        def put(self, value: Any) -> bytes: ...
        def take(self, body: bytes, at: int) -> tuple[Any, int]: ...


class Number:
    """`codes` as `struct` has them: of one, or of several to `pack` and `unpack` at once."""

    def __init__(self, codes: str) -> None:
        self.codes = codes
        self._struct = struct.Struct(">" + codes)

    def pack(self, values: tuple[int, ...]) -> bytes:
        try:
            return self._struct.pack(*values)
        except struct.error as error:
            raise ProtocolError(f"{values!r}: {error}") from None

    def unpack(self, body: bytes, at: int) -> tuple[tuple[int, ...], int]:
        try:
            return self._struct.unpack_from(body, at), at + self._struct.size
        except struct.error:
            raise ProtocolError("a message is cut short") from None

    def put(self, value: int) -> bytes:
        return self.pack((value,))

    def take(self, body: bytes, at: int) -> tuple[int, int]:
        (value,), at = self.unpack(body, at)
        return value, at


class Flag:
    def put(self, value: bool) -> bytes:
        return b"\1" if value else b"\0"

    def take(self, body: bytes, at: int) -> tuple[bool, int]:
        number, at = U8.take(body, at)
        if number > 1:
            raise ProtocolError("a flag is neither 0 nor 1")
        return bool(number), at


class Text:
    """UTF-8 without NUL, so that every text can be an argument, a path or an environment value."""

    def put(self, value: str) -> bytes:
        try:
            data = value.encode()
        except UnicodeEncodeError as error:
            raise ProtocolError(f"not encodable as UTF-8: {error.reason}") from None
        if b"\0" in data:
            raise ProtocolError("a text contains NUL")
        return U32.put(len(data)) + data

    def take(self, body: bytes, at: int) -> tuple[str, int]:
        length, at = U32.take(body, at)
        data = body[at : at + length]
        if len(data) != length or b"\0" in data:
            raise ProtocolError("a text is cut short or contains NUL")
        try:
            return data.decode(), at + length
        except UnicodeDecodeError:
            raise ProtocolError("a text is not UTF-8") from None


class TerminalId(Text):
    """1 to 32 characters of a-z, 0-9 and '-'."""

    _ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")

    def _checked(self, value: str) -> str:
        if not 1 <= len(value) <= 32 or not self._ALLOWED.issuperset(value):
            raise ProtocolError("a terminal's id is not 1 to 32 of a-z, 0-9 and '-'")
        return value

    def put(self, value: str) -> bytes:
        return super().put(self._checked(value))

    def take(self, body: bytes, at: int) -> tuple[str, int]:
        value, at = super().take(body, at)
        return self._checked(value), at


class Rest:
    """Raw bytes up to the end of the message: the last field only."""

    def put(self, value: bytes) -> bytes:
        return value

    def take(self, body: bytes, at: int) -> tuple[bytes, int]:
        return body[at:], len(body)


class Optional:
    def __init__(self, field: Field) -> None:
        self._field = field

    def put(self, value: object) -> bytes:
        return b"\0" if value is None else b"\1" + self._field.put(value)

    def take(self, body: bytes, at: int) -> tuple[object, int]:
        present, at = FLAG.take(body, at)
        return self._field.take(body, at) if present else (None, at)


class ListOf:
    def __init__(self, field: Field, max_items: int) -> None:
        self._field = field
        self._max_items = max_items

    def put(self, value: tuple[object, ...] | list[object]) -> bytes:
        if len(value) > self._max_items:
            raise ProtocolError(f"a list of {len(value)} is longer than {self._max_items}")
        return U32.put(len(value)) + b"".join([self._field.put(item) for item in value])

    def take(self, body: bytes, at: int) -> tuple[tuple[object, ...], int]:
        count, at = U32.take(body, at)
        if count > self._max_items:
            raise ProtocolError(f"a list of {count} is longer than {self._max_items}")
        items = []
        for _ in range(count):
            item, at = self._field.take(body, at)
            items.append(item)
        return tuple(items), at


class Struct:
    """Fields in order, made into a NamedTuple (or anything that takes them as positional arguments and iterates).

    The numbers it begins with are packed together: a key and its echo have nothing else but text.
    """

    def __init__(self, make: Any, *fields: Field) -> None:
        self._make = make
        first: list[str] = []
        for field in fields:
            if not isinstance(field, Number):
                break
            first.append(field.codes)
        self._count = len(first)
        self._numbers = Number("".join(first))
        self._others = fields[self._count :]

    def put(self, value: Any) -> bytes:
        others = zip(self._others, value[self._count :], strict=True)
        return self._numbers.pack(value[: self._count]) + b"".join([field.put(item) for field, item in others])

    def take(self, body: bytes, at: int) -> tuple[Any, int]:
        values: tuple[Any, ...]
        values, at = self._numbers.unpack(body, at)
        for field in self._others:
            value, at = field.take(body, at)
            values += (value,)
        return self._make(*values), at


class MapOfText:
    """str -> str; a name given twice is refused."""

    def __init__(self, max_items: int) -> None:
        self._pairs = ListOf(Struct(lambda name, value: (name, value), TEXT, TEXT), max_items)

    def put(self, value: dict[str, str]) -> bytes:
        return self._pairs.put(list(value.items()))

    def take(self, body: bytes, at: int) -> tuple[dict[Any, Any], int]:
        pairs: Any
        pairs, at = self._pairs.take(body, at)
        mapping = dict(pairs)
        if len(mapping) != len(pairs):
            raise ProtocolError("a name is given twice")
        return mapping, at


U8, U16, U32, U64, I32 = Number("B"), Number("H"), Number("I"), Number("Q"), Number("i")
FLAG, TEXT, TERMINAL_ID, REST = Flag(), Text(), TerminalId(), Rest()
