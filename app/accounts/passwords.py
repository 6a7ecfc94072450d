"""Argon2id, off the event loop and few at a time: hashing is meant to be slow."""

import asyncio
from collections.abc import Callable
from functools import cache
from typing import ParamSpec, TypeVar

from passlib.hash import argon2

from runner.errors import DevexError

PASSWORD_LEAST_CHARACTERS = 10
PASSWORD_MOST_CHARACTERS = 1024  # a passphrase, not a file

# OWASP's first choice for Argon2id: 19 MiB and two passes, about 20 ms.
_hasher = argon2.using(type="ID", memory_cost=19_456, rounds=2, parallelism=1)
P = ParamSpec("P")
T = TypeVar("T")

AT_ONCE = 2  # leaves processors for everybody who is signed in already
WAITING_MOST = 100  # some seconds of work


class Passwords:
    """Hashes and checks passwords for one event loop."""

    def __init__(self) -> None:
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """Raises DevexError when the password is too short or too long."""
        _check_length(password)
        return await self._slowly(_hash, password)

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """With None (no such user) it takes as long and is False."""
        fits = len(password) <= PASSWORD_MOST_CHARACTERS
        return await self._slowly(_matches, password if fits else "", password_hash) and fits

    async def _slowly(self, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        if self._waiting >= WAITING_MOST:
            raise DevexError(
                "busy", "Too many people are signing in at once.", "Try again in a moment.", status=503, retryable=True
            )
        self._waiting += 1
        try:
            async with self._turn:
                return await asyncio.to_thread(work, *given, **named)
        finally:
            self._waiting -= 1


def _hash(password: str) -> str:
    return str(_hasher.hash(password))


def _matches(password: str, password_hash: str | None) -> bool:
    known = (
        password_hash or _hash_of_nobody()
    )  # before `verify` is looked up: the first hash replaces the hasher's methods
    good = bool(_hasher.verify(password, known))
    return good and password_hash is not None


@cache
def _hash_of_nobody() -> str:
    return _hash("nobody has this password")


def _check_length(password: str) -> None:
    if len(password) < PASSWORD_LEAST_CHARACTERS:
        message = f"The password has fewer than {PASSWORD_LEAST_CHARACTERS} characters."
        raise DevexError("password", message, "Choose a longer one; a few words will do.", status=422)
    if len(password) > PASSWORD_MOST_CHARACTERS:
        message = f"The password has more than {PASSWORD_MOST_CHARACTERS} characters."
        raise DevexError("password", message, "Choose a shorter one.", status=422)
