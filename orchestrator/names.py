"""Names people give, and names made for machines."""

import base64
import re
import secrets
import unicodedata

from runner.errors import DevexError

NAME_MOST_CHARACTERS = 80  # what fits a title bar; longer is a pasted text
SLUG_BASE_MOST_CHARACTERS = 31  # with port and suffix it must fit a DNS label of 63
ID_BYTES = 16  # 128 bits: cannot be guessed, so an id in a URL tells nothing of other ids
SUFFIX_BYTES = 5  # eight characters: a preview host's name cannot be guessed by trying

# Bidirectional overrides and isolates make a name read as another one; line separators break lists.
_DECEPTIVE = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u2028\u2029\ufeff")


def parse_name(text: str) -> str:
    """The name in NFC without outer blanks. Markup is allowed: a name is text and is shown escaped."""
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise DevexError("name", "A name is needed.", "Type a name.", status=422)
    if len(name) > NAME_MOST_CHARACTERS:
        message = f"The name has {len(name)} characters; {NAME_MOST_CHARACTERS} are allowed."
        raise DevexError("name", message, "Choose a shorter name.", status=422)
    if any(_refused(character) for character in name):
        message = "The name has characters that cannot be seen."
        raise DevexError("name", message, "Remove line breaks and control characters.", status=422)
    return name


def new_id() -> str:
    """26 characters of `[a-z2-7]`."""
    return _base32(secrets.token_bytes(ID_BYTES))


def new_slug(name: str) -> str:
    """`[a-z0-9-]{1,40}`, beginning with the name as far as ASCII can say it."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    base = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:SLUG_BASE_MOST_CHARACTERS].strip("-")
    return f"{base or 'repl'}-{_base32(secrets.token_bytes(SUFFIX_BYTES))}"


def _refused(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs") or character in _DECEPTIVE


def _base32(data: bytes) -> str:
    return base64.b32encode(data).decode().rstrip("=").lower()
