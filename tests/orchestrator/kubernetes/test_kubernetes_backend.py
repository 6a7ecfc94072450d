"""The contract of backends, kept by pods; their two programs run, and the API server is one for tests."""

from orchestrator.backends.base import Backend
from runner.snapshots.stores.s3 import S3Store
from tests.contracts.backend import SIZE, BackendContract


class TestContract(BackendContract):
    async def test_seeded_files_are_found_without_starting(self, seeded: Backend) -> None:
        async with self.client(seeded.files_app("repl1", SIZE)) as client:
            by_name = (await client.get("/find", params={"q": "c.t"})).json()
            by_text = (await client.get("/search", params={"q": "deep"})).json()
        assert by_name == {"paths": ["a/b/c.txt"], "complete": True}
        assert [match["path"] for match in by_text["matches"]] == ["a/b/c.txt"]

    async def test_a_copy_says_what_it_lacks(self, seeded: Backend, store: S3Store) -> None:
        version = await seeded.save("repl1", 1, "by a test")
        await store.delete([one.key async for one in store.list("repl1/p/")])
        said = await seeded.seed("repl2", {}, copy_of="repl1", version=version)
        assert said is not None
        assert said.startswith(f"Not everything of version {version} is here as it was: “")
        assert said.endswith(" Look for it in other versions.")
