"""The modes that a program has set in its terminal, so that who missed output sees what follows as it is meant.

Pure, and no emulator: only sequences that change how later output is shown, or what keys and the mouse send, are read.
"""

import re
from collections import deque
from typing import Final

from runner.protocol.ring import RING_BYTES, Ring

MARK_BYTES: Final = 4096  # of output between the places whose modes are remembered
MARKS: Final = RING_BYTES // MARK_BYTES + 1  # of them: as many as a full ring can have
CHANGES: Final = 500  # read in one piece; of a program that changes more, the last TAIL_BYTES of it
TAIL_BYTES: Final = 4096
SEQUENCE_BYTES: Final = 80  # of one that comes in parts

# How each is set where it is off at first; those of a line exclude each other, and the one that was set last counts.
_LINES: Final = ((1,), (6,), (45,), (66,), (1004,), (2004,), (47, 1047, 1049), (9, 1000, 1002, 1003), (1006, 1016))
_LINE_OF: Final = {number: line[0] for line in _LINES for number in line}
_ON_AT_FIRST: Final = frozenset({7, 25})  # lines are wrapped, and the cursor is seen
_ALTERNATE, _MOUSE, _ENCODING = 47, 9, 1006
_REGION, _KEYPAD, _CHARSET, _INSERT = -1, -2, -3, -4
_OUTLIVE_SOFT_RESET: Final = frozenset({_ALTERNATE, _MOUSE, _ENCODING})

# Colours, which come in floods, are passed over first: so looking takes 3 ns a byte of them.
_CHANGE: Final = re.compile(
    rb"\x1b(?!\[[0-9;]*+m)(?:\[(?:\?(?P<modes>[0-9;]{1,32}+)(?P<to>[hl])|4(?P<insert>[hl])"
    rb"|(?P<region>(?:[0-9]{1,4}+;[0-9]{1,4}+)?)r|(?P<soft>!p))|(?P<hard>c)|(?P<keypad>[=>])|\((?P<charset>[0B]))"
)


class Modes:
    """As `feed` was told, or as they were in `state`, where a sequence had begun with `rest`."""

    def __init__(self, state: dict[int, bytes] | None = None, rest: bytes = b"") -> None:
        self.state = dict(state or {})  # what differs from a new terminal -> how to set it
        self.rest = rest

    @property
    def alternate(self) -> bool:
        """Whether a full-screen program has the screen."""
        return _ALTERNATE in self.state

    def feed(self, data: bytes) -> None:
        """The next output."""
        if self.rest:
            data, self.rest = self.rest + data, b""
        last = data.rfind(b"\x1b")
        if last < 0:
            return
        for count, change in enumerate(_CHANGE.finditer(data)):
            if count == CHANGES:
                for late in _CHANGE.finditer(data, len(data) - TAIL_BYTES):
                    self._apply(late)
                break
            self._apply(change)
        if len(data) - last < SEQUENCE_BYTES and not _CHANGE.match(data, last):
            self.rest = data[last:]

    def restoring(self) -> bytes:
        """What brings a terminal that was reset into them."""
        first = self.state.get(_ALTERNATE, b"")
        return first + b"".join(how for key, how in self.state.items() if key != _ALTERNATE)

    def _apply(self, change: re.Match[bytes]) -> None:
        match change.lastgroup:
            case "to":
                for number in change["modes"].split(b";"):
                    if number.isdigit():
                        self._set(int(number), on=change["to"] == b"h")
            case "insert":
                self._note(_INSERT, change[0] if change["insert"] == b"h" else b"")
            case "region":
                bottom = change["region"].partition(b";")[2]  # where output goes on; setting a region goes to the top
                self._note(_REGION, change[0] + b"\x1b[%s;1H" % bottom if bottom else b"")
            case "keypad":
                self._note(_KEYPAD, change[0] if change["keypad"] == b"=" else b"")
            case "charset":
                self._note(_CHARSET, change[0] if change["charset"] == b"0" else b"")
            case "soft":
                self.state = {key: how for key, how in self.state.items() if key in _OUTLIVE_SOFT_RESET}
            case "hard":
                self.state = {}

    def _set(self, number: int, *, on: bool) -> None:
        if number in _ON_AT_FIRST:
            self._note(number, b"" if on else b"\x1b[?%dl" % number)
        elif (line := _LINE_OF.get(number)) is not None:
            self._note(line, b"\x1b[?%dh" % number if on else b"")

    def _note(self, key: int, how: bytes) -> None:
        if how:
            self.state[key] = how
        else:
            self.state.pop(key, None)


class ModeLog:
    """The modes behind the last byte of a ring, and at any place in it."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._now = Modes()
        self._marks: deque[tuple[int, dict[int, bytes], bytes]] = deque(maxlen=MARKS)  # offset, state, rest
        self._marks.append((ring.start, {}, b""))

    @property
    def alternate(self) -> bool:
        """Whether a full-screen program has the screen now."""
        return self._now.alternate

    def output(self, offset: int, data: bytes) -> None:
        """What the ring is given, before it gets it."""
        fresh = data[max(self._ring.end - offset, 0) :]
        self._now.feed(fresh)
        end = max(offset + len(data), self._ring.end)
        if end - self._marks[-1][0] >= MARK_BYTES:
            self._marks.append((end, dict(self._now.state), self._now.rest))

    def at(self, offset: int) -> Modes:
        """Those at a place in the ring; where what came before has left it, those of a little later. What lies between
        repeats its changes, so nothing is wrong for long."""
        ring = self._ring
        held = [mark for mark in self._marks if mark[0] >= ring.start]
        before = [mark for mark in held if mark[0] <= offset]
        if not before:
            at, state, rest = held[0] if held else (offset, self._now.state, self._now.rest)
            return Modes(state, rest)
        at, state, rest = before[-1]
        modes = Modes(state, rest)
        while at < offset:
            data = ring.read(at, offset - at)
            modes.feed(data)
            at += len(data)
        if modes.rest:  # a sequence that begins before and ends behind: its first half is not shown
            modes.feed(ring.read(offset, SEQUENCE_BYTES))
        return modes
