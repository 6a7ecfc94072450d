"""Real folders, a real store in a folder: whatever is done to a workspace, every version of it comes back."""

import asyncio
import os
import random
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runner.errors import DevexError
from runner.snapshots import compare, layout
from runner.snapshots.cache import Cache
from runner.snapshots.collect import collect
from runner.snapshots.compare import changes, changing
from runner.snapshots.history import History
from runner.snapshots.layout import CHUNK_BYTES, Commit, Name
from runner.snapshots.restore import restore
from runner.snapshots.stores.directory import DirectoryStore
from runner.snapshots.stores.store import Fenced, StoreError
from runner.snapshots.take import Label, take
from runner.snapshots.verify import verify
from runner.snapshots.writing import Restored
from runner.workspace import Workspace

NOW = datetime.now(UTC)
LONG_AGO_NS = 1_600_000_000_000_000_000


@dataclass
class Place:
    root: Path
    workspace: Workspace
    history: History
    cache: Cache

    async def take(self, message: str = "test", epoch: int = 1) -> Commit:
        return await take(self.workspace, self.history, self.cache, Label(epoch=epoch, author="ada", message=message))

    async def restore(self, version: str, path: str = "") -> Restored:
        now = await self.history.open((await self.take()).version)
        return await restore(self.workspace, await self.history.open(version), now, path)


@asynccontextmanager
async def a_place(folder: Path) -> AsyncIterator[Place]:
    root = folder / "workspace"
    root.mkdir()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(DirectoryStore(folder / "store"))
        workspace = stack.enter_context(Workspace(root))
        cache = stack.enter_context(Cache(folder / "cache.db"))
        yield Place(root, workspace, History(store, "r1"), cache)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with a_place(tmp_path) as place:
        yield place


def picture(root: Path) -> dict[bytes, tuple[object, ...]]:
    """Everything a version promises to bring back."""
    found: dict[bytes, tuple[object, ...]] = {}
    for folder, folders, files in os.walk(os.fsencode(root)):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            status = os.lstat(path)
            key = os.path.relpath(path, os.fsencode(root))
            if stat.S_ISLNK(status.st_mode):
                found[key] = ("link", os.readlink(path))
            elif stat.S_ISDIR(status.st_mode):
                found[key] = ("folder", stat.S_IMODE(status.st_mode))
            else:
                with open(path, "rb") as file:
                    found[key] = ("file", stat.S_IMODE(status.st_mode), status.st_mtime_ns, file.read())
    return found


async def restored_elsewhere(place: Place, version: str, folder: Path) -> dict[bytes, tuple[object, ...]]:
    folder.mkdir()
    with Workspace(folder) as workspace:
        done = await restore(workspace, await place.history.open(version), None)
        assert done.notes == []
    return picture(folder)


names = st.sampled_from([b"a", b"b", b"c.txt", b"\xff\xfe", "é😀".encode(), b" new\nline", b"-rf"])
paths = st.lists(names, min_size=1, max_size=3).map(b"/".join)
steps = st.one_of(
    st.tuples(st.just("write"), paths, st.binary(max_size=200), st.sampled_from([0o644, 0o755, 0o600, 0o444])),
    st.tuples(st.just("folder"), paths, st.sampled_from([0o755, 0o700, 0o555])),
    st.tuples(st.just("link"), paths, st.sampled_from([b"a", b"..", b"/etc/passwd", b"no where", b"\xff"])),
    st.tuples(st.just("remove"), paths),
    st.tuples(st.just("take")),
    st.tuples(st.just("restore"), st.integers(0, 10)),
    st.tuples(st.just("collect")),
)


