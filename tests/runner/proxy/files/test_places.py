"""Paths that programs print, and the files that they mean."""

import os
from pathlib import Path
from typing import Final

import httpx
import pytest

from runner.proxy.files.places import MOST
from tests.runner.proxy.files.serving import code


@pytest.fixture
def root(root: Path) -> Path:
    for path in ("main.c", "sub/deep.py", "sub/twice.py", "else/twice.py", "src/app/start.js"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("")
    (root / "link").symlink_to("/etc/passwd")
    return root


MEANT: Final = [
    ("main.c", "", "main.c"),
    ("./sub/../main.c", "", "main.c"),
    ("/workspace/sub/deep.py", "/tmp", "sub/deep.py"),
    ("deep.py", "/workspace/sub", "sub/deep.py"),
    ("../main.c", "/workspace/sub", "main.c"),
    ("deep.py", "", "sub/deep.py"),  # the only one
    ("twice.py", "", None),  # there are two
    ("twice.py", "/workspace/else", "else/twice.py"),
    ("b/src/app/start.js", "", "src/app/start.js"),
    ("../elsewhere/main.c", "", "main.c"),
    ("sub", "", None),
    ("gone.py", "", None),
    ("link", "", None),
    ("/etc/passwd", "", None),
    ("/workspace/../etc/passwd", "", None),
    ("/workspace2/main.c", "", None),
    ("../../etc/passwd", "/workspace/sub", None),
    ("passwd", "/etc", None),
    ("../ab/f", "", None),
    ("", "", None),
    ("/workspace", "", None),
    ("a\0b", "", None),
    ("a/" * 3000, "", None),
]


async def test_a_path_means_a_file_of_the_workspace(client: httpx.AsyncClient, root: Path) -> None:
    for asked, cwd, found in MEANT:
        answer = await client.get("places", params={"path": asked, "cwd": cwd})
        assert (asked, answer.json()) == (asked, {"found": [found], "home": "/workspace"})


async def test_a_bounded_number_is_asked_for_at_once(client: httpx.AsyncClient, root: Path) -> None:
    (root / os.fsdecode(b"b\xff.py")).write_text("")
    answer = await client.get("places?path=main.c&path=no&path=b%ff.py")
    assert answer.json()["found"] == ["main.c", None, "b\udcff.py"]
    assert code(await client.get("places", params={"path": ["x"] * (MOST + 1)})) == "bad_request"
