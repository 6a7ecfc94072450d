"""What a page decides from the records of terminals."""

from datetime import UTC, datetime, timedelta
from typing import Any

from app.pages.workbench.recorded.record import Record, continued, last_run, left_open, record_ending
from components.repl import Shell

MIDNIGHT = datetime(2026, 1, 31, tzinfo=UTC)
LOST = {"status": -1, "signal": 0, "lost": True}


def record(id: str, began: int, ended: int | None = None, exit: dict[str, Any] | None = None, **more: Any) -> Record:
    """`began` and `ended` in minutes."""

    def at(minute: int) -> str:
        return (MIDNIGHT + timedelta(minutes=minute)).isoformat()

    about = {"title": "Shell 1", "command": None, "who": {"id": "u1", "name": "ada"}, "duration_s": 1.5}
    about |= {"kind": "run" if id.startswith("run") else "shell", "started_at": at(began), "exit": exit}
    about |= {"ended_at": None if ended is None else at(ended), "cols": 80, "rows": 24, "bytes": 9, "missing": 0}
    about |= {"peak_bytes": 2_000_000, "stopped": False, "forced": False, "run": True}
    return Record.of({"id": id, **about, **more})


def test_how_a_record_ended_is_said() -> None:
    assert record_ending(record("run", 0, 1, {"status": 0, "signal": 0})).words == "Exit code 0"
    assert record_ending(record("run", 0, 1, {"status": 3, "signal": 0})).tone == "danger"
    assert record_ending(record("run", 0, 1, {"status": 143, "signal": 15})).words == "Stopped (SIGTERM)"
    forced = record("run", 0, 1, {"status": 137, "signal": 9}, stopped=True, forced=True)
    assert record_ending(forced).words == "Stopped by force (SIGKILL)"
    assert record_ending(record("run", 0, 1, LOST)).words == "Ended with its sandbox"
    hung_up = record("run", 0, 1, {"status": 129, "signal": 1})
    assert record_ending(hung_up).words == "Ended with its sandbox"
    assert record_ending(record("sh", 0, 1)).words == "Closed"


def test_of_a_sandbox_that_ended_the_shells_that_were_open_are_left() -> None:
    older = [record("sh-2-older", 1, 9, LOST), record("sh-1-older", 0, 9, LOST)]
    last = [record("sh-3", 13, 20, LOST), record("sh-2-closed", 12, 14), record("sh-1", 10, 20, LOST)]
    run = record("run", 15, 20, LOST)
    records = [run, *last, *older]
    assert [one.id for one in left_open(records)] == ["sh-1", "sh-3"]
    assert last_run(records) == run
    assert continued(records, ()) is None


def test_the_first_shell_of_a_sandbox_goes_on_from_the_one_of_its_name() -> None:
    before = [record("sh-2", 13, 20, LOST, title="Shell 2"), record("sh-1", 10, 20, LOST)]
    first, second = record("sh-1-again", 30), record("sh-2-again", 31, title="Shell 2")
    assert continued([second, first, *before], ()) == ("sh-1-again", before[1])
    assert continued(before, [Shell("sh-new", "Shell 2")]) == ("sh-new", before[0])
    renamed = record("sh-1-again", 30, title="Server")
    assert continued([renamed, *before], ()) == ("sh-1-again", before[0])
    assert continued([first], [Shell("sh-1-again", "Shell 1")]) is None