def do(root: Path, step: tuple[object, ...]) -> None:
    """What a program may do; what the file system refuses is not done."""
    verb, path, *rest = step
    assert isinstance(path, bytes)
    whole = os.path.join(os.fsencode(root), path)
    try:
        match verb:
            case "write":
                os.makedirs(os.path.dirname(whole), exist_ok=True)
                with open(whole, "wb") as file:
                    file.write(rest[0])  # type: ignore[arg-type]
                os.chmod(whole, rest[1])  # type: ignore[arg-type]
            case "folder":
                os.makedirs(whole, exist_ok=True)
                os.chmod(whole, rest[0])  # type: ignore[arg-type]
            case "link":
                os.symlink(rest[0], whole)  # type: ignore[arg-type]
            case "remove":
                if os.path.isdir(whole) and not os.path.islink(whole):
                    os.rmdir(whole)
                else:
                    os.unlink(whole)
    except OSError:
        return


def inside(root: Path, step: tuple[object, ...]) -> bool:
    """Writing through a link would leave the workspace."""
    path = os.fsencode(root)
    for name in bytes(step[1]).split(b"/"):  # type: ignore[call-overload]
        path = os.path.join(path, name)
        if os.path.islink(path):
            return step[0] == "remove" and path.endswith(bytes(step[1]))  # type: ignore[call-overload]
    return True


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, min_size=3, max_size=25))
async def test_every_version_comes_back_whatever_was_done(script: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with a_place(Path(folder)) as place:
            taken: dict[str, dict[bytes, tuple[object, ...]]] = {}
            for step in script:
                match step[0]:
                    case "take":
                        taken[(await place.take()).version] = picture(place.root)
                    case "restore" if taken:
                        version = sorted(taken)[int(step[1]) % len(taken)]  # type: ignore[call-overload]
                        done = await place.restore(version)
                        assert done.notes == []
                        assert picture(place.root) == taken[version]
                    case "collect":
                        await collect(place.history, place.cache, 1, NOW, young=timedelta(0))
                    case "write" | "folder" | "link" | "remove" if inside(place.root, step):
                        do(place.root, step)
            alive = await place.history.versions()
            for number, version in enumerate(sorted(taken.keys() & set(alive))):
                again = await restored_elsewhere(place, version, Path(folder) / f"again{number}")
                assert again == taken[version]
            assert (await verify(place.history)).problems == []


async def test_nothing_changed_means_no_new_version(place: Place) -> None:
    (place.root / "a").write_text("one")
    first = await place.take()
    assert (await place.take()).version == first.version == "1-1"
    (place.root / "a").write_text("two")
    assert (await place.take()).version == "1-2"


async def test_a_change_within_one_tick_of_the_clock_is_seen(place: Place) -> None:
    """Same size, same time of modification, and a cache that knows the file."""
    path = place.root / "a"
    for text in ("one", "two", "six"):
        path.write_text(text)
        os.utime(path, ns=(LONG_AGO_NS, LONG_AGO_NS))
        version = (await place.take()).version
        assert await (await place.history.open(version)).read("a", 10) == text.encode()


async def test_a_lost_or_broken_cache_costs_nothing_but_time(place: Place, tmp_path: Path) -> None:
    (place.root / "a").write_text("one")
    first = await place.take()
    other = tmp_path / "other.db"
    other.write_bytes(b"this is no database" * 100)
    with Cache(other) as cache:
        again = await take(place.workspace, place.history, cache, Label(epoch=1, author="ada", message=""))
        assert again.version == first.version
        (place.root / "b").write_text("two")
        more = await take(place.workspace, place.history, cache, Label(epoch=1, author="ada", message=""))
    assert more.version == "1-2"
    assert (await verify(place.history)).problems == []


async def test_an_outdated_writer_writes_nothing(place: Place) -> None:
    (place.root / "a").write_text("one")
    await place.take(epoch=2)
    (place.root / "a").write_text("two")
    with pytest.raises(Fenced):
        await place.take(epoch=1)
    assert await place.history.versions() == ["2-1"]
    assert (await place.take(epoch=3)).version == "3-2"


async def test_large_and_sparse_files(place: Place, tmp_path: Path) -> None:
    large = os.urandom(CHUNK_BYTES * 2 + 17)
    (place.root / "large").write_bytes(large)
    with open(place.root / "sparse", "wb") as file:
        file.truncate(40 * CHUNK_BYTES)
        file.seek(20 * CHUNK_BYTES + 5)
        file.write(b"in the middle")
    (place.root / "empty").touch()
    before = picture(place.root)
    commit = await place.take()
    assert await restored_elsewhere(place, commit.version, tmp_path / "again") == before
    assert (tmp_path / "again" / "sparse").stat().st_blocks * 512 <= 2 * CHUNK_BYTES


async def test_what_no_version_holds_is_named(place: Place) -> None:
    os.mkfifo(place.root / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place.root / "socket"))
    (place.root / "a").write_text("one")
    commit = await place.take()
    assert {path for path, _ in commit.notes} == {"pipe", "socket"}
    assert commit.files == 1


