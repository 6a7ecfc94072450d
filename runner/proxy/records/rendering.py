"""Records as people take them away: plain text, asciicast, the last lines. Pure."""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from runner.proxy.records.entries import Entry, Gap, Output, Sized, with_gaps
from runner.proxy.terminals.screen import TERMINAL_ENVIRONMENT

LINE_BYTES: Final = 4096  # within which the end of a line is looked for where a record is cut
# Control sequences, strings of a terminal's own (titles, colours, links), and other escapes; unfinished ones, too.
_SEQUENCE: Final = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|[\]P^_X][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|[ -/]*[0-~]?)", re.DOTALL
)
_CONTROL: Final = re.compile(r"[\x00-\x07\x0b-\x1f\x7f-\x9f]")


def tail(entries: Iterable[Entry], most_bytes: int) -> tuple[bytes, int, int]:
    """The last lines, at most so many bytes of them -> (they, the offset at which they begin, bytes missing in them).
    Where no line ends soon they begin with a whole character.
    """
    outputs = [entry for entry in entries if isinstance(entry, Output)]
    end = outputs[-1].offset + len(outputs[-1].data) if outputs else 0
    kept: list[Output] = []
    left = most_bytes
    for one in reversed(outputs):
        if left <= 0:
            break
        kept.append(one if len(one.data) <= left else _last(one, left))
        left -= len(one.data)
    kept.reverse()
    found = b"".join(one.data for one in kept)
    if not kept:
        return b"", end, 0
    start = kept[0].offset
    if start > outputs[0].offset:
        skipped = _whole_from(found)
        found, start = found[skipped:], start + skipped
    return found, start, end - start - len(found)


def _last(output: Output, size: int) -> Output:
    cut = len(output.data) - size
    return Output(output.offset + cut, output.at_ms, output.data[cut:])


def _whole_from(data: bytes) -> int:
    """Where the first whole line begins, or else the first whole character."""
    if line_end := data.find(b"\n", 0, LINE_BYTES) + 1:
        return line_end if line_end < len(data) else 0
    return next((at for at, byte in enumerate(data[:4]) if byte & 0xC0 != 0x80), 0)


def text(entries: Iterable[Entry]) -> str:
    """Without control sequences: of each line what stood there last, as far as that is to be told without a screen."""
    pieces: list[str] = []
    written = bytearray()
    for entry in with_gaps(iter(entries)):
        if isinstance(entry, Gap):
            pieces += (_plain(written), f"\n[{missing_words(entry.end - entry.start)}]\n")
            written.clear()
        elif isinstance(entry, Output):
            written += entry.data
    return "".join(pieces) + _plain(written)


def _plain(written: bytes | bytearray) -> str:
    plain = _SEQUENCE.sub(_nothing, written.decode("utf-8", "replace"))
    return "\n".join(map(_line, plain.split("\n")))


def _nothing(_: re.Match[str]) -> str:
    """A function, as others of this process run between its calls: a plain "" would keep them out for a second."""
    return ""


def _line(line: str) -> str:
    """A carriage return begins it anew, a backspace takes one character back."""
    if "\r" in line:
        line = next((part for part in reversed(line.split("\r")) if part), "")
    if "\b" in line:
        kept: list[str] = []
        for character in line:
            if character != "\b":
                kept.append(character)
            elif kept:
                kept.pop()
        line = "".join(kept)
    return _CONTROL.sub(_nothing, line)


def cast(about: dict[str, Any], entries: Iterable[Entry]) -> Iterator[bytes]:
    """asciicast v2, of what `GET records/{id}` tells and its entries."""
    begun_ms = int(datetime.fromisoformat(about["started_at"]).timestamp() * 1000)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    size: tuple[int, int] | None = None
    last_ms = 0
    for entry in with_gaps(iter(entries)):
        if size is None:
            size = (entry.cols, entry.rows) if isinstance(entry, Sized) else (about["cols"], about["rows"])
            yield _header(about, size, begun_ms // 1000)
        if isinstance(entry, Gap):
            yield from _event(last_ms, "o", decoder.decode(b"", final=True))
            yield from _event(last_ms, "m", missing_words(entry.end - entry.start))
            continue
        last_ms = max(last_ms, entry.at_ms - begun_ms)  # clocks are set back
        if isinstance(entry, Output):
            yield from _event(last_ms, "o", decoder.decode(entry.data))
        elif size != (entry.cols, entry.rows):
            size = (entry.cols, entry.rows)
            yield from _event(last_ms, "r", f"{entry.cols}x{entry.rows}")
    if size is None:
        yield _header(about, (about["cols"], about["rows"]), begun_ms // 1000)
    yield from _event(last_ms, "o", decoder.decode(b"", final=True))


def _header(about: dict[str, Any], size: tuple[int, int], begun_s: int) -> bytes:
    header = {"version": 2, "width": size[0], "height": size[1], "timestamp": begun_s, "title": about["title"]}
    command = {"command": about["command"]} if about["command"] else {}
    return json.dumps({**header, **command, "env": {"TERM": TERMINAL_ENVIRONMENT["TERM"]}}).encode() + b"\n"


def _event(at_ms: int, code: str, data: str) -> Iterator[bytes]:
    if data:
        yield json.dumps([at_ms / 1000, code, data]).encode() + b"\n"


def missing_words(count: int) -> str:
    """As `missingWords` in components/terminal/gap.mjs has it."""
    return f"{count:,} bytes of output are missing here"
