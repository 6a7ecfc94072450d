"""The contract of backends, kept by pods; their two programs run, and the API server is one for tests."""

import asyncio
from dataclasses import replace

import pytest

from orchestrator.backends.base import Backend
from orchestrator.backends.kubernetes.cluster import Cluster, VolumeClaim
from orchestrator.domain import SandboxPhase
from runner.proxy.snapshots import FILES_OF_LOOKERS, ZIPS_OF_LOOKERS
from runner.snapshots.stores.s3 import S3Store
from tests.contracts.backend import DEADLINE_S, SIZE, BackendContract, wait_until
from tests.contracts.versions import viewers_leave_downloads
from tests.orchestrator.kubernetes.conftest import CLUSTER
from tests.orchestrator.kubernetes.kubelet import Kubelet


class TestContract(BackendContract):
    async def test_seeded_files_are_found_without_starting(self, seeded: Backend) -> None:
        async with self.client(seeded.files_app("repl1", SIZE)) as client:
            by_name = (await client.get("/find", params={"q": "c.t"})).json()
            by_text = (await client.get("/search", params={"q": "deep"})).json()
            assert (await client.get("/records")).json() == {"records": []}
        assert by_name == {"paths": ["a/b/c.txt"], "complete": True}
        assert [match["path"] for match in by_text["matches"]] == ["a/b/c.txt"]

    async def test_viewers_leave_downloads_of_what_rests_to_those_who_edit(self, seeded: Backend) -> None:
        version = await seeded.save("repl1", 1, "by a test")
        for address in (f"/snapshots/{version}/file?path=main.py", "/files/main.py"):
            await viewers_leave_downloads(lambda: seeded.files_app("repl1", SIZE), address, FILES_OF_LOOKERS)
        for address in (f"/snapshots/{version}/zip", "/zip"):
            await viewers_leave_downloads(lambda: seeded.files_app("repl1", SIZE), address, ZIPS_OF_LOOKERS)

    async def test_a_copy_says_what_it_lacks(self, seeded: Backend, store: S3Store) -> None:
        version = await seeded.save("repl1", 1, "by a test")
        await store.delete([one.key async for one in store.list("repl1/p/")])
        said = await seeded.seed("repl2", {}, copy_of="repl1", version=version)
        assert said is not None
        assert said.startswith(f"Not everything of version {version} is here as it was: “")
        assert said.endswith(" Look for it in other versions.")


class TestOnADiskOfItsOwn:
    @pytest.fixture
    def wishes(self) -> Cluster:
        return replace(CLUSTER, claim=VolumeClaim())

    async def test_it_begins_with_the_first_files_and_goes_on_with_what_no_version_has(
        self, backend: Backend, kubelet: Kubelet
    ) -> None:
        contract = BackendContract()
        await backend.seed("repl1", {"main.py": b"print(1)\n"}, copy_of=None)
        await contract.started(backend)
        async with asyncio.timeout(DEADLINE_S), contract.client(backend.runner_app("repl1")) as client:
            while (await client.get("/files/main.py")).content != b"print(1)\n":
                await asyncio.sleep(0.02)
            assert (await client.put("/files/unsaved.txt", content=b"on the disk")).status_code == 201
        (uid,) = kubelet.pods
        kubelet.evict(uid)
        await wait_until(backend, "repl1", lambda seen: seen is not None and seen.phase is SandboxPhase.FAILED)
        await backend.stop("repl1", 1)
        await contract.started(backend, epoch=2)
        assert await contract.read(backend.runner_app("repl1"), "unsaved.txt") == b"on the disk"
        await backend.stop("repl1", 2)