@pytest.mark.timeout(120)
async def test_files_of_small_holes_are_named_not_read_for_ever(place: Place) -> None:
    """12 MiB on the disk that pretend to be 12 GiB of data."""
    for number in range(4):
        with (place.root / f"hollow{number}").open("wb") as file:
            file.truncate(3 << 30)
            for offset in range(0, 3 << 30, CHUNK_BYTES):
                os.pwrite(file.fileno(), b"%d" % offset, offset)
    (place.root / "z").write_bytes(b"data")
    commit = await place.take()
    assert {path for path, _ in commit.notes} == {f"hollow{number}" for number in range(4)}
    version = await place.history.open(commit.version)
    assert await version.read("z", 100) == b"data"


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


async def test_too_deep_a_folder_is_named(place: Place) -> None:
    deep = place.root
    for _ in range(80):
        deep /= "d"
    deep.mkdir(parents=True)
    (place.root / "a").write_text("one")
    commit = await place.take()
    assert commit.files == 1
    assert [why for _, why in commit.notes if "deep" in why]


async def test_what_tools_make_again_is_left_out_unless_asked_for(place: Place) -> None:
    for name in ("node_modules/x/index.js", "src/__pycache__/a.pyc", ".git/config", "secret.key", "keep.log"):
        (place.root / name).parent.mkdir(parents=True, exist_ok=True)
        (place.root / name).write_text(name)
    version = await place.history.open((await place.take()).version)
    assert {path async for path, row in version.walk() if row.kind == "f"} == {".git/config", "secret.key", "keep.log"}
    (place.root / ".devexignore").write_text("*.key\n!node_modules/\n")
    version = await place.history.open((await place.take()).version)
    files = {path async for path, row in version.walk() if row.kind == "f"}
    assert files == {".git/config", "keep.log", "node_modules/x/index.js", ".devexignore"}


@pytest.mark.parametrize(
    ("pattern", "left_out", "kept"),
    [
        ("*a*b*c", {"abc", "xaxbxc", "d/abcc", "aabbc"}, {"acb", "abcd", "cba", "d/acb"}),
        ("a*", {"a", "ab", "d/ax"}, {"ba", "d/ba"}),
        ("*.test.*", {"x.test.py", "d/.test."}, {"test.py", "x.tests.py"}),
        ("**/d/**/*.[oa]", {"d/x.o", "d/e/f/x.a", "e/d/x.o"}, {"x.o", "d/x.c", "e/x.a"}),
        ("d/*/*f*", {"d/e/xfx"}, {"d/f", "e/d/e/f"}),
        ("[z-a]", set(), {"z", "a"}),
    ],
)
async def test_patterns_mean_what_they_mean_to_git(
    place: Place, pattern: str, left_out: set[str], kept: set[str]
) -> None:
    for name in left_out | kept:
        (place.root / name).parent.mkdir(parents=True, exist_ok=True)
        (place.root / name).touch()
    (place.root / ".devexignore").write_text(pattern)
    version = await place.history.open((await place.take()).version)
    assert {path async for path, row in version.walk() if row.kind == "f"} == kept | {".devexignore"}


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text", ["*a" * 30 + "*b", "/".join(["*a*a*a*a*b"] * 12), "/".join(["**/a"] * 30) + "/b", "*a*a*b\n" * 9000]
)
async def test_no_pattern_holds_up_the_process_that_saves_everybody(place: Place, text: str) -> None:
    (place.root / ".devexignore").write_text(text)
    deep = place.root / "/".join(["a" * 250] * 12)
    deep.mkdir(parents=True)
    (place.root / "/".join(["a"] * 60)).mkdir(parents=True)
    for number in range(200):
        (deep / f"{number:03}{'a' * 240}").touch()
    assert (await place.take()).files == 201


