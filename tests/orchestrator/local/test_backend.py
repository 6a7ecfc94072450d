"""The contract of every backend, kept by real sandboxes."""

import asyncio
import resource
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from orchestrator.backends.base import BackendError
from orchestrator.backends.local.backend import LocalBackend
from orchestrator.domain import CpuSample, SandboxPhase, Size
from runner.proxy.snapshots import FILES_OF_LOOKERS, ZIPS_OF_LOOKERS
from runner.snapshots import layout
from runner.snapshots.history import History
from runner.snapshots.stores.directory import DirectoryStore
from tests.contracts.backend import DEADLINE_S, SIZE, BackendContract
from tests.contracts.versions import EVE, held, viewers_leave_downloads
from tests.orchestrator.local.conftest import GRACE_S, Box, until_gone


class TestLocalBackend(BackendContract):
    @pytest.fixture
    async def backend(self, tmp_path: Path) -> AsyncIterator[LocalBackend]:
        async with LocalBackend(tmp_path, grace_s=GRACE_S, keep_on_exit=False) as backend:
            yield backend

    async def test_what_is_not_there_or_cannot_be_run_is_no_tool(self, backend: LocalBackend) -> None:
        assert not backend.has_tool("no-such-tool")
        assert not backend.has_tool("../../etc/passwd")

    async def test_files_of_a_stopped_one_are_limited_as_it_is(self, seeded: LocalBackend) -> None:
        size = Size(disk_bytes=123 << 20, disk_entries=1)
        async with self.client(seeded.files_app("repl1", size)) as client:
            usage = (await client.get("/usage")).json()
            assert (usage["limit_bytes"], usage["limit_entries"]) == (123 << 20, 1)
            assert (await client.put("/files/new", content=b"")).status_code == 405
            assert (await client.get("/zip", params={"path": ""})).status_code == 413
        async with self.client(seeded.files_app("repl1", Size())) as client:
            assert (await client.get("/zip", params={"path": ""})).status_code == 200

    async def test_records_stay_while_it_rests_are_not_copied_and_go_with_it(
        self, seeded: LocalBackend, tmp_path: Path
    ) -> None:
        await self.started(seeded)
        async with self.client(seeded.runner_app("repl1")) as client:
            terminal = (await client.post("/terminals", json={})).json()["id"]
        await seeded.stop("repl1", 1)
        async with self.client(seeded.files_app("repl1", SIZE)) as client:
            (record,) = (await client.get("/records")).json()["records"]
            assert (record["id"], record["who"]["name"]) == (terminal, "Owner")
            assert record["ended_at"]
        looks = httpx.ASGITransport(app=seeded.files_app("repl1", SIZE))  # and may not write
        async with httpx.AsyncClient(transport=looks, base_url="http://runner") as reader:
            assert (await reader.delete(f"/records/{terminal}")).status_code == 403
            assert (await reader.delete("/records")).status_code == 403
        await seeded.seed("repl2", {}, copy_of="repl1")
        async with self.client(seeded.files_app("repl2", SIZE)) as client:
            assert (await client.get("/records")).json() == {"records": []}
        await seeded.delete_workspace("repl1")
        assert list((tmp_path / "records").iterdir()) == []

    @pytest.mark.parametrize(("download", "most"), [("file?path=main.py", FILES_OF_LOOKERS), ("zip", ZIPS_OF_LOOKERS)])
    async def test_viewers_leave_downloads_of_what_rests_to_those_who_edit(
        self, seeded: LocalBackend, download: str, most: int
    ) -> None:
        address = f"/snapshots/{await seeded.save('repl1', 1, 'by a test')}/{download}"
        await self.started(seeded)
        async with held(seeded.runner_app("repl1"), address, EVE) as status:
            assert status == 200
            await seeded.stop("repl1", 1)
            await viewers_leave_downloads(lambda: seeded.files_app("repl1", SIZE), address, most - 1)

    async def test_old_versions_of_what_rests_are_thinned_out(self, seeded: LocalBackend, tmp_path: Path) -> None:
        """All but the last of a day that is over; not what runs, and nothing that a newer epoch has stored."""
        path = tmp_path / "workspaces" / "repl1" / "main.py"
        async with DirectoryStore(tmp_path / "store") as store:
            history = History(store, "repl1")
            for number in range(4):
                path.write_text(str(number))
                version = await seeded.save("repl1", 1, "by a test")
                if number < 3:
                    await backdate(history, version, days=10)
            every = await history.versions()
            with pytest.raises(BackendError):
                await seeded.collect("repl1", 0)
            await self.started(seeded, epoch=1)
            await seeded.collect("repl1", 1)
            assert await history.versions() == every
            await seeded.stop("repl1", 1)
            await seeded.collect("repl1", 1)
            assert await history.versions() == every[:2]


