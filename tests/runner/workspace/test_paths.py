import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.errors import DevexError
from runner.workspace.paths import MAX_DEPTH, display, join, parse, parse_file, text


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/a", "a/", "a//b", ".", "..", "../ab/f", "a/../b", "a/.", "a\0b"),
        *("x" * 256, "é" * 128, "/".join("a" * 65), "\ud800", "/".join(["x" * 200] * 21)),
    ],
)
def test_refuses_all_but_plain_relative_paths(path: str) -> None:
    with pytest.raises(DevexError) as refusal:
        parse(path)
    assert refusal.value.status == 400


@pytest.mark.parametrize(
    "path",
    ["a", "a/b.txt", "-rf", "x" * 255, "..\\..\\x", "new\nline", "bad\udcff", "...", "CON", "%2e%2e", "~"],
)
def test_accepts_every_name_a_program_can_make(path: str) -> None:
    assert text(parse(path)) == path


def test_deepest_path_and_the_workspace_itself() -> None:
    assert len(parse("/".join("a" * MAX_DEPTH))) == MAX_DEPTH
    assert parse("") == ()
    with pytest.raises(DevexError):
        parse_file("")


@given(st.binary(max_size=600))
def test_any_bytes_are_parsed_whole_or_refused(raw: bytes) -> None:
    try:
        parts = parse(os.fsdecode(raw))
    except DevexError:
        return
    assert b"/".join(parts) == raw
    assert not {b".", b".."} & set(parts)


@given(st.text(max_size=80))
def test_what_is_displayed_shows_and_stays_in_order(name: str) -> None:
    shown = display(name)
    assert "\n" not in shown
    assert "\x1b" not in shown
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u200e\u200f\ufeff")
    shown.encode()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain é 文.py", "plain é 文.py"),
        ("a\nb\x1b[31m", "a\\nb\\x1b[31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("raw\udcff", "raw\\xff"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("<img onerror=x>", "<img onerror=x>"),
    ],
)
def test_display(name: str, shown: str) -> None:
    assert display(name) == shown


def test_join() -> None:
    assert join("", "a") == "a"
    assert join("a/b", "c") == "a/b/c"
