"""What becomes of the log, and of the wishes, while the database is away."""

import logging

import pytest

from orchestrator.backends.memory import MemoryBackend
from orchestrator.domain import Limits, Phase
from orchestrator.faults import Faults
from tests.orchestrator.conftest import MakeOrchestrator
from tests.orchestrator.fakes import ManualClock, UnreachableRecords


@pytest.fixture
def records() -> UnreachableRecords:
    return UnreachableRecords()


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [f"{record.levelname} {record.message}" for record in caplog.records if record.name == "orchestrator.faults"]


async def test_a_database_that_is_away_is_said_once_and_wishes_come_true_when_it_is_back(
    serve: MakeOrchestrator, clock: ManualClock, records: UnreachableRecords, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serve() as orchestrator:
        ids = [(await orchestrator.create("ann", f"{number}", "python")).id for number in range(5)]
        for repl_id in ids:
            await orchestrator.open(repl_id)
        records.down = True
        backend = orchestrator.backend
        assert isinstance(backend, MemoryBackend)
        for repl_id in ids:
            backend.lose(repl_id, "It ran out of memory.")
        await clock.advance(600)
        assert len(said(caplog)) == 1
        assert "fails and is tried again" in said(caplog)[0]
        records.down = False
        await clock.advance(61)
        assert [(await orchestrator.get(repl_id)).phase for repl_id in ids] == [Phase.FAILED] * 5
        assert len(said(caplog)) == 2
        assert "works again" in said(caplog)[1]


def test_failures_in_a_row_wait_longer_and_a_success_ends_the_row() -> None:
    faults = Faults(Limits(retry_first_s=1, retry_most_s=5))
    assert [faults.failed("a", OSError()) for _ in range(5)] == [1, 2, 4, 5, 5]
    assert faults.failed("b", OSError()) == 1
    faults.worked("a")
    assert faults.failed("a", OSError()) == 1


def test_each_kind_of_fault_is_said(caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults(Limits())
    for error in (OSError("gone"), OSError("gone"), KeyError("a bug")):
        faults.failed("a", error)
    assert len(said(caplog)) == 2