async def backdate(history: History, version: str, days: int) -> None:
    commit = await history.commit(version)
    at = (commit.taken_at.replace(hour=12) - timedelta(days=days)).isoformat()
    key = history.key(layout.commit_key(version))
    await history.store.delete([key])
    await history.store.create(key, layout.commit_bytes(replace(commit, at=at)))


async def test_a_copy_that_is_given_up_ends(backend: LocalBackend, tmp_path: Path) -> None:
    """A gigabyte of nothing, which takes a while to be written."""
    await backend.seed("repl1", {}, copy_of=None)
    with (tmp_path / "workspaces" / "repl1" / "sparse").open("wb") as sparse:
        sparse.truncate(1 << 30)
    copying = asyncio.create_task(backend.seed("repl2", {}, copy_of="repl1"))
    made = tmp_path / "workspaces" / ".new-repl2"
    async with asyncio.timeout(DEADLINE_S):
        while not made.exists():
            await asyncio.sleep(0)
    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying
    assert not made.exists()
    assert not (tmp_path / "workspaces" / "repl2").exists()


async def test_without_grace_time_the_launcher_waits_for_its_first_server(tmp_path: Path) -> None:
    async with LocalBackend(tmp_path, grace_s=0) as backend:
        assert backend._launcher
        launcher = backend._launcher.hello.pid
    await until_gone(launcher)


async def test_a_sandbox_at_rest_does_not_compute(box: Box) -> None:
    """Its agent, a shell at its prompt and a server that nobody asks, for some seconds."""
    await box.post("/terminals", cols=80, rows=24)
    answers = "python3 -c \"import socket; socket.create_connection(('127.0.0.1', 8000))\""
    await box.run(f"setsid python3 -m http.server >/dev/null 2>&1 & until {answers} 2>/dev/null; do :; done")
    samples = []
    for command in ("true", "sleep 5"):
        await box.run(command)
        samples.append(CpuSample((await box.backend.cpu_times())["repl1"], datetime.now(UTC)))
    assert not samples[1].computed_since(samples[0])
    await box.run("timeout 2 sh -c 'while :; do :; done'")
    assert CpuSample((await box.backend.cpu_times())["repl1"], datetime.now(UTC)).computed_since(samples[1])


async def test_a_server_out_of_descriptors_ends_no_sandbox(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    """The disk cannot be measured meanwhile."""
    _, most = before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, most))
    try:
        async with asyncio.timeout(60):
            while "could not be measured" not in caplog.text:
                await asyncio.sleep(0.1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert (await box.backend.observe())["repl1"].phase is SandboxPhase.RUNNING
    assert await box.run("echo fine") == (0, "fine\n")


async def test_what_was_typed_is_not_among_the_files(box: Box) -> None:
    """They are copied, downloaded and shown to others."""
    code, output = await box.run("echo 'echo se$((1))cret' | bash -i; cat $HISTFILE")
    assert code == 0, output
    assert "echo se$((1))cret" in output.splitlines()
    assert [path.name for path in box.workspace.iterdir()] == ["hello.txt"]
