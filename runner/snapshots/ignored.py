"""What a version leaves out: what tools make again. `.devexignore` in the workspace's root adds to it or takes back."""

import re
import time
from typing import Final, Literal

import pathspec
import pathspec.patterns.gitignore.spec

from runner.errors import DevexError
from runner.workspace import Workspace

IGNORE_FILE: Final = ".devexignore"
MAX_IGNORE_BYTES: Final = 64 << 10
MAX_LINES: Final = 1000  # each is compiled for every version, 0.1 ms
MAX_ANY_DEPTH: Final = 3  # of `**` in a pattern: each is tried at every depth of a path
MATCHING_S: Final = 10.0  # of one version; 200,000 entries against 100 patterns take about as long
DEFAULT_NAMES: Final = frozenset({"node_modules", ".venv", "__pycache__", ".cache"})
DEFAULT_SUFFIX: Final = ".pyc"

_ANY: Final = "[^/]*"  # what pathspec makes of `*`


class Ignored:
    """The defaults alone cost nothing; a file of one's own, in the syntax of .gitignore(5), a few µs an entry.

    Programs write it, and the process that matches is everybody's: whatever it says, it costs MATCHING_S at most.
    """

    def __init__(self, workspace: Workspace) -> None:
        try:
            self.text = workspace.read(IGNORE_FILE, MAX_IGNORE_BYTES)
        except DevexError:
            self.text = b""
        self._rules = _rules(self.text.decode(errors="replace")) if self.text else None
        self._left_s = MATCHING_S

    @property
    def gave_up(self) -> bool:
        """Whether the defaults alone count by now: the file's rules have taken MATCHING_S."""
        return self._left_s < 0

    def __call__(self, path: str, is_folder: bool) -> bool:
        """Whether it is left out, with all that is in it."""
        if self._rules is None or self.gave_up:
            name = path.rpartition("/")[2]
            return name in DEFAULT_NAMES or name.endswith(DEFAULT_SUFFIX)
        begun_s = time.monotonic()
        found = self._rules.match_file(f"{path}/" if is_folder else path)
        self._left_s -= time.monotonic() - begun_s
        return found


def _rules(text: str) -> pathspec.GitIgnoreSpec | None:
    defaults = [*(f"{name}/" for name in sorted(DEFAULT_NAMES)), f"*{DEFAULT_SUFFIX}"]
    chosen = [line for line in text.splitlines()[:MAX_LINES] if line.split("/").count("**") <= MAX_ANY_DEPTH]
    try:
        # "simple" is `re`, which knows the groups of _Pattern
        return pathspec.GitIgnoreSpec.from_lines([*defaults, *chosen], _Pattern, backend="simple")
    except (ValueError, re.error):  # a pattern that means nothing: better too much in a version than too little
        return None


class _Pattern(pathspec.patterns.gitignore.spec.GitIgnoreSpecPattern):
    """Matches a name in one way or not at all: what follows a `*` is taken where it comes first, and that is not
    reconsidered. Only the last `*` is tried at every length: `*a*a*a*a*b` is done with a name in one pass.
    """

    @staticmethod
    def _translate_segment_glob(pattern: str, range_error: Literal["literal", "raise"]) -> str:
        translated = pathspec.patterns.gitignore.spec.GitIgnoreSpecPattern._translate_segment_glob(pattern, range_error)
        first, *between = translated.split(_ANY)  # holds a slash: in a pattern of one name it is nothing else
        if not between:
            return first
        *between, last = between
        return first + "".join(f"(?>{_ANY}?{literal})" for literal in between) + _ANY + last
