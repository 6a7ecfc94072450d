from pathlib import Path

import pytest

from runner.errors import DevexError
from runner.workspace import Workspace
from runner.workspace.search import MAX_MATCHES_PER_FILE, file_paths, matches_in, needle_of, rank, search_text

PATHS = ["src/main.py", "src/domain/repl.py", "tests/test_main.py", "README.md", "docs/manual.md", "a/b/main/other.txt"]


@pytest.mark.parametrize(
    ("query", "best"),
    [
        ("main", "src/main.py"),
        ("mainpy", "src/main.py"),
        ("replpy", "src/domain/repl.py"),
        ("tm", "tests/test_main.py"),
        ("READ", "README.md"),
        ("sdr", "src/domain/repl.py"),
        ("docs man", "docs/manual.md"),
    ],
)
def test_rank(query: str, best: str) -> None:
    assert rank(PATHS, query, 10)[0] == best


def test_rank_bounds() -> None:
    assert rank(PATHS, "zzz", 10) == []
    assert len(rank(PATHS, "", 2)) == 2
    assert len(rank(PATHS, "m", 3)) == 3
    hard = ["a" * 4000 + "/" + "ab" * 1000] * 20
    assert rank(hard, "a" * 200 + "c", 10) == []  # a pattern that went back would not end


def test_names_of_excluded_folders_are_left_out(workspace: Workspace, root: Path) -> None:
    for folder in ("src", "node_modules/x", ".git"):
        (root / folder).mkdir(parents=True)
        (root / folder / "f").write_text("needle")
    (root / "link").symlink_to("src/f")
    assert file_paths(workspace) == ["src/f"]
    assert [match.path for match in search_text(workspace, "needle").matches] == ["src/f"]


def test_search(workspace: Workspace, root: Path) -> None:
    (root / "f").write_text("first\r\nA needle, Needle\nneedles é needle" + "x" * 500)
    (root / "binary").write_bytes(b"\0needle")
    (root / "huge").write_text("needle" + " " * 2_000_000)
    found = search_text(workspace, "needle")
    assert [(m.line, m.column) for m in found.matches] == [(2, 2), (2, 10), (3, 0), (3, 10)]
    assert found.complete
    for match in found.matches:
        assert match.text[match.at : match.at + match.length].lower() == "needle"
        assert len(match.text) < 300
    assert search_text(workspace, "a.c*(").matches == []
    assert search_text(workspace, "first").matches[0].text == "first"


@pytest.mark.timeout(30)
def test_no_text_makes_a_search_slow() -> None:
    """Nothing else of the process runs meanwhile. Looked for at each place anew, this takes a minute; so, a second."""
    hostile = b"a" * (64 << 20)
    assert matches_in("f", hostile, needle_of("a" * 255 + "b")) == []


@pytest.mark.parametrize(
    ("text", "query", "at"),
    [("İxNEEDLE", "needle", [2]), ("ΟΔΟΣ οδος", "οδοσ", [0, 5]), ("aaaaa", "AA", [0, 2]), ("ÄÖ\nöä", "äö", [0])],
)
def test_case_does_not_count(text: str, query: str, at: list[int]) -> None:
    assert [match.column for match in matches_in("f", text.encode(), needle_of(query))] == at


def test_search_is_bounded(workspace: Workspace, root: Path) -> None:
    for number in range(20):
        (root / str(number)).write_text("x\n" * 1_000)
    found = search_text(workspace, "x")
    assert len(found.matches) == 1_000
    assert not found.complete
    (root / "0").rename(root.parent / "one")
    assert len([m for m in found.matches if m.path == "1"]) == MAX_MATCHES_PER_FILE
    for query in ("", "x" * 257, "a\nb"):
        with pytest.raises(DevexError):
            search_text(workspace, query)
