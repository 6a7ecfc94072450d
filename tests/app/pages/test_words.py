"""What pages say."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.pages.words import (
    ago,
    browser_words,
    command_words,
    ending_words,
    restart_words,
    safety_words,
    size_words,
    span,
    stopped_words,
    stopping_words,
    unsafe_words,
)
from orchestrator.domain import Goal, Phase, Repl
from tests.contracts.records import make_repl

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "just now"), (59, "just now"), (60, "1 minute ago"), (7_300, "2 hours ago"), (86_400, "1 day ago")],
)
def test_ago(seconds: int, words: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "40 ms"),
        (0.1, "0.1 s"),
        (9.94, "9.9 s"),
        (59, "59 s"),
        (61, "1 min"),
        (3600, "1 h"),
        (7_500, "2 h 5 min"),
    ],
)
def test_span(seconds: float, words: str) -> None:
    assert span(seconds) == words


@pytest.mark.parametrize(
    ("phase", "unsafe", "saved_at", "words"),
    [
        (Phase.STOPPED, None, NOW, ""),
        (Phase.RUNNING, "The store is full.", NOW, ""),  # there the status line says so
        (
            Phase.STOPPED,
            "The store is full.",
            None,
            "Not safe in the store: The store is full. Its files are kept here, and this is tried again.",
        ),
        (
            Phase.FAILED,
            "It is away.",
            NOW - timedelta(hours=2),
            "Not safe in the store: It is away. Its files are kept here, and this is tried again."
            " Everything up to 2 hours ago is safe.",
        ),
    ],
)
def test_what_is_not_safe_is_said(phase: Phase, unsafe: str | None, saved_at: datetime | None, words: str) -> None:
    repl = Repl(
        id="r1", slug="r1", owner_id="u1", name="One", template="python", goal=Goal.STOP, phase=phase,
        created_at=NOW, opened_at=NOW, phase_at=NOW, unsafe=unsafe, saved_at=saved_at,
    )  # fmt: skip
    assert unsafe_words(repl, NOW) == words


def test_where_the_files_of_a_stopped_repl_are() -> None:
    repl = Repl(
        id="r1", slug="r1", owner_id="u1", name="One", template="python", goal=Goal.STOP, phase=Phase.STOPPED,
        created_at=NOW, opened_at=NOW, phase_at=NOW, saved_version="1-7",
    )  # fmt: skip
    assert safety_words(repl, NOW) == "Its files are safe in the store, as version 1-7."
    assert safety_words(replace(repl, unsaved=True), NOW) == "Its files are safe."
    assert safety_words(replace(repl, unsafe="It is away."), NOW).startswith("Not safe in the store: It is away.")
    assert "It is away." in stopping_words(replace(repl, unsafe="It is away."))


def test_browsers_have_names() -> None:
    chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
    assert browser_words(chrome) == "Chrome on Linux"
    assert browser_words(f"{chrome} Edg/130.0.0.0") == "Edge on Linux"
    assert browser_words("curl/8.5.0") == "curl/8.5.0"
    assert browser_words("") == "Unknown browser"


def test_of_a_script_its_program_is_shown() -> None:
    assert command_words(" python main.py\n") == "python main.py"
    assert command_words("npm install\nexec node index.js\n") == "node index.js"
    assert command_words("if true; then\n  echo\nfi") == "if true; then …"
    assert command_words("") == ""


def test_sizes_are_read_at_a_glance() -> None:
    assert [size_words(size) for size in (0, 999, 1200, 33_600_000, 999_600_000)] == [
        "0 B",
        "999 B",
        "1.2 kB",
        "34 MB",
        "1.0 GB",
    ]


def test_what_somebody_stopped_did_not_fail() -> None:
    assert stopped_words(143, forced=False) == "Stopped (SIGTERM)"
    assert stopped_words(137, forced=True) == "Stopped by force (SIGKILL)"
    assert stopped_words(137, forced=False) == stopped_words(None, forced=False) == "", "killed by the kernel"


def test_a_missing_interpreter_is_one_sentence_and_one_thing_to_do() -> None:
    assert ending_words(0) == "Exit code 0"
    assert ending_words(None) == "Ended with its sandbox"
    assert ending_words(127) == "Exit code 127, a command was not found: install it, or correct the run command"


def test_what_started_again_by_itself_is_told_once() -> None:
    drained = make_repl(1, phase=Phase.RUNNING, goal=Goal.RUN, phase_at=NOW, stop_reason="The machine asked.")
    before, after = NOW - timedelta(minutes=5), NOW + timedelta(seconds=1)
    assert restart_words(drained, before).startswith("The machine asked. It was started again, with its files.")
    assert restart_words(drained, after) == ""
    assert restart_words(replace(drained, stop_reason=None), before) == ""
    assert restart_words(replace(drained, phase=Phase.STARTING), before) == ""
    assert restart_words(replace(drained, goal=Goal.STOP), before) == ""  # somebody has just pressed Stop
    stopping = replace(drained, phase=Phase.STOPPING)
    assert stopping_words(stopping) == "The machine asked. A version of its files is saved to the store first."
