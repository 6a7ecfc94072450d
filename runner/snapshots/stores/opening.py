"""Stores from plain data, which reaches worker processes as it is.

It may hold credentials: it belongs in a pipe, not in a program's arguments.

What speaks HTTP is imported for a store that needs it: without, a worker process starts in half the time.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.snapshots.stores.directory import DirectoryStore
from runner.snapshots.stores.patience import PATIENCE, Patience
from runner.snapshots.stores.store import Store

if TYPE_CHECKING:
    from runner.snapshots.stores.asking import Ask
    from runner.snapshots.stores.s3 import S3Config

# Of JSON's types: {"directory": root, "must_exist": boolean}, {"s3": {S3Config's fields}} or
# {"signed": {"ca_file": path or null}}
StoreSpec = Mapping[str, Any]


def spec_of(store: "Path | S3Config", *, must_exist: bool = False) -> StoreSpec:
    """A folder that need not exist is made."""
    if isinstance(store, Path):
        return {"directory": str(store), "must_exist": must_exist}
    return {"s3": asdict(store)}


def store_of(spec: StoreSpec, ask: "Ask | None" = None, patience: Patience = PATIENCE) -> Store:
    """Not open yet: `async with store_of(spec) as store`. `ask` reaches the signer, for a store that needs one."""
    match spec:
        case {"directory": str(root), "must_exist": bool(must_exist)}:
            return DirectoryStore(Path(root), must_exist=must_exist)
        case {"s3": dict(fields)}:
            from runner.snapshots.stores.s3 import S3Config, S3Store

            return S3Store(S3Config(**fields), patience)
        case {"signed": {"ca_file": (str() | None) as ca_file}} if ask is not None:
            from runner.snapshots.stores.asking import FarSigner
            from runner.snapshots.stores.signed import SignedStore

            return SignedStore(FarSigner(ask), ca_file, patience)
    raise ValueError("not a store")


def place_of(spec: StoreSpec) -> str:
    """For people: where it is, without what opens it."""
    match spec:
        case {"s3": dict(fields)}:
            at = f" at {fields['endpoint_url']}" if fields.get("endpoint_url") else ""
            return f"s3://{fields['bucket']}/{fields.get('prefix', '')}{at}"
        case {"directory": str(root)}:
            return root
    return "where the signer says"
