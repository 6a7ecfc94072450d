"""Stores from plain data, which reaches worker processes as it is.

It may hold credentials: it belongs in a pipe, not in a program's arguments.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runner.snapshots.directory import DirectoryStore
from runner.snapshots.s3 import S3Config, S3Store
from runner.snapshots.store import Store

StoreSpec = Mapping[str, Any]  # of JSON's types: {"directory": root} or {"s3": {S3Config's fields}}


def spec_of(store: Path | S3Config) -> StoreSpec:
    return {"s3": asdict(store)} if isinstance(store, S3Config) else {"directory": str(store)}


def store_of(spec: StoreSpec) -> Store:
    """Not open yet: `async with store_of(spec) as store`."""
    match spec:
        case {"directory": str(root)}:
            return DirectoryStore(Path(root))
        case {"s3": dict(fields)}:
            return S3Store(S3Config(**fields))
    raise ValueError("not a store")
