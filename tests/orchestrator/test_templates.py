"""The catalogue: well formed, honest about what it needs, and every program does what it says."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.templates import SANDBOX_PATH, Template, availability, load
from tests.contracts.templates import INSTALLING, TemplatesContract

CATALOGUE = load()
EVERY = pytest.mark.parametrize("template", CATALOGUE.values(), ids=CATALOGUE)


def test_the_catalogue_has_what_people_look_for() -> None:
    wanted = ["python", "flask", "fastapi", "node", "react", "static", "c", "cpp", "go", "java", "bash", "blank"]
    assert list(CATALOGUE) == wanted


@EVERY
def test_it_says_what_it_is(template: Template) -> None:
    assert template.title
    assert template.description.endswith(".")
    assert template.language
    if template.name != "blank":
        assert template.open_file in template.files
        assert template.run_command
        assert template.needs
        assert template.expected_output


@EVERY
def test_what_installs_keeps_its_packages_out_of_small_tmp(template: Template) -> None:
    """/tmp is a few dozen MiB of memory; caches go to the workspace's .cache, which the tree does not watch."""
    assert not any(value.startswith("/tmp") for value in template.environment.values())
    if template.installs:
        assert "irst run" in template.description
        assert "echo" in (template.run_command or "")


def test_missing_tools_are_named_with_what_to_do(tmp_path: Path) -> None:
    c = CATALOGUE["c"]
    assert availability(c, str(tmp_path)) == (
        "cc is not installed on this server. The operator can install a C compiler (Debian: apt install gcc libc6-dev)."
    )
    (tmp_path / "cc").write_text("#!/bin/sh\n")
    assert availability(c, str(tmp_path)) is not None, "a file that cannot be executed is no tool"
    (tmp_path / "cc").chmod(0o755)
    assert availability(c, f"/nonexistent:{tmp_path}") is None
    assert availability(CATALOGUE["blank"], "") is None
    assert "are not installed" in (availability(CATALOGUE["react"], str(tmp_path)) or "")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ('order = 1\ntitle = "A"', "missing"),
        ('order = 1\ntitle = "A"\ndescription = ""\nlanguage = ""\nextra = 1', "extra"),
        ('order = 1\ntitle = "A"\ndescription = ""\nlanguage = ""\nopen_file = "no.py"', "no.py"),
    ],
)
def test_a_template_that_is_not_well_formed_is_refused(tmp_path: Path, toml: str, said: str) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "template.toml").write_text(toml)
    with pytest.raises(ValueError, match=f"template broken.*{re.escape(said)}"):
        load(tmp_path)


class TestOnThisMachine(TemplatesContract):
    """Every tool is installed where the tests run (`.ci/system-packages`); the local backend runs them confined."""

    @pytest.fixture(autouse=True)
    def _workspace(self, tmp_path: Path) -> None:
        self.workspace = tmp_path

    async def output(self, template: Template) -> AsyncIterator[bytes]:
        lay_out(template, self.workspace)
        environment = {
            name: value.replace("/workspace", str(self.workspace)) for name, value in template.environment.items()
        }
        environment |= {
            "PATH": SANDBOX_PATH,
            "HOME": str(self.workspace),
            "HOST": "127.0.0.1",
            "PORT": str(free_port()),
        }
        # A template builds in /tmp of its own sandbox; here /tmp is everybody's.
        private = (template.run_command or "").replace("/tmp/", f"{self.workspace}/.build-")
        process = await asyncio.create_subprocess_exec(
            "/bin/bash",
            "-c",
            private,
            cwd=self.workspace,
            env=environment | {"PYTHONUNBUFFERED": "1"},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        try:
            while chunk := await process.stdout.read(65536):
                yield chunk
        finally:
            with suppress(ProcessLookupError):  # it ended by itself
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            await process.stdout.read()

    async def test_what_is_installed_already_starts_without_installing(self) -> None:
        """FastAPI, with this test's own interpreter as its .venv: what the first run leaves behind."""
        template = CATALOGUE["fastapi"]
        lay_out(template, self.workspace)
        venv = self.workspace / ".venv"
        (venv / "bin").mkdir(parents=True)
        (venv / "bin" / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (venv / "bin" / "python").chmod(0o755)
        (venv / "ready").touch()
        await self.expect(template)

    @pytest.mark.soak
    @pytest.mark.parametrize("template", INSTALLING, ids=lambda template: template.name)
    async def test_a_first_run_installs_and_starts(self, template: Template) -> None:
        """From the package registries, so in the soak only."""
        await self.expect(template, deadline_s=400)


def lay_out(template: Template, workspace: Path) -> None:
    for path, data in template.files.items():
        place = workspace / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.write_bytes(data)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
