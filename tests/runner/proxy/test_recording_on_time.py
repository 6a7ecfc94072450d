"""When what terminals say comes to the disk: what no ring holds at once, the rest at the latest when the REPL ends."""

import asyncio
from pathlib import Path
from unittest.mock import patch

import pytest

from runner.protocol.ring import Ring
from runner.proxy.records.about import Origin, Subject
from runner.proxy.records.disk import Disk
from runner.proxy.records.entries import Output
from runner.proxy.records.recording import Recording
from runner.proxy.records.records import Records
from runner.viewer import Viewer

SIZE = (80, 24)
SUBJECT = Subject("sh-1-00000000", "shell", "Shell 1")
UNA = Origin(who=Viewer("una", "Una", can_write=True))
DEADLINE_S = 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "records"


def begin(records: Records) -> tuple[Recording, Ring]:
    ring = Ring()
    return records.begin(SUBJECT, ring, SIZE, UNA), ring


def say(recording: Recording, ring: Ring, data: bytes) -> None:
    start = ring.end
    ring.append(start, data)
    recording.output(start)


async def until_written(recording: Recording) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while recording.waits:
            await asyncio.sleep(0.01)


@patch("runner.proxy.records.records.FLUSH_S", 3600)
async def test_who_began_it_and_its_name_do_not_wait(folder: Path) -> None:
    async with Records(Disk(folder)) as records:
        recording, _ = begin(records)
        await until_written(recording)
        ((about, _),) = Disk(folder).load().values()
        assert (about.title, about.who) == ("Shell 1", {"id": "una", "name": "Una"})
        records.rename(recording, "Database")
        await until_written(recording)
        ((about, _),) = Disk(folder).load().values()
        assert about.title == "Database"


@patch("runner.proxy.records.records.FLUSH_S", 3600)
async def test_what_is_said_right_behind_a_round_is_there_after_the_end(folder: Path) -> None:
    async with Records(Disk(folder)) as records:
        recording, ring = begin(records)
        say(recording, ring, b"first\n")
        await records.synced()
        say(recording, ring, b"last words\n")
        recording.ended({"status": 0, "signal": 0}, 1.0)
    disk = Disk(folder)
    ((about, _),) = disk.load().values()
    assert about.ended_at
    assert b"".join(one.data for one in disk.entries(SUBJECT.id) if isinstance(one, Output)) == b"first\nlast words\n"
