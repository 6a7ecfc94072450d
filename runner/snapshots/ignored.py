"""What a version leaves out: what tools make again. `.devexignore` in the workspace's root adds to it or takes back."""

from collections.abc import Callable
from typing import Final

import pathspec

from runner.errors import DevexError
from runner.workspace import Workspace

IGNORE_FILE: Final = ".devexignore"
MAX_IGNORE_BYTES: Final = 64 << 10
DEFAULT_NAMES: Final = frozenset({"node_modules", ".venv", "__pycache__", ".cache"})
DEFAULT_SUFFIX: Final = ".pyc"

Ignored = Callable[[str, bool], bool]
"""(path, is a folder) -> whether it is left out, with all that is in it."""


def by_default(path: str, _is_folder: bool) -> bool:
    name = path.rpartition("/")[2]
    return name in DEFAULT_NAMES or name.endswith(DEFAULT_SUFFIX)


def ignored_in(workspace: Workspace) -> Ignored:
    """The defaults alone cost nothing; a file of one's own, in the syntax of .gitignore(5), a few µs an entry."""
    try:
        text = workspace.read(IGNORE_FILE, MAX_IGNORE_BYTES).decode(errors="replace")
    except DevexError:
        return by_default
    defaults = [*(f"{name}/" for name in sorted(DEFAULT_NAMES)), f"*{DEFAULT_SUFFIX}"]
    try:
        rules = pathspec.GitIgnoreSpec.from_lines([*defaults, *text.splitlines()])
    except ValueError:  # a pattern that means nothing: better too much in a version than too little
        return by_default
    return lambda path, is_folder: rules.match_file(f"{path}/" if is_folder else path)
