"""Paths that are typed into a shell for files that were dropped: one word, whatever somebody has called the file."""

import json
import subprocess

import pytest

from components.build import HERE

NAMES = [
    "plain.py",
    "two words",
    "it's",
    "$HOME `id` $(id)",
    "tab\tand 'quote'",
    "line\n'; echo run; #",
    "\\\t\\' echo run",
]
QUOTED = (
    'import {{ quoted }} from "{module}"; console.log(JSON.stringify({names}.map((name) => quoted(`/h/${{name}}`))))'
)


@pytest.fixture(scope="module")
def words() -> list[str]:
    module = (HERE / "terminal" / "drops.mjs").as_uri()
    code = QUOTED.format(module=module, names=json.dumps(NAMES))
    said = subprocess.run(
        ["/usr/bin/node", "--input-type=module", "-e", code], capture_output=True, check=True, timeout=30, text=True
    )
    found: list[str] = json.loads(said.stdout)
    return found


def test_bash_takes_the_very_path(words: list[str]) -> None:
    for name, word in zip(NAMES, words, strict=True):
        said = subprocess.run(["bash", "-c", f"printf %s {word}"], capture_output=True, check=True, timeout=30)
        assert said.stdout.decode() == f"/h/{name}"


def test_no_shell_runs_what_is_in_it(words: list[str]) -> None:
    """Those that do not know $'…' take another path, and nothing else."""
    for word in words:
        said = subprocess.run(["sh", "-c", f"set -- {word}; echo $#"], capture_output=True, check=True, timeout=30)
        assert said.stdout == b"1\n"
        assert "\n" not in word
