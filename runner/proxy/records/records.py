"""The records of one running REPL: which terminals are recorded, and the task that writes what they said."""

import asyncio
import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Final, Self

from anyio import to_thread

from runner.errors import DevexError
from runner.protocol.ring import Ring
from runner.proxy.records.about import UNKNOWN, About, Origin, Subject
from runner.proxy.records.disk import Disk
from runner.proxy.records.masking import Masking
from runner.proxy.records.recording import Pending, Recording

FLUSH_S: Final = 3.0  # from the first byte that waits to the disk: rings hold it meanwhile, and each write delays keys
PAUSE_S: Final = 0.1  # between two rounds, at least: so a flood costs 10 MiB/s of copying, some 2 % of a core
FAILED_S: Final = 2.0  # until a disk that is full, or broken, is tried again; the rings hold what comes meanwhile
LOAD_S: Final = 5.0  # for a disk to tell what there is; a REPL whose disk does not is not kept from starting
SYNC_S: Final = 2.0  # for who looks at a record to wait for its newest bytes
CLOSED: Final = 16  # terminals whose record a failing disk does not take
LEAVE_S: Final = 5.0  # for the last round; what it would have written is in the agent's rings

log = logging.getLogger(__name__)


class Records:
    """`async with`; the recordings themselves are made and told on the loop, whatever the disk does."""

    def __init__(self, disk: Disk, secrets: Sequence[str] = ()) -> None:
        self.disk = disk
        self._masking = Masking(secrets)
        self._live: dict[str, Recording] = {}
        self._before: dict[str, tuple[About, int]] = {}  # of the proxy before us: what is known, and where it ends
        self._claimed = False  # whether an agent has said which of them go on
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._leaving = asyncio.Event()
        self._begun = self._over = 0  # rounds
        self._round_over = asyncio.Event()
        self._failing = False
        self._writing: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(LOAD_S):
                self._before = await to_thread.run_sync(self.disk.load, abandon_on_cancel=True)
        except (OSError, TimeoutError):
            log.exception("what is recorded already cannot be read")
        self._writing = asyncio.create_task(self._write_on(), name="records")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._writing is not None
        self._leaving.set()
        self._woken(hurry=True)
        await asyncio.wait([self._writing], timeout=LEAVE_S)
        self._writing.cancel()
        await asyncio.wait([self._writing])

    # What is recorded

    def begin(self, subject: Subject, ring: Ring, size: tuple[int, int], origin: Origin) -> Recording:
        return self._add(About.of(subject, origin, size, self._masking), ring, 0)

    def go_on(self, subject: Subject, ring: Ring, size: tuple[int, int]) -> Recording:
        """With a terminal that a proxy before us opened, where its record ends."""
        about, end = self._before.get(subject.id) or (About.of(subject, UNKNOWN, size, self._masking), 0)
        return self._add(about, ring, end)

    def rename(self, recording: Recording, title: str) -> None:
        recording.renamed(self._masking.text(title))

    def all_claimed(self) -> None:
        """What no agent has taken up by now has ended without us."""
        self._claimed = True

    def is_known(self, record_id: str) -> bool:
        return record_id in self._live or record_id in self._before

    def live(self) -> set[str]:
        """The records that go on; what has no end and is not among them was lost."""
        before = () if self._claimed else (about.id for about, _ in self._before.values() if about.ended_at is None)
        return {*before, *(one.about.id for one in self._live.values() if not one.is_over)}

    async def about(self, record_id: str) -> About:
        """DevexError 404."""
        if live := self._live.get(record_id):
            return live.about
        return await to_thread.run_sync(self.disk.about, record_id)

    async def remove(self, record_id: str) -> None:
        """DevexError 404, 409; OSError."""
        if record_id in self.live():
            raise DevexError("running", "What is recorded here still runs.", "Stop it first.", status=409)
        await to_thread.run_sync(self.disk.remove, record_id)
        self._removed(record_id)

    async def remove_all(self) -> None:
        """Remove all that have ended. OSError."""
        for record_id in await to_thread.run_sync(self.disk.remove_all, self.live()):
            self._removed(record_id)

    def _removed(self, record_id: str) -> None:
        self._live.pop(record_id, None)  # its terminal may still be shown: what it says now begins no new record
        self._before.pop(record_id, None)

    async def synced(self) -> None:
        """Until what was said before is on disk, as far as the disk lets it."""
        if not any(one.waits for one in self._live.values()):
            return
        wanted = self._begun + 1
        self._woken(hurry=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(SYNC_S):
                while self._over < wanted:
                    self._round_over.clear()
                    await self._round_over.wait()

    def _add(self, about: About, ring: Ring, written: int) -> Recording:
        self._forget()  # also while a round hangs
        recording = self._live[about.id] = Recording(about, ring, written, wake=self._woken)
        self._woken(hurry=True)
        return recording

    def _woken(self, hurry: bool) -> None:
        self._wake.set()
        if hurry:
            self._hurry.set()

    # How it comes to the disk

    async def _write_on(self) -> None:
        while not self._leaving.is_set():
            await self._wake.wait()
            await _within(FLUSH_S, self._hurry)
            self._wake.clear()
            self._hurry.clear()
            await self._round()
            if self._failing:
                self._woken(hurry=True)
            await _within(FAILED_S if self._failing else PAUSE_S, self._leaving)
        await self._round()  # what was said since the last one

    async def _round(self) -> None:
        self._begun += 1
        pending = [(one, one.pending(self._masking)) for one in self._live.values() if one.waits]
        live = self.live()
        failure: OSError | None = None
        if pending:
            wrote = await to_thread.run_sync(self._write, [some for _, some in pending], live, abandon_on_cancel=True)
            for (recording, some), (end, error) in zip(pending, wrote, strict=True):
                recording.took(some, end, whole=error is None)
                failure = failure or error
        if failure and not self._failing:
            log.warning("what terminals say is not recorded for now: %s", failure)
        self._failing = failure is not None
        self._forget()
        self._over = self._begun
        self._round_over.set()

    def _write(self, pending: Sequence[Pending], live: Collection[str]) -> list[tuple[int, OSError | None]]:
        """In a thread -> how far each came, and what kept it from all of it."""
        wrote: list[tuple[int, OSError | None]] = []
        for one in pending:
            failure = None
            try:
                self.disk.write(one.about, one.entries(self._masking), live)
            except OSError as error:
                failure = error
            wrote.append((self.disk.end(one.about.id), failure))
        return wrote

    def _forget(self) -> None:
        """What is closed and on disk; and what is too much when the disk takes nothing: each holds a ring."""
        closed = [one for one in self._live.values() if one.closed]
        surplus = {one.about.id for one in closed[: max(len(closed) - CLOSED, 0)]}
        for one in closed:
            if one.about.id in surplus or not one.waits:
                del self._live[one.about.id]


async def _within(seconds: float, event: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
