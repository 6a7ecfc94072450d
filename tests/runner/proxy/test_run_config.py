"""Which command Run runs."""

import pytest

from runner.errors import DevexError
from runner.proxy.run_config import RunConfig, discover


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, RunConfig(command="default")),
        (
            {".devex.toml": 'run = "make serve"\nbuild = "make"\nport = 8000\n[env]\nDEBUG = 1\n"BAD-NAME" = "x"'},
            RunConfig(command="make serve", build="make", port=8000, environment={"DEBUG": "1"}),
        ),
        ({".devex.toml": "port = 3", "Procfile": "web: go run ."}, RunConfig(command="go run .")),
        (
            {
                ".replit": 'run = ["python", "my app.py"]\nentrypoint = "my app.py"\n[[ports]]\nlocalPort = 5000\n'
                "externalPort = 80\n[env]\nA = 'b'"
            },
            RunConfig(command="python 'my app.py'", port=5000, environment={"A": "b"}),
        ),
        (
            {".replit": '[run]\nargs = ["node", "x.js"]\n[run.env]\nB = "c"'},
            RunConfig(command="node x.js", environment={"B": "c"}),
        ),
        (
            {
                ".devcontainer/devcontainer.json": """{
                    // with "comments"
                    "image": "x", /* and more */
                    "forwardPorts": [3000, "db:5432",],
                    "postStartCommand": {"server": "npm start // not a comment", "other": ["echo", "a b"]},
                }"""
            },
            RunConfig(command="npm start // not a comment && echo 'a b'", port=3000),
        ),
        (
            {"Procfile": "# nothing\nworker: python w.py\nweb: gunicorn app:app --bind :$PORT  \r\n"},
            RunConfig(command="gunicorn app:app --bind :$PORT"),
        ),
        ({"Procfile": "worker: python w.py"}, RunConfig(command="python w.py")),
        ({"Procfile": "nothing here"}, RunConfig(command="default")),
    ],
)  # fmt: skip
def test_the_first_file_that_names_a_command_decides(files: dict[str, str], expected: RunConfig) -> None:
    assert discover({name: text.encode() for name, text in files.items()}, "default") == expected


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (".devex.toml", b"run = "),
        (".devex.toml", b"\xff"),
        (".replit", b"[[ports]]\n[ports]"),
        (".devcontainer.json", b"[]"),
        (".devcontainer.json", b"[" * 50_000),
    ],
)
def test_a_mistake_in_a_file_is_named(name: str, content: bytes) -> None:
    with pytest.raises(DevexError, match=name) as refused:
        discover({name: content}, "default")
    assert refused.value.code == "run_config"


def test_without_any_command_the_user_is_told_where_to_write_one() -> None:
    with pytest.raises(DevexError) as refused:
        discover({}, None)
    assert ".devex.toml" in refused.value.action


def test_a_build_has_to_succeed_first() -> None:
    assert RunConfig(command="./a", build="cc a.c -o a # here").script == "{ cc a.c -o a # here\n} && { ./a\n}"