async def test_restoring_leaves_alone_what_no_version_has(place: Place) -> None:
    (place.root / "app" / "node_modules").mkdir(parents=True)
    (place.root / "app" / "node_modules" / "x").write_text("installed")
    empty = await place.take()
    (place.root / "app" / "main.js").write_text("new")
    done = await place.restore(empty.version)
    assert done.removed == 1
    assert picture(place.root).keys() == {b"app", b"app/node_modules", b"app/node_modules/x"}


async def test_one_file_or_folder_is_restored(place: Place) -> None:
    (place.root / "a").mkdir()
    for name in ("a/one", "a/two", "three"):
        (place.root / name).write_text("old")
    first = await place.take()
    for name in ("a/one", "a/two", "three"):
        (place.root / name).write_text("new")
    await place.restore(first.version, "a/one")
    assert [(place.root / name).read_text() for name in ("a/one", "a/two", "three")] == ["old", "new", "new"]
    await place.restore(first.version, "a")
    assert [(place.root / name).read_text() for name in ("a/one", "a/two", "three")] == ["old", "old", "new"]
    (place.root / "a" / "one").unlink()
    (place.root / "a" / "two").unlink()
    (place.root / "a").rmdir()
    await place.restore(first.version, "a/two")
    assert (place.root / "a" / "two").read_text() == "old"


async def test_what_changed_after_the_picture_was_taken_is_not_overwritten(place: Place) -> None:
    for name in ("edited", "deleted", "untouched"):
        (place.root / name).write_text("old")
    first = await place.take()
    for name in ("edited", "deleted", "untouched", "added"):
        (place.root / name).write_text("new")
    now = await place.history.open((await place.take()).version)
    (place.root / "edited").write_text("newest")
    (place.root / "deleted").unlink()
    (place.root / "added").write_text("newest")
    done = await restore(place.workspace, await place.history.open(first.version), now)
    assert {path for path, _ in done.notes} >= {"edited", "added"}
    assert (place.root / "edited").read_text() == (place.root / "added").read_text() == "newest"
    assert (place.root / "untouched").read_text() == "old"


async def test_a_restore_that_was_cut_off_goes_on(place: Place, tmp_path: Path) -> None:
    for number in range(20):
        (place.root / f"f{number}").write_text(f"text {number}")
    version = await place.history.open((await place.take()).version)
    target = tmp_path / "target"
    target.mkdir()
    (target / "f3").write_text("text 3")
    with Workspace(target) as workspace:
        done = await restore(workspace, version, None)
        assert done.notes == []
    assert picture(target) == picture(place.root)


async def test_differences(place: Place) -> None:
    (place.root / "d").mkdir()
    for name in ("same", "changed", "gone", "d/gone", "kind"):
        (place.root / name).write_text("old")
    first = await place.history.open((await place.take()).version)
    (place.root / "changed").write_text("newer")
    (place.root / "gone").unlink()
    (place.root / "d" / "gone").unlink()
    (place.root / "d").rmdir()
    (place.root / "kind").unlink()
    (place.root / "kind").mkdir()
    (place.root / "kind" / "new").write_text("new")
    second = await place.history.open((await place.take()).version)
    found = {path: (a and a.kind, b and b.kind) async for path, a, b in changes(first, second)}
    assert found == {
        "changed": ("f", "f"),
        "gone": ("f", None),
        "d": ("d", None),
        "d/gone": ("f", None),
        "kind": ("f", "d"),
        "kind/new": (None, "f"),
    }


