"""`devex export` and `devex import`: a REPL with all its versions, from one DEVEX to another, as one file."""

import asyncio
import errno
import os
import tempfile
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final

from app import store
from app.progress import teller
from app.settings import MIB, Settings
from app.storage.records import TortoiseRecords
from orchestrator.clock import SystemClock
from orchestrator.domain import Goal, Repl, Size
from orchestrator.names import new_id, new_slug, parse_name
from orchestrator.records import RecordConflict
from runner.errors import DevexError
from runner.snapshots import bundle
from runner.snapshots.bundle import BadBundle
from runner.snapshots.collect import purge
from runner.snapshots.copying import ROUNDS, names_of
from runner.snapshots.extent import Extent, Extents, TooMuch
from runner.snapshots.history import History
from runner.snapshots.layout import EPOCHS, SEQUENCES, Commit, Damaged, check_object
from runner.snapshots.stores.opening import store_of
from runner.snapshots.stores.store import Missing, Taken
from runner.snapshots.verify import verify

IMPORT_DAYS: Final = 1  # one that was killed is removed by the server after that: until it is whole it is in the trash
TEMPLATE_CHARS: Final = 64
TIMES: Final = 100  # a full workspace is what all versions may be, unpacked: ten times what a history may take, packed


async def export(settings: Settings, repl: Repl, path: Path) -> str:
    """All versions of a REPL, and what it is called, in a new file, which appears when it is whole. Raises DevexError.

    One that is killed leaves a draft beside it, `FILE.….part`.
    """
    async with store_of(store.chosen(settings)) as opened:
        history = History(opened, repl.id)
        for _ in range(ROUNDS):
            with suppress(Missing):  # thinned out meanwhile
                return await _exported(history, repl, path)
    raise DevexError("changing", "It kept changing while it was exported.", "Try again.", retryable=True)


async def _exported(history: History, repl: Repl, path: Path) -> str:
    newest = await history.head()
    if newest is None:
        raise DevexError("no_version", "It has no version yet.", "Start it, or wait until it is saved.", status=409)
    commit = await history.commit(newest)
    about = {"name": repl.name, "template": repl.template, "created_at": repl.created_at.isoformat(), "newest": newest}
    try:
        _require_new(path)
        descriptor, draft = tempfile.mkstemp(prefix=f"{path.name}.", suffix=".part", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                names = await _write(file, about, history)
                await asyncio.to_thread(_end, file)
                size = file.tell()
            await asyncio.to_thread(_put_in_place, Path(draft), path)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise _file_error(path, error) from None
    versions = sum(name.startswith("c/") for name in names)
    return f"{path}: {versions} versions of {repl.slug}, {size / MIB:.1f} MiB, everything up to {commit.at}."


async def _write(file: BinaryIO, about: dict[str, Any], history: History) -> list[str]:
    names = await names_of(history)
    bundle.write_about(file, about)
    tell = teller("")
    for number, name in enumerate(names):
        data = await history.store.get(history.key(name))
        await asyncio.to_thread(check_object, name, data)
        await asyncio.to_thread(bundle.write_member, file, name, data)
        tell(number, len(names))
    return names


def _end(file: BinaryIO) -> None:
    bundle.write_end(file)
    file.flush()
    os.fsync(file.fileno())


def _require_new(path: Path) -> None:
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))


def _put_in_place(draft: Path, path: Path) -> None:
    """Not by a link, which a USB stick does not have; so what appears in its place in this very moment is replaced."""
    _require_new(path)
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _file_error(path: Path, error: OSError) -> DevexError:
    reason = (error.strerror or str(error)).lower()
    return DevexError("file", f"The file {path} cannot be used: {reason}.", "Name another one.", status=409)


async def import_bundle(settings: Settings, path: Path, owner_id: str) -> Repl:
    """A new Repl with the versions of a bundle, whose files the server lays out. Raises DevexError."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise _file_error(path, error) from None
    with file:
        about = await asyncio.to_thread(bundle.read_about, file)
        repl = await _claimed(about, owner_id)
        async with store_of(store.chosen(settings)) as opened:
            history = History(opened, repl.id)
            try:
                await _unpack(file, history)
                return await _whole(repl, await _newest(history, settings.limits.size_of(repl.template)))
            except BaseException:
                with suppress(DevexError):  # otherwise the server does it tomorrow
                    await purge(history)
                    await TortoiseRecords().delete(repl.id)
                raise


async def _claimed(about: dict[str, Any], owner_id: str) -> Repl:
    """In the trash while it is not whole, so that one that is cut off is removed with what it had stored."""
    name, template = about.get("name"), about.get("template")
    if not isinstance(name, str) or not isinstance(template, str) or len(template) > TEMPLATE_CHARS:
        raise BadBundle(f"{bundle.ABOUT} lacks name or template")
    now = SystemClock().now()
    repl_id, name = new_id(), parse_name(name)
    repl = Repl(
        id=repl_id,
        slug=new_slug(name),
        owner_id=owner_id,
        name=name,
        template=template,
        goal=Goal.DELETE,
        created_at=now,
        opened_at=now,
        phase_at=now,
        deleted_at=now,
        purge_at=now + timedelta(days=IMPORT_DAYS),
        copy_of=repl_id,
    )
    await TortoiseRecords().insert(repl)
    return repl


async def _unpack(file: BinaryIO, history: History) -> None:
    """Raises BadBundle."""
    members = bundle.read_members(file)
    tell = teller("")
    number = 0
    while (member := await asyncio.to_thread(next, members, None)) is not None:
        try:
            await history.store.create(history.key(member.name), member.data)
        except Taken:
            raise BadBundle(f"“{member.name}” is in it twice") from None
        tell(number := number + 1, None)


async def _newest(history: History, room: Size) -> Commit:
    """The newest version, when every one is whole and none too large. Raises BadBundle, DevexError `quota`."""
    versions = await history.versions()
    if not versions:
        raise BadBundle("it holds no version")
    newest = await history.commit(versions[0])
    if newest.epoch > EPOCHS // 2 or newest.seq > SEQUENCES // 2:
        raise BadBundle("its versions are numbered higher than DEVEX counts")
    extents = Extents(Extent(room.disk_entries, room.disk_bytes), TIMES * room.disk_bytes)
    for name in versions:  # before anything is unpacked; what a commit says of its version may be less than it is
        try:
            await extents.of(await history.open(name))
        except TooMuch:
            most = f"{room.disk_bytes // MIB} MiB or {room.disk_entries} files and folders"
            message = f"Its version {name} holds more than {most}, or all together much more."
            raise DevexError("quota", message, "A larger DEVEX_DISK_MIB lets them in.", status=413) from None
        except Damaged as error:
            raise BadBundle(f"version {name}: {error.message.rstrip('.')}") from None
    found = await verify(history)
    if found.problems:
        raise BadBundle(found.problems[0].rstrip("."))
    return newest


async def _whole(repl: Repl, newest: Commit) -> Repl:
    """From here on it is one like others: it goes on with the versions of the bundle. Raises DevexError `changed`."""
    changes = {"goal": Goal.STOP, "deleted_at": None, "purge_at": None, "phase_at": SystemClock().now()}
    try:
        return await TortoiseRecords().update(repl, **changes, epoch=newest.epoch, copy_version=newest.version)
    except RecordConflict:
        message = "It was taken out of the trash, or removed, before it was whole."
        raise DevexError("changed", message, "Import it again, and leave it there meanwhile.", status=409) from None
