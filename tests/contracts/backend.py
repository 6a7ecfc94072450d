"""What every Backend promises. Subclass, and give an async fixture `backend` that yields an entered backend."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from orchestrator.backends.base import Backend, BackendError, SandboxSpec
from orchestrator.domain import Egress, Observation, SandboxPhase, Size

DEADLINE_S = 60.0
COMPUTE_S = 0.3
SIZE = Size()


def make_spec(repl_id: str = "repl1", epoch: int = 1, **changes: Any) -> SandboxSpec:
    values: dict[str, Any] = {
        "repl_id": repl_id,
        "epoch": epoch,
        "template": "blank",
        "environment": {"PORT": "3000", "HOST": "0.0.0.0"},
        "run_command": None,
        "size": SIZE,
        "egress": Egress.NONE,
    }
    return SandboxSpec(**(values | changes))


async def wait_until(
    backend: Backend, repl_id: str, wanted: Callable[[Observation | None], bool], deadline_s: float = DEADLINE_S
) -> Observation | None:
    """Follow `watch` until what is observed of this Repl is as wanted."""
    changes = backend.watch()
    async with asyncio.timeout(deadline_s):
        while not wanted(seen := (await backend.observe()).get(repl_id)):
            await anext(changes)
        return seen


async def until_running(backend: Backend, repl_id: str) -> None:
    seen = await wait_until(backend, repl_id, lambda seen: seen is not None and seen.phase is not SandboxPhase.STARTING)
    assert seen is not None
    assert seen.phase is SandboxPhase.RUNNING, seen


class BackendContract:
    """`viewer` is what the gateway puts into the scope of every request to a runner."""

    def viewer(self) -> object:
        from runner.viewer import Viewer

        return Viewer(user_id="owner1", name="Owner", can_write=True)

    def client(self, app: ASGIApp | None) -> httpx.AsyncClient:
        """An HTTP client of a runner's app, as the gateway would call it."""
        assert app is not None
        viewer = self.viewer()

        async def with_viewer(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, "devex.viewer": viewer}, receive, send)

        return httpx.AsyncClient(transport=httpx.ASGITransport(app=with_viewer), base_url="http://runner")

    async def read(self, app: ASGIApp | None, path: str) -> bytes | None:
        async with self.client(app) as client:
            answer = await client.get(f"/files/{path}")
        return answer.content if answer.status_code == 200 else None

    async def started(self, backend: Backend, repl_id: str = "repl1", epoch: int = 1) -> None:
        await backend.ensure(make_spec(repl_id, epoch))
        await until_running(backend, repl_id)

    async def compute(self, backend: Backend, repl_id: str) -> None:
        """Programs in the sandbox use COMPUTE_S of CPU time."""
        script = f"import time\nwhile time.process_time() < {COMPUTE_S}: pass"
        async with self.client(backend.runner_app(repl_id)) as client:
            answer = await client.post("/exec", json={"command": f"python3 -c '{script}'"}, timeout=DEADLINE_S)
        assert answer.json()["exit_code"] == 0

    @pytest.fixture
    async def seeded(self, backend: Backend) -> Backend:
        await backend.seed("repl1", {"main.py": b"print(1)\n", "a/b/c.txt": b"deep"}, copy_of=None)
        return backend

    async def test_a_start_is_observed_until_it_runs(self, seeded: Backend) -> None:
        assert seeded.runner_app("repl1") is None
        await self.started(seeded)
        assert (await seeded.observe())["repl1"].epoch == 1
        async with self.client(seeded.runner_app("repl1")) as client:
            health = await client.get("/health")
        assert health.json()["agent"] is True

    async def test_tools_are_told(self, backend: Backend) -> None:
        assert backend.has_tool("bash")

    async def test_ensuring_twice_starts_once(self, seeded: Backend) -> None:
        await seeded.ensure(make_spec())
        await seeded.ensure(make_spec())
        await until_running(seeded, "repl1")
        await seeded.ensure(make_spec())
        assert (await seeded.observe())["repl1"].phase is SandboxPhase.RUNNING
        await seeded.stop("repl1", 1)
        assert "repl1" not in await seeded.observe()

    async def test_cpu_time_grows_when_programs_compute(self, seeded: Backend) -> None:
        assert await seeded.cpu_times() == {}
        await self.started(seeded)
        before_s = (await seeded.cpu_times())["repl1"]
        await self.compute(seeded, "repl1")
        assert (await seeded.cpu_times())["repl1"] - before_s > COMPUTE_S / 2  # counted in coarse ticks
        await seeded.stop("repl1", 1)
        assert await seeded.cpu_times() == {}

    async def test_after_a_stop_nothing_runs(self, seeded: Backend) -> None:
        await self.started(seeded)
        await seeded.stop("repl1", 1)
        assert "repl1" not in await seeded.observe()
        assert seeded.runner_app("repl1") is None

    async def test_stopping_during_the_start(self, seeded: Backend) -> None:
        await seeded.ensure(make_spec())
        await seeded.stop("repl1", 1)
        assert "repl1" not in await seeded.observe()

    async def test_stopping_what_does_not_run_is_no_error(self, seeded: Backend) -> None:
        await seeded.stop("repl1", 1)
        await seeded.stop("nothing", 1)

    async def test_a_stop_of_another_epoch_leaves_it_alone(self, seeded: Backend) -> None:
        await self.started(seeded, epoch=2)
        await seeded.stop("repl1", 1)
        assert (await seeded.observe())["repl1"].phase is SandboxPhase.RUNNING
        assert (await seeded.observe())["repl1"].epoch == 2

    async def test_a_stop_is_told_to_watchers(self, seeded: Backend) -> None:
        await self.started(seeded)
        changes = seeded.watch()
        await seeded.stop("repl1", 1)
        async with asyncio.timeout(DEADLINE_S):
            assert await anext(changes) == "repl1"

    async def test_it_starts_again_with_its_files_and_the_next_epoch(self, seeded: Backend) -> None:
        await self.started(seeded)
        async with self.client(seeded.runner_app("repl1")) as client:
            assert (await client.put("/files/new.txt", content=b"written")).status_code < 300
        await seeded.stop("repl1", 1)
        await self.started(seeded, epoch=2)
        assert await self.read(seeded.runner_app("repl1"), "new.txt") == b"written"
        assert (await seeded.observe())["repl1"].epoch == 2

    async def test_seeded_files_are_read_without_starting(self, seeded: Backend) -> None:
        assert await self.read(seeded.files_app("repl1", SIZE), "a/b/c.txt") == b"deep"
        assert await self.read(seeded.files_app("repl1", SIZE), "missing") is None

    async def test_seeding_again_makes_it_anew(self, seeded: Backend) -> None:
        await seeded.seed("repl1", {"other.py": b"2"}, copy_of=None)
        assert await self.read(seeded.files_app("repl1", SIZE), "other.py") == b"2"
        assert await self.read(seeded.files_app("repl1", SIZE), "main.py") is None

    async def test_a_copy_goes_its_own_way(self, seeded: Backend) -> None:
        await seeded.seed("repl2", {"main.py": b"over"}, copy_of="repl1")
        await seeded.delete_workspace("repl1")
        assert await self.read(seeded.files_app("repl2", SIZE), "a/b/c.txt") == b"deep"
        assert await self.read(seeded.files_app("repl2", SIZE), "main.py") == b"over"

    async def test_a_copy_of_a_version_has_its_files_and_no_sandbox(self, seeded: Backend) -> None:
        then = await seeded.save("repl1", 1, "by a test")
        await self.started(seeded)
        async with self.client(seeded.runner_app("repl1")) as client:
            await client.put("/files/main.py", content=b"changed")
            await client.put("/files/later.txt", content=b"later")
        newest = await seeded.save("repl1", 1, "by a test")
        await seeded.stop("repl1", 1)
        await seeded.seed("repl1", {}, copy_of="repl1", version=newest)  # laid out from its own, which stay
        assert await self.read(seeded.files_app("repl1", SIZE), "main.py") == b"changed"
        await seeded.seed("repl2", {"over.txt": b"over"}, copy_of="repl1", version=then)
        assert await seeded.observe() == {}
        app = seeded.files_app("repl2", SIZE)
        found = {path: await self.read(app, path) for path in ("main.py", "a/b/c.txt", "over.txt", "later.txt")}
        assert found == {"main.py": b"print(1)\n", "a/b/c.txt": b"deep", "over.txt": b"over", "later.txt": None}
        await self.started(seeded, "repl2")
        async with self.client(seeded.runner_app("repl2")) as client:
            assert (await client.put("/files/main.py", content=b"mine")).status_code < 300
        await seeded.delete_workspace("repl1")
        assert await seeded.save("repl2", 1, "by a test")

    async def test_a_version_that_is_gone_cannot_be_copied(self, seeded: Backend) -> None:
        await seeded.save("repl1", 1, "by a test")
        with pytest.raises(BackendError) as refused:
            await seeded.seed("repl2", {}, copy_of="repl1", version="1-99")
        assert not refused.value.retryable
        assert await self.read(seeded.files_app("repl2", SIZE), "main.py") is None

    async def test_what_runs_is_saved_with_what_was_written(self, seeded: Backend) -> None:
        await self.started(seeded)
        first = await seeded.save("repl1", 1, "by a test")
        assert await seeded.save("repl1", 1, "by a test") == first
        async with self.client(seeded.runner_app("repl1")) as client:
            await client.put("/files/main.py", content=b"changed")
        second = await seeded.save("repl1", 1, "by a test")
        assert second != first
        await seeded.stop("repl1", 1)
        assert await seeded.save("repl1", 1, "by a test") == second

    async def test_what_rests_is_saved(self, seeded: Backend) -> None:
        assert await seeded.save("repl1", 1, "by a test")

    async def test_saving_what_has_no_files_is_refused(self, backend: Backend) -> None:
        with pytest.raises(BackendError):
            await backend.save("nothing", 1, "by a test")

    async def test_thinning_out_leaves_what_was_saved_last(self, seeded: Backend) -> None:
        await seeded.collect("repl1", 1)
        version = await seeded.save("repl1", 1, "by a test")
        await seeded.collect("repl1", 1)
        await seeded.seed("repl2", {}, copy_of="repl1", version=version)
        assert await self.read(seeded.files_app("repl2", SIZE), "a/b/c.txt") == b"deep"

    async def test_a_running_one_is_copied_as_it_is_now(self, seeded: Backend) -> None:
        await self.started(seeded)
        async with self.client(seeded.runner_app("repl1")) as client:
            assert (await client.put("/files/main.py", content=b"now")).status_code < 300
        await seeded.seed("repl2", {}, copy_of="repl1")
        assert await self.read(seeded.files_app("repl2", SIZE), "main.py") == b"now"

    async def test_deleting_the_files_twice_is_no_error(self, seeded: Backend) -> None:
        await seeded.delete_workspace("repl1")
        await seeded.delete_workspace("repl1")
        assert await self.read(seeded.files_app("repl1", SIZE), "main.py") is None

    async def test_two_run_side_by_side(self, seeded: Backend) -> None:
        await seeded.seed("repl2", {"main.py": b"2"}, copy_of=None)
        await self.started(seeded, "repl1")
        await self.started(seeded, "repl2")
        await seeded.stop("repl1", 1)
        assert set(await seeded.observe()) == {"repl2"}
        assert await self.read(seeded.runner_app("repl2"), "main.py") == b"2"

    async def test_the_doctor_says_what_it_looked_at(self, backend: Backend) -> None:
        checks = await backend.doctor()
        assert checks
        assert all(check.name and check.detail for check in checks)
