"""What a user may be called, and which names are the same to a person."""

import re
import unicodedata

from runner.errors import DevexError

NAME_MOST_CHARACTERS = 40
NAME = re.compile(rf"[^\W_][\w.-]{{0,{NAME_MOST_CHARACTERS - 1}}}")
KEY_MOST_CHARACTERS = 120  # what its column holds; case folding makes some letters three


def parse_name(name: str) -> str:
    """As it is shown. Raises DevexError."""
    name = unicodedata.normalize("NFKC", name).strip()
    if not NAME.fullmatch(name):
        message = f"A user name is 1 to {NAME_MOST_CHARACTERS} letters, digits, dots, dashes and underscores."
        raise DevexError("name", message, "Choose another name.", status=422)
    return name


def key_of(name: str) -> str:
    """Names that look the same to a person compare equal; what can be no name is nobody's: databases refuse to look
    for some texts.
    """
    name = unicodedata.normalize("NFKC", name).strip()
    return unicodedata.normalize("NFKC", name.casefold())[:KEY_MOST_CHARACTERS] if NAME.fullmatch(name) else ""
