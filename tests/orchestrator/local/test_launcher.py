"""What becomes of sandboxes when the server, the launcher or a sandbox dies."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from orchestrator.backends.base import BackendError
from orchestrator.backends.local import launcher_client
from orchestrator.backends.local.backend import LocalBackend
from orchestrator.backends.local.layout import layout
from orchestrator.domain import SandboxPhase
from tests.contracts.backend import make_spec, until_running, wait_until
from tests.orchestrator.local.conftest import GRACE_S, Box, StartBox, until_gone

ROOT = Path(__file__).resolve().parents[3]
SERVER = ROOT / "tests" / "orchestrator" / "local" / "serve.py"
KILLS, START_S = 200, 0.1


@asynccontextmanager
async def server(data: Path, grace_s: float) -> AsyncIterator[asyncio.subprocess.Process]:
    """Another process with a LocalBackend; "repl1" runs a program in it. Killed at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(SERVER), str(data), str(grace_s)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)]),
            "DEVEX_SECRET": "canary",
        },
    )
    try:
        assert process.stdout
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"running\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def launcher_of(data: Path) -> psutil.Process:
    return warden_of(data).children()[0]


def warden_of(data: Path) -> psutil.Process:
    """The older one of the two that show the launcher's command line."""
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if "orchestrator.backends.local.launcher" in line and str(data.resolve()) in line:
            return process
    raise AssertionError("there is no launcher")


async def test_programs_survive_the_servers_death_and_are_adopted(tmp_path: Path) -> None:
    async with server(tmp_path, grace_s=60) as process:
        process.send_signal(signal.SIGKILL)
        await process.wait()
        async with LocalBackend(tmp_path, grace_s=GRACE_S, keep_on_exit=False) as backend:
            await until_running(backend, "repl1")
            box = Box(backend, "repl1", tmp_path / "workspaces" / "repl1")
            assert (await backend.observe())["repl1"].epoch == 1
            assert (await box.get("/run"))["running"] is True
            assert await box.run("kill -0 $(cat pid) && echo alive") == (0, "alive\n")
            await backend.stop("repl1", 1)
            assert await backend.observe() == {}


async def test_ctrl_c_reaches_no_launcher(tmp_path: Path) -> None:
    async with server(tmp_path, grace_s=60) as process:
        launcher = launcher_of(tmp_path)
        assert os.getsid(launcher.pid) != os.getsid(process.pid)
        assert launcher.ppid() != process.pid
        assert "DEVEX_SECRET" not in launcher.environ()
        assert "canary" not in str(launcher.environ())
        os.kill(launcher.pid, signal.SIGTERM)
        await until_gone(launcher.pid)


async def test_without_a_server_the_launcher_ends_in_order(tmp_path: Path) -> None:
    async with server(tmp_path, grace_s=0.5) as process:
        launcher = launcher_of(tmp_path)
        inside = [child.pid for child in launcher.children(recursive=True)]
        assert inside
        process.kill()
        for pid in (launcher.pid, *inside):
            await until_gone(pid, deadline_s=30)
    assert not layout(tmp_path).runtime.exists()


async def test_nothing_survives_the_launcher(start: StartBox, tmp_path: Path) -> None:
    box = await start()
    await box.run("setsid sleep 1000 & until pgrep sleep; do sleep 0.02; done")
    launcher = launcher_of(tmp_path)
    inside = [child.pid for child in launcher.children(recursive=True)]
    launcher.kill()
    for pid in inside:
        await until_gone(pid)
    seen = await box.until(lambda seen: seen is not None and seen.phase is SandboxPhase.FAILED)
    assert seen is not None
    assert seen.reason
    await box.backend.ensure(make_spec(epoch=2))
    await until_running(box.backend, "repl1")


async def test_nothing_survives_the_warden(start: StartBox, tmp_path: Path) -> None:
    box = await start()
    warden = warden_of(tmp_path)
    below = [child.pid for child in warden.children(recursive=True)]
    warden.kill()
    for pid in below:
        await until_gone(pid)
    await box.until(lambda seen: seen is not None and seen.phase is SandboxPhase.FAILED)


@pytest.mark.soak
async def test_nothing_survives_a_launcher_killed_at_any_moment(backend: LocalBackend, tmp_path: Path) -> None:
    await backend.seed("repl1", {}, copy_of=None)
    for epoch in range(1, KILLS + 1):
        await backend.ensure(make_spec(epoch=epoch))
        await asyncio.sleep(random.uniform(0, START_S))  # any moment of a start
        launcher = launcher_of(tmp_path)
        inside = [child.pid for child in launcher.children(recursive=True)]
        launcher.kill()
        for pid in (launcher.pid, *inside):
            await until_gone(pid)
        await wait_until(backend, "repl1", lambda seen: seen is not None and seen.phase is SandboxPhase.FAILED)
    await backend.ensure(make_spec(epoch=KILLS + 1))
    await until_running(backend, "repl1")


async def test_a_sandbox_that_ends_by_itself_has_failed(box: Box) -> None:
    os.kill(await box.first_pid(), signal.SIGKILL)
    seen = await box.until(lambda seen: seen is not None and seen.phase is SandboxPhase.FAILED)
    assert seen is not None
    assert seen.reason == "Its sandbox ended by itself (exit code 137)."
    assert box.backend.runner_app("repl1") is None
    await box.backend.stop("repl1", 1)
    assert await box.backend.observe() == {}


async def test_a_second_server_is_refused(backend: LocalBackend, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="serves another server"):
        await launcher_client.connect(layout(tmp_path), 60, on_ended=print, on_lost=lambda: None)
    await backend.seed("repl1", {}, copy_of=None)
    await backend.ensure(make_spec())
    await until_running(backend, "repl1")


async def test_only_its_own_user_may_command_the_launcher(backend: LocalBackend, tmp_path: Path) -> None:
    socket_path = layout(tmp_path).launcher_socket
    assert socket_path.stat().st_mode & 0o777 == 0o600
    assert layout(tmp_path).runtime.stat().st_mode & 0o066 == 0


async def test_uids_are_kept_and_never_shared(start: StartBox, backend: LocalBackend) -> None:
    first, second = await start("repl1"), await start("repl2")
    owner = first.workspace.stat().st_uid
    assert (owner != second.workspace.stat().st_uid) == (os.geteuid() == 0)
    await first.run("touch made-inside")
    await backend.stop("repl1", 1)
    await backend.ensure(make_spec(epoch=2))
    await until_running(backend, "repl1")
    assert first.workspace.stat().st_uid == owner == (first.workspace / "made-inside").stat().st_uid


async def test_what_the_proxy_writes_belongs_to_the_programs(box: Box) -> None:
    assert await box.run("echo more >> hello.txt && cat hello.txt") == (0, "hellomore\n")
    await box.post("/mkdir", path="folder")
    assert await box.run("touch folder/file && echo fine") == (0, "fine\n")
