"""Trying a store out: can versions be kept in it?"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from runner.snapshots.stores.patience import Patience
from runner.snapshots.stores.store import Store, StoreError

IMPATIENT: Final = Patience(attempts=2, connect_s=3.0, silence_s=5.0)  # somebody waits for the answer


async def probe(store: Store) -> bool:
    """Write, list, read and delete an object -> whether the store refuses to replace one. Raises StoreError."""
    key, data = f"probe/{secrets.token_hex(16)}", secrets.token_bytes(64)
    with _said("writing"):
        await store.create(key, data)
    try:
        with _said("listing"):
            found = [listed.key async for listed in store.list(key)]
        with _said("reading"):
            read = await store.get(key)
    finally:
        with _said("deleting"):
            await store.delete([key])
    if found != [key] or read != data:
        raise StoreError("What is written to the store is not what is found in it.", retryable=False)
    return await store.conditional()


@contextmanager
def _said(doing: str) -> Iterator[None]:
    """An operator who gave too few rights is told which."""
    try:
        yield
    except StoreError as error:
        raise StoreError(
            f"{error.message} (It was tried by {doing}.)", retryable=error.retryable, action=error.action
        ) from error
