"""What programs are told of the screen that they write to: its size and its type. Pure."""

from typing import Final

DEFAULT_SIZE: Final = (80, 24)  # columns and rows, until somebody looks
MIN_CELLS: Final = 2  # columns and rows: a wide character has two
MAX_CELLS: Final = 1000  # programs allocate by them: a million cells are some ten MB of theirs
TERMINAL_ENVIRONMENT: Final = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}  # what xterm.js understands


def clamp(cols: int, rows: int) -> tuple[int, int]:
    """A size no program is harmed by."""
    return min(max(cols, MIN_CELLS), MAX_CELLS), min(max(rows, MIN_CELLS), MAX_CELLS)
