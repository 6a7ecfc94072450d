"""What terminals are called: as they are numbered, until somebody gives one a name. Pure."""

from typing import Final

from runner.errors import DevexError
from runner.proxy.terminals.ids import kind_of, number_of

NAME_CHARACTERS: Final = 60  # more does not fit a tab


def first_title(terminal_id: str) -> str:
    """`sh-2-…` is Shell 2, every run is Run."""
    return f"Shell {number_of(terminal_id)}" if kind_of(terminal_id) == "shell" else "Run"


def checked_title(asked: str) -> str:
    """One line of text without spaces around it; "" is none. DevexError."""
    title = " ".join("".join(one if one.isprintable() else " " for one in asked).split())
    if len(title) > NAME_CHARACTERS:
        message = f"The name has more than {NAME_CHARACTERS} characters."
        raise DevexError("too_long", message, "Choose a shorter one.")
    return title
