"""The contract on S3 (moto keeps conditions, rclone does not), with credentials and with signatures."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from runner.snapshots.stores.asking import FarSigner, Message, answered
from runner.snapshots.stores.opening import spec_of, store_of
from runner.snapshots.stores.s3 import S3Store
from runner.snapshots.stores.signed import SignedStore
from runner.snapshots.stores.signing import S3Signer
from runner.snapshots.stores.store import Store, StoreError
from tests.contracts.store import StoreContract, keys
from tests.stores import BUCKET, Server, rclone


class TestMoto(StoreContract):
    @pytest.fixture
    async def store(self, moto_server: Server) -> AsyncIterator[Store]:
        async with S3Store(moto_server.config()) as store:
            yield store


class TestRclone(StoreContract):
    is_conditional = False

    @pytest.fixture
    async def store(self, rclone_server: Server) -> AsyncIterator[Store]:
        async with S3Store(rclone_server.config()) as store:
            yield store


async def test_more_than_a_page(tmp_path: Path) -> None:
    """Of a server of its own: what is put into its folder behind its back would be found late."""
    with rclone(tmp_path) as server:
        folder = tmp_path / "served" / BUCKET / "many" / "p"
        folder.mkdir(parents=True)
        names = sorted(str(number) for number in range(2_100))
        for name in names:
            (folder / name).write_bytes(b"1")
        (folder / "of somebody else").write_bytes(b"")
        async with S3Store(server.config(prefix="many/")) as store:
            assert await keys(store, "p/") == [f"p/{name}" for name in names]
            assert await keys(store, "p/", 1_500) == [f"p/{name}" for name in names[:1_500]]
            await store.delete([f"p/{name}" for name in names])
            assert await keys(store) == []


class TestSignedMoto(StoreContract):
    @pytest.fixture
    async def store(self, moto_server: Server) -> AsyncIterator[Store]:
        async with S3Store(moto_server.config()) as own, SignedStore(S3Signer(own, "")) as store:
            yield store


async def question(signer: S3Signer, asked: Message) -> Message:
    """Over a connection that carries JSON."""
    answer: Message = json.loads(json.dumps(await answered(signer, json.loads(json.dumps(asked)))))
    return answer


class TestSignedRclone(StoreContract):
    is_conditional = False

    @pytest.fixture
    async def store(self, rclone_server: Server) -> AsyncIterator[Store]:
        async with (
            S3Store(rclone_server.config()) as own,
            store_of({"signed": {"ca_file": None}}, partial(question, S3Signer(own, ""))) as store,
        ):
            yield store


async def test_a_far_signer_refuses_in_words(rclone_server: Server) -> None:
    async with S3Store(rclone_server.config()) as own:
        signer = S3Signer(own, "repl1/")
        far = FarSigner(partial(question, signer))
        with pytest.raises(StoreError, match="does not sign this") as told:
            await far.delete(["repl2/c/1"])
        assert not told.value.retryable
        for asked in (
            {},
            {"get": 1},
            {"get": "repl1/../repl2/c/1"},
            {"put": "repl1/c/1", "size": "1", "sha256": "00" * 32},
            {"put": "repl1/c/1", "size": 1, "sha256": "no digits"},
            {"page": "repl1/", "after": 1, "limit": 1},
            {"delete": ["repl1/c/1", 1]},
            {"delete": "repl1/c/1"},
            {"sign": {"get": "repl1/c/1"}},
        ):
            error = (await question(signer, asked))["error"]
            assert error["message"] == "The control plane does not understand this."


@pytest.mark.parametrize("kind", ["directory", "s3"])
async def test_a_store_from_plain_data(kind: str, tmp_path: Path, moto_server: Server) -> None:
    spec = spec_of(tmp_path if kind == "directory" else moto_server.config())
    for _ in range(2):
        async with store_of(json.loads(json.dumps(spec))) as store:
            await store.create("c/1", b"1")
            assert await keys(store) == ["c/1"]


def test_the_library_of_s3_is_imported_when_it_is_needed() -> None:
    code = "import sys; from runner.snapshots.stores import opening, signing; print('botocore' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout == "False\n", ran.stderr
