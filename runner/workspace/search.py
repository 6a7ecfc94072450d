"""Finding files by a few letters of their name, and text in files: bounded in time, memory and answer."""

import heapq
import re
import time
from collections.abc import Iterable
from typing import Final, NamedTuple

from runner.errors import DevexError
from runner.workspace.paths import join
from runner.workspace.tree import EXCLUDED
from runner.workspace.workspace import Workspace

MAX_QUERY: Final = 256  # characters
FOUND: Final = 100  # names of files in one answer
MAX_FILES: Final = 100_000
SEARCH_BUDGET_S: Final = 5.0
MAX_SEARCHED_FILE_BYTES: Final = 1 << 20  # larger ones are data; also bounds what one look holds in memory
MAX_MATCHES: Final = 1_000
MAX_MATCHES_PER_FILE: Final = 100  # so that one file does not fill the answer
SHOWN_BEFORE: Final = 80  # characters of the line before and after a match
SHOWN_AFTER: Final = 120
_BINARY_LOOK_BYTES: Final = 8_192
_BOUNDARIES: Final = frozenset("/_-. ")


class Match(NamedTuple):
    """`line` counts from 1; `column`, in characters from 0, is in the line; `at` is where the match is in `text`."""

    path: str
    line: int
    column: int
    length: int
    text: str
    at: int


class Matches(NamedTuple):
    matches: list[Match]
    complete: bool


def file_paths(workspace: Workspace) -> list[str]:
    return [
        join(folder, entry.name)
        for folder, entries in workspace.walk(skip=EXCLUDED, entries=MAX_FILES)
        for entry in entries
        if entry.stat.kind == "f"
    ]


def rank(paths: Iterable[str], query: str, limit: int) -> list[str]:
    """The paths that have the query's letters in order, best first: in the name, in a row, at the start of words."""
    letters = "".join(query.lower().split())[:MAX_QUERY]
    if not letters:
        return heapq.nsmallest(limit, paths)
    # each letter by the first place it can have: no backtracking, so no query is slow
    pattern = re.compile("".join(f"[^{re.escape(letter)}]*{re.escape(letter)}" for letter in letters), re.DOTALL)
    scored = ((_score(path.lower(), letters), path) for path in paths if pattern.match(path.lower()))
    return [path for _, path in heapq.nsmallest(limit, ((-score, path) for score, path in scored))]


def _score(path: str, letters: str) -> float:
    name_at = path.rfind("/") + 1
    whole = path.find(letters, name_at)
    if whole >= 0:
        boundary = whole == name_at or path[whole - 1] in _BOUNDARIES
        return 1_000 + 100 * boundary + 200 * (whole == name_at) - len(path) / 10
    in_name = _run_score(path, letters, name_at)
    best = 300 + in_name if in_name is not None else _run_score(path, letters, 0) or 0
    return best - len(path) / 10


def _run_score(path: str, letters: str, start: int) -> float | None:
    score, last = 0.0, start - 2
    for letter in letters:
        at = path.find(letter, max(last + 1, start))
        if at < 0:
            return None
        score += 10 * (at == last + 1) + 8 * (at == start or path[at - 1] in _BOUNDARIES)
        last = at
    return score


def needle_of(query: str) -> str:
    """What `matches_in` looks for, in upper or lower case. DevexError `bad_query`."""
    if not query or len(query) > MAX_QUERY or "\n" in query:
        raise DevexError("bad_query", f"Search for 1 to {MAX_QUERY} characters of one line.", "Change the search.")
    return _folded(query)


def _folded(text: str) -> str:
    """Without case, and as long as before."""
    return text.replace("\u0130", "i").lower().replace("ς", "σ")  # a capital sigma's form depends on where it stands


def search_text(workspace: Workspace, query: str) -> Matches:
    """Lines with the query."""
    needle = needle_of(query)
    ends_at = time.monotonic() + SEARCH_BUDGET_S
    found: list[Match] = []
    walk = workspace.walk(skip=EXCLUDED, entries=MAX_FILES)
    complete = True
    for folder, entries in walk:
        for entry in sorted(entries):
            if time.monotonic() > ends_at or len(found) >= MAX_MATCHES:
                return Matches(found, complete=False)
            if entry.stat.kind != "f":
                continue
            matches = _in_file(workspace, join(folder, entry.name), needle)
            complete = complete and len(matches) < MAX_MATCHES_PER_FILE
            found += matches
    return Matches(found[:MAX_MATCHES], complete=complete and not walk.cut and len(found) <= MAX_MATCHES)


def _in_file(workspace: Workspace, path: str, needle: str) -> list[Match]:
    try:
        raw = workspace.read(path, MAX_SEARCHED_FILE_BYTES)
    except DevexError:
        return []  # large, gone, a link by now
    return matches_in(path, raw, needle)


def matches_in(path: str, raw: bytes, needle: str) -> list[Match]:
    """At most MAX_MATCHES_PER_FILE; none in what is no text. By no regular expression: there are texts that hold one up
    for seconds, in which nothing else of this process runs; the time of `str.find` grows with the text alone.
    """
    if b"\0" in raw[:_BINARY_LOOK_BYTES]:
        return []
    text = raw.decode(errors="replace")
    matches: list[Match] = []
    line, counted = 1, 0
    folded = _folded(text)
    at = folded.find(needle)
    while at >= 0 and len(matches) < MAX_MATCHES_PER_FILE:
        end = at + len(needle)
        line += text.count("\n", counted, at)
        counted = at
        begins = text.rfind("\n", 0, at) + 1
        ends = text.find("\n", end)
        shown_from = max(begins, at - SHOWN_BEFORE)
        shown = text[shown_from : min(ends if ends >= 0 else len(text), end + SHOWN_AFTER)]
        matches.append(Match(path, line, at - begins, len(needle), shown.rstrip("\r"), at - shown_from))
        at = folded.find(needle, end)
    return matches
