"""A worker without credentials, whose server has what it stores signed; and what an outdated one may not do."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from runner.snapshots import layout
from runner.snapshots.snapshots import Shelf, Snapshots
from runner.snapshots.stores import signing
from runner.snapshots.stores.asking import answered
from runner.snapshots.stores.s3 import S3Store
from runner.snapshots.stores.signed import Get, Put
from runner.snapshots.stores.signing import OBJECT_BYTES, S3Signer
from runner.snapshots.stores.store import Fenced, StoreError
from runner.snapshots.worker.workers import Workers
from tests.runner.snapshots.shelf import a_shelf
from tests.stores import Server

DIGEST = bytes(32)


def signed(folder: Path, epoch: int) -> Shelf:
    return replace(a_shelf(folder, epoch=epoch), store={"signed": {"ca_file": None}})


async def test_a_worker_takes_and_restores_by_signatures(moto_server: Server, tmp_path: Path) -> None:
    async with (
        S3Store(moto_server.config()) as own,
        Workers(answer=partial(answered, S3Signer(own, "r1/", 3))) as workers,
    ):
        snapshots = Snapshots(workers, signed(tmp_path, 3))
        path = tmp_path / "workspace" / "a.txt"
        path.write_text("one")
        first = await snapshots.take("ada", "")
        path.write_text("two")
        await snapshots.take("ada", "")
        await snapshots.restore(first["version"], "", "ada")
        assert path.read_text() == "one"
        assert (await snapshots.verify())["problems"] == []
        outdated = Snapshots(workers, signed(tmp_path, 2))
        path.write_text("three")
        with pytest.raises(Fenced):
            await outdated.take("ada", "")


async def test_no_more_is_signed_than_a_history_has_room_for(
    moto_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with S3Store(moto_server.config()) as own:
        await own.create("r1/p/0", b"what is there already")
        await own.create("r2/p/0", b"another one's")
        signer = S3Signer(own, "r1/", 5, room_bytes=4 * OBJECT_BYTES)
        for number in range(3):
            await signer.sign(Put(f"r1/p/1{number}", 1, DIGEST))
        with pytest.raises(StoreError, match="as much of this REPL as it may"):
            await signer.sign(Put("r1/p/13", 1, DIGEST))
        await signer.sign(Get("r1/p/0"))
        monkeypatch.setattr(signing, "COUNTED_S", 0.0)  # later: nothing of it was stored
        await signer.sign(Put("r1/p/13", 3 * OBJECT_BYTES, DIGEST))
        await own.create("r1/p/13", bytes(3 * OBJECT_BYTES))
        with pytest.raises(StoreError, match="as much of this REPL as it may"):
            await signer.sign(Put("r1/p/14", 1, DIGEST))
        await signer.delete(["r1/p/13"])
        await signer.sign(Put("r1/p/14", 1, DIGEST))


async def test_without_a_signer_it_says_so(tmp_path: Path) -> None:
    async with Workers() as workers:
        with pytest.raises(StoreError, match="Nobody signs here"):
            await Snapshots(workers, signed(tmp_path, 1)).head()


async def test_no_commit_of_another_epoch_is_signed(moto_server: Server) -> None:
    async with S3Store(moto_server.config()) as own:
        signer = S3Signer(own, "r1/", 5)
        key = "r1/{}".format
        await signer.sign(Put(key(layout.commit_key("5-1")), 10, DIGEST))
        await signer.sign(Put(key("p/00"), 10, DIGEST))
        await signer.sign(Get(key(layout.commit_key("6-1"))))
        await signer.delete([key(layout.commit_key("4-1"))])
        for other in ("4-1", "6-1"):
            with pytest.raises(StoreError, match="does not sign"):
                await signer.sign(Put(key(layout.commit_key(other)), 10, DIGEST))
        with pytest.raises(StoreError, match="does not sign"):
            await signer.delete([key(layout.commit_key("6-1"))])
        with pytest.raises(StoreError, match="does not sign"):
            await signer.sign(Put(key("c/nonsense"), 10, DIGEST))


async def test_who_is_outdated_commits_nothing_and_deletes_nothing_that_a_newer_one_may_name(
    moto_server: Server,
) -> None:
    async with S3Store(moto_server.config()) as own:
        signer = S3Signer(own, "r1/", 5)
        key = "r1/{}".format
        for name in ("p/00", "p/01", layout.commit_key("4-1"), layout.commit_key("5-2")):
            await own.create(key(name), b"")
        await signer.delete([key("p/00")])
        await own.create(key(layout.commit_key("6-3")), b"")
        older = layout.commit_key("4-1")  # of the history that the newer one goes on with
        for names in (["p/01"], ["n/4-1"], [older], [layout.commit_key("5-2"), older], [older, "p/01"]):
            with pytest.raises(StoreError, match="does not sign"):
                await signer.delete(list(map(key, names)))
        with pytest.raises(StoreError, match="does not sign"):
            await signer.sign(Put(key(layout.commit_key("5-4")), 10, DIGEST))
        await signer.delete([key(layout.commit_key("5-2"))])  # its own, which came too late
        left = [found.key async for found in own.list("r1/")]
        assert left == [key(layout.commit_key("6-3")), key(layout.commit_key("4-1")), key("p/01")]
