"""Ids of terminals, which say what each is, so that a restarted proxy knows: kind - number - random. Pure."""

import re
import secrets
from typing import Final, Literal

Kind = Literal["shell", "run"]

ID: Final = re.compile(r"(sh|run)-([0-9]{1,14})-[0-9a-f]{8}")  # 14 digits of ms end in 5138; `datetime` ends in 9999
_PREFIX: Final[dict[Kind, str]] = {"shell": "sh", "run": "run"}


def new_id(kind: Kind, number: int) -> str:
    """Of a shell the number is the least that is free; of a run the time of its start in ms."""
    return f"{_PREFIX[kind]}-{number}-{secrets.token_hex(4)}"


def kind_of(claimed: str) -> Kind | None:
    """None: it is no id."""
    found = ID.fullmatch(claimed)
    return next((kind for kind, prefix in _PREFIX.items() if found and found[1] == prefix), None)


def number_of(terminal_id: str) -> int:
    """As `new_id` was given it."""
    return int(terminal_id.split("-")[1])