async def test_old_versions_go_and_what_is_left_stays_whole(place: Place) -> None:
    """Packs of which little is alive are written anew, also for older versions that are kept."""
    for number in range(40):
        (place.root / f"f{number}").write_bytes(os.urandom(40_000))
    first = await place.take()
    for round_ in range(5):
        for number in range(round_, 40):
            (place.root / f"f{number}").write_bytes(os.urandom(40_000))
        await place.take()
    before = sum(one.size_bytes for one in await place.history.objects(""))
    collected = await collect(place.history, place.cache, 1, NOW + timedelta(days=60), young=timedelta(0))
    after = sum(one.size_bytes for one in await place.history.objects(""))
    assert collected.versions == 5
    assert after < before / 3
    assert (await verify(place.history)).problems == []
    assert first.version not in await place.history.versions()
    (place.root / "f0").write_text("and it goes on")
    await place.take()
    assert (await verify(place.history)).problems == []


async def test_named_versions_stay(place: Place) -> None:
    from runner.snapshots.layout import Name

    (place.root / "a").write_text("release")
    named = await place.take()
    await place.history.set_name(named.version, Name(name="1.0", author="ada", at=NOW.isoformat()))
    for text in ("two", "three"):
        (place.root / "a").write_text(text)
        await place.take()
    await collect(place.history, place.cache, 1, NOW + timedelta(days=60), young=timedelta(0))
    assert named.version in await place.history.versions()
    assert (await place.history.names())[named.version].name == "1.0"
    assert await (await place.history.open(named.version)).read("a", 100) == b"release"
    await place.history.set_name(named.version, None)
    await collect(place.history, place.cache, 1, NOW + timedelta(days=60), young=timedelta(0))
    assert named.version not in await place.history.versions()


class Broken(DirectoryStore):
    """Does nothing of one kind any more."""

    breaks = ""

    async def create(self, key: str, data: bytes) -> None:
        if self.breaks == "create":
            raise StoreError("It broke.", retryable=False)
        await super().create(key, data)

    async def delete(self, keys: Sequence[str]) -> None:
        if self.breaks == "delete":
            raise StoreError("It broke.", retryable=False)
        await super().delete(keys)


@pytest.mark.parametrize(("breaks", "left"), [("create", "1.0"), ("delete", "2.0")])
async def test_a_rename_that_is_cut_off_loses_no_name(place: Place, tmp_path: Path, breaks: str, left: str) -> None:
    (place.root / "a").write_text("release")
    version = (await place.take()).version
    async with Broken(tmp_path / "store") as store:
        history = History(store, place.history.prefix)
        await history.set_name(version, Name(name="1.0", author="ada", at="2026-01-01T00:00:00.000+00:00"))
        store.breaks = breaks
        with pytest.raises(StoreError):
            await history.set_name(version, Name(name="2.0", author="ada", at="2026-01-01T00:00:00.001+00:00"))
        assert (await history.names())[version].name == left
        assert await history.named() == {version}
        store.breaks = ""
        await history.set_name(version, Name(name="3.0", author="ada", at="2026-01-01T00:00:00.002+00:00"))
        assert {one: name.name for one, name in (await history.names()).items()} == {version: "3.0"}
        await history.set_name(version, None)
        assert await history.named() == set()


async def test_a_hole_of_one_chunk_takes_no_room(place: Place, tmp_path: Path) -> None:
    """A hundred thousand of them would fill a disk of which they count for nothing."""
    with (place.root / "hole").open("wb") as file:
        file.truncate(layout.CHUNK_BYTES)
    version = (await place.take()).version
    assert await restored_elsewhere(place, version, tmp_path / "again") == picture(place.root)
    assert (tmp_path / "again" / "hole").stat().st_blocks == 0


