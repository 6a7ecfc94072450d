"""What an operator does with the store of versions, beside a running server or without one. Progress is printed."""

from collections.abc import Sequence

from app import store
from app.settings import Settings
from app.storage.records import TortoiseRecords
from orchestrator.domain import Repl
from orchestrator.service import NoSuchRepl
from runner.errors import DevexError
from runner.snapshots.history import History
from runner.snapshots.layout import order_of
from runner.snapshots.opening import store_of
from runner.snapshots.verify import Verified, verify


async def named(repl: str) -> Repl:
    """By id or slug. Raises NoSuchRepl."""
    records = TortoiseRecords()
    found = await records.get(repl) or await records.get_by_slug(repl)
    if found is None:
        raise NoSuchRepl
    return found


async def verify_versions(settings: Settings, repls: Sequence[Repl]) -> None:
    """Read every version again. Raises StoreError, DevexError `damaged`: not all is there as it was written."""
    good = True
    async with store_of(store.chosen(settings)) as opened:
        for repl in repls:
            found = await _verified(History(opened, repl.id), repl)
            size = f"{found.versions} versions, {found.chunks} pieces, {found.bytes / (1 << 20):.1f} MiB"
            print(f"{'WRONG' if found.problems else 'ok':5} {repl.slug}: {size}", flush=True)
            for problem in found.problems:
                print(f"      {problem}", flush=True)
            good = good and not found.problems
    if not good:
        action = "Put the store's backup in place, or have the files saved again: changed ones are stored anew."
        raise DevexError("damaged", "Not every version is as it was written.", action)


async def _verified(history: History, repl: Repl) -> Verified:
    found = await verify(history)
    newest = await history.head()
    if repl.saved_version and (newest is None or order_of(newest) < order_of(repl.saved_version)):
        found.problems.append(f"Version {repl.saved_version} was stored, and neither it nor a newer one is there.")
    return found
