"""Reading everything again finds what was changed in the store, or made up."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from runner.errors import DevexError
from runner.snapshots import layout
from runner.snapshots.verify import verify
from tests.runner.snapshots.place import Place


async def test_a_size_that_is_not_the_contents_is_damage(place: Place) -> None:
    """Somebody's bundle may say so: the room for what is restored is judged by it."""
    (place.root / "a").write_bytes(b"data")
    commit = await place.take()
    version = await place.history.open(commit.version)
    row = await version.find("a")
    tree = layout.tree_bytes([row._replace(size_bytes=0, content=row.content * 1000)])
    pack = layout.compressed(tree)
    key, root = layout.pack_key("t", pack), layout.digest_of(tree)
    part = layout.index_bytes([(root, layout.Place(key, 0, len(pack), len(tree)))])
    index = (*commit.index, layout.digest_of(part))
    lying = replace(commit, seq=commit.seq + 1, root=(root,), index=index)
    for name, data in (
        (key, pack),
        (layout.index_key(index[-1]), part),
        (layout.commit_key(lying.version), layout.commit_bytes(lying)),
    ):
        await place.history.store.create(place.history.key(name), data)
    found = await verify(place.history)
    assert (found.versions, len(found.problems)) == (1, 1)


async def test_damage_is_found(place: Place, tmp_path: Path) -> None:
    (place.root / "a").write_bytes(os.urandom(1000))
    commit = await place.take()
    (pack,) = (tmp_path / "store" / "r1" / "p").iterdir()
    data = bytearray(pack.read_bytes())
    data[500] ^= 1
    pack.write_bytes(data)
    found = await verify(place.history)
    assert len(found.problems) == 2
    assert pack.name in found.problems[0]
    assert found.problems[1] == f"“a” of version {commit.version} cannot be brought back."
    with pytest.raises(DevexError) as raised:
        await (await place.history.open(commit.version)).read("a", 10_000)
    assert raised.value.code == "damaged"