async def test_what_is_young_is_not_collected(place: Place) -> None:
    """It may be of a snapshot that is on its way."""
    (place.root / "a").write_text("one")
    await place.take()
    await place.history.store.create("r1/p/" + "0" * 40, b"on its way")
    await collect(place.history, place.cache, 1, datetime.now(UTC))
    assert await place.history.store.get("r1/p/" + "0" * 40) == b"on its way"


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


async def test_versions_that_changed_one_path_are_found_among_many(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compare, "LOOKED_AT", 4)
    (place.root / "sub").mkdir()
    wanted: list[str] = []
    for number in range(10):
        (place.root / "other").write_text(str(number))
        if number in (2, 7):
            (place.root / "sub" / "file").write_text(str(number))
        if number == 8:
            (place.root / "sub" / "file").unlink()
        version = (await place.take()).version
        if number in (2, 7, 8):
            wanted.insert(0, version)
    versions = await place.history.versions()
    found: list[str] = []
    left: list[str] = versions
    while True:
        commits, last = await changing(place.history, left, "sub/file", 2)
        found += [commit.version for commit in commits]
        if last is None:
            break
        left = versions[versions.index(last) + 1 :]
    assert found == wanted
    assert await changing(place.history, versions, "nowhere/at/all", 2) == ([], versions[3])
    assert await changing(place.history, [], "sub/file", 2) == ([], None)


async def test_versions_that_changed_a_path_are_found_after_what_was_packed_anew(place: Place) -> None:
    (place.root / "file").write_text("one")
    first = await place.take()
    await place.history.set_name(first.version, Name(name="kept", author="ada", at=NOW.isoformat()))
    for number in range(30):
        (place.root / "other").write_text(str(number))
        await place.take()
    await collect(place.history, place.cache, 1, NOW + timedelta(days=60))
    (place.root / "file").write_text("two")
    last = await place.take()
    commits, _ = await changing(place.history, await place.history.versions(), "file", 10)
    assert [commit.version for commit in commits] == [last.version, first.version]


class Withheld(DirectoryStore):
    """Gives no part of objects above `most_bytes` before `go` is set."""

    def __init__(self, root: Path, most_bytes: int) -> None:
        super().__init__(root)
        self.go = asyncio.Event()
        self._most_bytes = most_bytes

    async def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        found = await super().get(key, start, length)
        if len(found) > self._most_bytes:
            await self.go.wait()
        return found


async def test_folders_and_what_an_editor_opens_come_before_large_files(tmp_path: Path) -> None:
    """So that there is something to work with while gigabytes are on their way."""
    root, again = tmp_path / "workspace", tmp_path / "again"
    (root / "folder").mkdir(parents=True)
    again.mkdir()
    chance = random.Random(1)
    (root / "a-large").write_bytes(chance.randbytes(9_000_000))
    (root / "folder" / "z.txt").write_text("text")
    (root / "z.txt").write_text("text")
    async with Withheld(tmp_path / "store", 1 << 20) as store:
        history = History(store, "r1")
        with Workspace(root) as workspace, Cache(None) as cache:
            taken = await take(workspace, history, cache, Label(epoch=1, author="ada", message=""))
        with Workspace(again) as workspace:
            restoring = asyncio.create_task(restore(workspace, await history.open(taken.version), None))
            async with asyncio.timeout(30):
                while not (again / "folder" / "z.txt").exists() or not (again / "z.txt").exists():
                    await asyncio.sleep(0.01)
            assert not (again / "a-large").exists()
            assert not restoring.done()
            store.go.set()
            assert (await restoring).notes == []
    assert (again / "a-large").read_bytes() == (root / "a-large").read_bytes()
