"""Small differences between two texts, and the union of two changes made to the same text.

Texts are UTF-8 bytes because the CRDT counts in UTF-8 bytes: nothing has to be converted. A splice is
`(start, delete, insert)`, counted in bytes of the *old* text; lists are ascending, disjoint and never cut a character.

libgit2's xdiff finds changed lines and, inside small changes, changed words. Against difflib on two busy
cores: 1 MB with 200 changed places 24 ms (67 ms); 3,000 equal lines 2 ms (1,090 ms: quadratic); 5 MB replaced 140 ms.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pygit2
from pygit2.enums import DiffOption

from runner.workspace import Splice, apply_splices

FINE_BYTES = 4096  # a longer change is replaced as a whole: comparing its words would rarely find what was edited
CONFETTI_SPLICES = 8  # more pieces than this in one change move carets worse than one replacement
WORK_BYTES = 5_000_000_000  # splices x text length a CRDT applies in about 0.1 s; beyond it neighbours are joined
GAP_BYTES = 16  # neighbours this close are joined first

_WORDS = re.compile(rb"[\x80-\xff]+|\w+|.", re.DOTALL)


def diff(old: bytes, new: bytes) -> list[Splice]:
    """The splices that turn `old` into `new`."""
    if old == new:
        return []
    head, tail = _common_ends(old, new)
    start = old.rfind(b"\n", 0, head) + 1  # grow to whole lines: xdiff compares lines
    end = old.find(b"\n", len(old) - tail) + 1 if tail else 0
    end = end or len(old)
    old_part, new_part = old[start:end], new[start : len(new) - (len(old) - end)]
    if not old_part or not new_part:
        return _trim(old_part, new_part, start)
    return _joined(old, list(_by_lines(old_part, new_part, start)))


def merge(base: bytes, ours: bytes, theirs: bytes) -> list[Splice]:
    """Splices on `ours` that bring in what `theirs` changed since `base`.

    A change that both made counts once, so merging the same `theirs` again changes nothing. Where both changed one
    place differently the text of both is kept: nothing that somebody typed is lost.
    """
    found: list[Splice] = []
    shift = 0  # how far `ours` has moved against `base`
    for group in _groups(diff(base, ours), diff(base, theirs)):
        low, high = group.low + shift, group.high + shift + _growth(group.ours)
        shift += _growth(group.ours)
        if not group.theirs:
            continue
        place = [(start - group.low, delete, insert) for start, delete, insert in group.theirs]
        wanted = apply_splices(base[group.low : group.high], place)
        changes = _union(ours[low:high], wanted) if group.ours else diff(ours[low:high], wanted)
        found += [(low + start, delete, insert) for start, delete, insert in changes]
    return found


def _union(ours: bytes, theirs: bytes) -> Iterator[Splice]:
    """Insertions into `ours` after which it holds the lines of both, and what both have only once."""
    our_lines, their_lines = _lines(ours), _lines(theirs)
    offsets = _offsets(our_lines, 0)
    for i1, i2, j1, j2 in _hunks(ours, theirs):
        extra = b"".join(their_lines[j1:j2])
        for start, delete, insert in _trim(b"".join(our_lines[i1:i2]), extra, offsets[i1]):
            if not delete:
                yield start, 0, insert  # they typed on where we stopped
            elif insert:  # else we typed on where they stopped
                yield offsets[i2], 0, extra


@dataclass(slots=True)
class _Group:
    """Changes of both sides to one range of the base."""

    low: int
    high: int
    ours: list[Splice] = field(default_factory=list)
    theirs: list[Splice] = field(default_factory=list)
    inserted_at: int = -1  # where the last insertion stands: two at one place belong together

    def takes(self, splice: Splice) -> bool:
        return splice[0] < self.high or (bool(splice[2]) and splice[0] == self.inserted_at)


def _groups(ours: list[Splice], theirs: list[Splice]) -> list[_Group]:
    """Both lists in the order of the base; splices of the two sides that overlap share a group."""
    groups: list[_Group] = []
    both = [(splice, True) for splice in ours] + [(splice, False) for splice in theirs]
    for splice, is_ours in sorted(both, key=lambda item: (item[0][0], item[0][1])):
        start, delete, insert = splice
        if not groups or not groups[-1].takes(splice):
            groups.append(_Group(start, start + delete))
        group = groups[-1]
        group.high = max(group.high, start + delete)
        (group.ours if is_ours else group.theirs).append(splice)
        if insert:
            group.inserted_at = start
    return groups


def _growth(splices: list[Splice]) -> int:
    return sum(len(insert) - delete for _, delete, insert in splices)


def _by_lines(old: bytes, new: bytes, at: int) -> Iterator[Splice]:
    """Splices between two runs of whole lines; `at` is where `old` starts in the text."""
    old_lines, new_lines = _lines(old), _lines(new)
    offsets = _offsets(old_lines, at)
    for i1, i2, j1, j2 in _hunks(old, new):
        if i2 - i1 == j2 - j1:  # the same number of lines: most likely each was edited by itself
            for i, j in zip(range(i1, i2), range(j1, j2), strict=True):
                yield from _fine(old_lines[i], new_lines[j], offsets[i])
        else:
            yield from _fine(b"".join(old_lines[i1:i2]), b"".join(new_lines[j1:j2]), offsets[i1])


def _fine(old: bytes, new: bytes, at: int) -> list[Splice]:
    """Word by word when the change is small, else one replacement."""
    whole = _trim(old, new, at)
    if not whole or not whole[0][1] or not whole[0][2] or max(whole[0][1], len(whole[0][2])) > FINE_BYTES:
        return whole
    start, delete, insert = whole[0]
    old_words = _WORDS.findall(old[start - at : start - at + delete])
    new_words = _WORDS.findall(insert)
    offsets = _offsets(old_words, start)
    pieces: list[Splice] = []
    for i1, i2, j1, j2 in _hunks(_one_a_line(old_words), _one_a_line(new_words)):
        pieces += _trim(b"".join(old_words[i1:i2]), b"".join(new_words[j1:j2]), offsets[i1])
    return pieces if len(pieces) <= CONFETTI_SPLICES else whole


def _hunks(old: bytes, new: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Ranges of lines that differ. xdiff counts lines from 1, and names an empty range by the line before."""
    # FORCE_TEXT: what git calls binary is decided elsewhere
    for hunk in pygit2.Patch.create_from(
        old, new, "", "", flag=DiffOption.FORCE_TEXT, context_lines=0, interhunk_lines=0
    ).hunks:
        i = hunk.old_start - (1 if hunk.old_lines else 0)
        j = hunk.new_start - (1 if hunk.new_lines else 0)
        yield i, i + hunk.old_lines, j, j + hunk.new_lines


