"""The jobs that write to a store: versions are taken, brought back, named, thinned out, given up."""

import logging
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from runner.errors import DevexError
from runner.snapshots import retention
from runner.snapshots.cache import Cache, discard
from runner.snapshots.collect import collect, held, make_room, purge
from runner.snapshots.history import History
from runner.snapshots.layout import Damaged, Name
from runner.snapshots.restore import restore
from runner.snapshots.stores.opening import store_of
from runner.snapshots.stores.probe import IMPATIENT, probe
from runner.snapshots.take import Label, take
from runner.snapshots.version import Version
from runner.snapshots.worker.frames import Message
from runner.snapshots.worker.opening import Versions, cached, limit_of, workspace_of
from runner.snapshots.worker.reads import shown_of
from runner.snapshots.worker.reply import Reply
from runner.snapshots.worker.turns import Queue

log = logging.getLogger(__name__)


class Writes:
    """A part of `Jobs`. What writes much waits for its turn in `queue`."""

    def __init__(self, queue: Queue, versions: Versions) -> None:
        self._queue = queue
        self._versions = versions

    async def do_take(self, job: Message, history: History, reply: Reply) -> Message:
        """workspace, limit, cache, epoch, author, message -> the commit, and as `crowded` what is to be said of a
        history that has no room
        """
        async with self._queue.turn(reply), reply.progress() as tell:
            with workspace_of(job) as workspace:

                async def taken(cache: Cache) -> Message:
                    await self._make_room(job, history, cache)
                    commit = await take(workspace, history, cache, _label(job), tell)
                    return {**shown_of(commit), "crowded": cache.crowded()}

                return await cached(job, taken)

    async def _make_room(self, job: Message, history: History, cache: Cache) -> bool:
        """-> whether there is room."""
        room_bytes = retention.TIMES * limit_of(job).disk_bytes
        try:
            done = await make_room(history, cache, job["epoch"], datetime.now(UTC), room_bytes)
        except Damaged as error:  # of what is damaged nothing is given up; what is new is stored all the same
            log.warning("%s is full and cannot be thinned out: %s", history.prefix, error)
            cache.set_crowded(f"The history is full, and is not thinned out: {error.message}")
            done = None
        is_full = (await held(history, cache))[0] > room_bytes
        if done is not None:
            self._versions.close(job)
            if why := retention.crowded(room_bytes, done.sooner, is_full):
                cache.set_crowded(why)
            cache.save()
        return not is_full

    async def do_restore(self, job: Message, history: History, reply: Reply) -> Message:
        """workspace, cache, epoch, author, version, path, empty -> {files, removed, notes, noted}

        Unless the workspace is `empty`, what is there becomes a version first.
        """
        path = job.get("path", "")
        async with self._queue.turn(reply), reply.progress() as tell:
            wanted = await history.open(job["version"])
            with workspace_of(job) as workspace:
                now: Version | None = None
                if not job.get("empty"):
                    label = _label({**job, "message": f"before restoring {wanted.commit.version}"})
                    before = await cached(job, lambda cache: take(workspace, history, cache, label))
                    now = await history.open(before.version)
                return asdict(await restore(workspace, wanted, now, path, tell))

    async def do_name(self, job: Message, history: History, reply: Reply) -> None:
        """version, name ("" takes it away), author, limit, cache, epoch

        What has a name stays for ever: where there is no room for it, none is given.
        """
        version = job["version"]
        name = Name(name=job["name"], author=job["author"], at=datetime.now(UTC).isoformat(timespec="milliseconds"))
        named = await history.named() if job["name"] else {version}
        if version in named:
            await history.set_name(version, name if job["name"] else None)
            return
        action = "Take the name from one you no longer need."
        if len(named) >= retention.NAMES:
            message = f"{retention.NAMES} versions of this REPL have a name, the most there can be."
            raise DevexError("history_full", message, action, status=409)
        async with self._queue.turn(reply):  # while nothing is thinned out that has no name yet
            await history.set_name(version, name)
            if not await cached(job, lambda cache: self._make_room(job, history, cache)):
                await history.set_name(version, None)
                message = "The history of this REPL is full of versions with a name."
                raise DevexError("history_full", message, action, status=409)

    async def do_collect(self, job: Message, history: History, reply: Reply) -> Message:
        """cache, epoch -> {versions, objects, bytes}"""
        async with self._queue.turn(reply):
            self._versions.close(job)
            now = datetime.now(UTC)

            async def collected(cache: Cache) -> Message:
                done = await collect(history, cache, job["epoch"], now)
                cache.set_crowded(None)
                cache.save()
                return asdict(done)

            return await cached(job, collected)

    async def do_purge(self, job: Message, history: History, reply: Reply) -> None:
        """cache"""
        async with self._queue.turn(reply):
            self._versions.close(job)
            await purge(history)
            discard(Path(job["cache"]))

    async def do_probe(self, job: Message, history: History, reply: Reply) -> bool:
        """-> whether the store refuses to replace objects"""
        async with store_of(job["store"], patience=IMPATIENT) as store:
            return await probe(store)


def _label(job: Message) -> Label:
    return Label(epoch=job["epoch"], author=job["author"], message=job["message"])
