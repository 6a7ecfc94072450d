"""What an operator does with the store of versions, beside a running server or without one. Progress is printed."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from app import data_dir, store
from app.progress import teller
from app.settings import MIB, BadSetting, Settings
from app.storage.records import TortoiseRecords
from orchestrator.backends.local.layout import layout as local_layout
from orchestrator.clock import SystemClock
from orchestrator.domain import Goal, Phase, Repl
from orchestrator.names import new_slug
from orchestrator.registry import NoSuchRepl
from runner.errors import DevexError
from runner.snapshots.copying import copy
from runner.snapshots.history import History
from runner.snapshots.layout import order_of
from runner.snapshots.stores.opening import place_of, store_of
from runner.snapshots.stores.probe import probe
from runner.snapshots.stores.store import Store
from runner.snapshots.verify import Verified, verify

_ID: Final = re.compile("[a-z2-7]{26}")  # of `names.new_id`


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
            size = f"{found.versions} versions, {found.chunks} pieces, {found.bytes / MIB:.1f} MiB"
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


async def migrate_store(settings: Settings, to: str) -> str:
    """Copy every REPL's versions to the store that DEVEX_STORE would name so. Raises DevexError."""
    source, target = store.chosen(settings), store.other(settings, to)
    if place_of(source) == place_of(target):
        raise BadSetting(f"“{to}” is the store in use.")
    good = True
    async with store_of(source) as here, store_of(target) as there:
        await probe(there)
        for repl in await TortoiseRecords().list_all():
            good = await _migrated(here, there, repl) and good
    if not good:
        action = "`devex verify --all` says which versions are concerned; the rest is copied."
        raise DevexError("damaged", "Not everything could be copied.", action)
    if _runs(settings):
        return "Everything up to now is copied. Stop the server, run this again for what is new, then set DEVEX_STORE."
    return f"Everything is copied. Set DEVEX_STORE={to} and start the server; {place_of(source)} is left as it was."


async def _migrated(here: Store, there: Store, repl: Repl) -> bool:
    copied = await copy(History(here, repl.id), History(there, repl.id), teller(repl.slug))
    mark = "WRONG" if copied.problems else "ok"
    print(f"{mark:5} {repl.slug}: {copied.objects} objects copied, {copied.bytes / MIB:.1f} MiB", flush=True)
    for problem in copied.problems:
        print(f"      {problem}", flush=True)
    return not copied.problems


async def recover(settings: Settings, owner_id: str | None) -> str:
    """After the loss of the machine, or of the database's last days: have the server lay out from the newest versions
    what files are gone, and go on after the newest versions. What is in the store and in no list is told, or becomes
    the owner's. Raises DevexError.
    """
    if _runs(settings):
        raise DevexError("running", "The server runs.", "Stop it first.", status=409)
    records, workspaces = TortoiseRecords(), local_layout(settings.data_dir)
    on_disk = settings.backend == "local"  # where pods run, files at rest are the newest version
    running: Mapping[str, int] = {}
    if settings.backend == "kubernetes":
        from app import cluster  # Kubernetes's client takes half a second

        running = await cluster.epochs(settings)
    async with store_of(store.chosen(settings)) as opened:
        for repl in await records.list_all():
            newest = await History(opened, repl.id).head()
            if newest is None:
                if repl.seeded and not (on_disk and workspaces.workspace(repl.id).is_dir()):
                    print(f"WRONG {repl.slug}: its files are gone, and the store has no version of it", flush=True)
                continue
            lost = on_disk and repl.seeded and not workspaces.workspace(repl.id).is_dir()
            epoch = max(order_of(newest)[0], running.get(repl.id, 0))
            changes = recovered(repl, newest, epoch, lost=lost, now=SystemClock().now())
            if changes:
                await records.update(repl, **changes)
                done = "its files come back" if lost else "it goes on"
                print(f"ok    {repl.slug}: {done} from version {newest}", flush=True)
        for repl_id in await _unknown(opened, {repl.id for repl in await records.list_all()}):
            if owner_id is None:
                print(f"?     {repl_id}: is in the store, and in no list. Take it with --owner", flush=True)
            elif newest := await History(opened, repl_id).head():
                lost = on_disk and not workspaces.workspace(repl_id).is_dir()
                epoch = max(order_of(newest)[0], running.get(repl_id, 0))
                found = found_again(repl_id, owner_id, newest, epoch, lost=lost, now=SystemClock().now())
                await records.insert(found)
                print(f"ok    {found.slug}: was in no list", flush=True)
    return "Start the server: it lays out the files."


def recovered(repl: Repl, newest: str, epoch: int, *, lost: bool, now: datetime) -> dict[str, Any]:
    """What to record; {} for one that lacks nothing. `epoch` is the newest version's, or that of a pod that runs on and
    has saved none yet: an earlier one could save nothing, and a pod of a later one would stay with nobody.
    """
    changes: dict[str, Any] = {"epoch": epoch} if repl.epoch < epoch else {}
    if lost:
        goal = repl.goal if repl.in_trash else Goal.STOP
        changes |= {"seeded": False, "copy_of": repl.id, "copy_version": newest, "unsaved": False}
        changes |= {"goal": goal, "phase": Phase.STOPPED, "phase_at": now, "failure": None}
    return changes


async def _unknown(opened: Store, known: set[str]) -> list[str]:
    ids = {found.key.partition("/")[0] async for found in opened.list("") if "/c/" in found.key}
    return sorted(repl_id for repl_id in ids - known if _ID.fullmatch(repl_id))


def found_again(repl_id: str, owner_id: str, newest: str, epoch: int, *, lost: bool, now: datetime) -> Repl:
    """Nobody knows any more what it was called and made from."""
    name = f"found {now:%Y-%m-%d} {repl_id[:4]}"
    return Repl(
        id=repl_id,
        slug=new_slug(name),
        owner_id=owner_id,
        name=name,
        template="blank",
        goal=Goal.STOP,
        created_at=now,
        opened_at=now,
        phase_at=now,
        seeded=not lost,
        epoch=epoch,
        copy_of=repl_id,
        copy_version=newest,
    )


def _runs(settings: Settings) -> bool:
    try:
        with data_dir.held(settings.data_dir):
            return False
    except data_dir.BadDataDir:
        return True