def _trim(old: bytes, new: bytes, at: int) -> list[Splice]:
    """The one splice between the common ends."""
    if old == new:
        return []
    head, tail = _common_ends(old, new)
    return [(at + head, len(old) - head - tail, new[head : len(new) - tail])]


def _common_ends(old: bytes, new: bytes) -> tuple[int, int]:
    """Lengths of the common start and end, which do not overlap in either text and cut no character."""
    shorter = min(len(old), len(new))
    head = _longest(shorter, lambda low, high: old[low:high] == new[low:high])
    while head and (_continues(old, head) or _continues(new, head)):
        head -= 1
    old_size, new_size = len(old), len(new)
    tail = _longest(
        shorter - head, lambda low, high: old[old_size - high : old_size - low] == new[new_size - high : new_size - low]
    )
    while tail and _continues(old, old_size - tail):
        tail -= 1
    return head, tail


def _longest(limit: int, same: Callable[[int, int], bool]) -> int:
    """The longest length up to `limit` that is the same, by halving: comparing slices is what CPython does fastest."""
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if same(low, middle):
            low = middle
        else:
            high = middle - 1
    return low


def _continues(text: bytes, at: int) -> bool:
    """True in the middle of a character."""
    return at < len(text) and text[at] & 0xC0 == 0x80


def _lines(text: bytes) -> list[bytes]:
    """Lines with their LF; bytes.splitlines() would also split at CR, which xdiff does not."""
    lines = [line + b"\n" for line in text.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _one_a_line(words: list[bytes]) -> bytes:
    return b"".join((b"" if word == b"\n" else word) + b"\n" for word in words)


def _offsets(pieces: list[bytes], at: int) -> list[int]:
    offsets = [at]
    for piece in pieces:
        offsets.append(offsets[-1] + len(piece))
    return offsets


def _joined(old: bytes, splices: list[Splice]) -> list[Splice]:
    """Adjacent splices joined, and neighbours with ever wider gaps until they are few enough."""
    splices = _join(old, splices, 0)
    gap = GAP_BYTES
    while len(splices) * len(old) > WORK_BYTES and gap < len(old):
        splices = _join(old, splices, gap)
        gap *= 8
    return splices


def _join(old: bytes, splices: list[Splice], gap: int) -> list[Splice]:
    runs: list[tuple[int, int, list[bytes]]] = []  # start, end, pieces of the insertion
    for start, delete, insert in splices:
        if runs and start - runs[-1][1] <= gap:
            first, end, pieces = runs[-1]
            pieces += (old[end:start], insert)
            runs[-1] = (first, start + delete, pieces)
        else:
            runs.append((start, start + delete, [insert]))
    return [(start, end - start, b"".join(pieces)) for start, end, pieces in runs]
