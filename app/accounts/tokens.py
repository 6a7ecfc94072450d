"""Secrets that travel in cookies and links: 256 random bits; the database keeps their SHA-256."""

import hashlib
import secrets
from typing import TypeGuard

TOKEN_BYTES = 32
TOKEN_MOST_CHARACTERS = 64  # what we make has 43; hashing a megabyte for an attacker is not needed


def new_token() -> str:
    return secrets.token_urlsafe(TOKEN_BYTES)


def token_id(token: str) -> str:
    """The hash is looked up, not compared: timing tells nothing about a token one does not have."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def is_plausible(token: str | None) -> TypeGuard[str]:
    """Whether it is worth looking for."""
    return bool(token) and len(str(token)) <= TOKEN_MOST_CHARACTERS
