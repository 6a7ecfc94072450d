"""Which uids sandboxes have: their own, whatever else runs on this machine."""

import asyncio
import os
import sys
from pathlib import Path
from threading import Event

import pytest

from orchestrator.backends.base import BackendError
from orchestrator.backends.local import uids
from orchestrator.backends.local.backend import LocalBackend
from orchestrator.backends.local.launcher.processes import kernel_uids
from orchestrator.backends.local.layout import Layout
from orchestrator.backends.local.workspaces import Workspaces
from tests.orchestrator.local.conftest import GRACE_S, start_box

ROOT = os.geteuid() == 0
NEVER = Event()
CLAIM = "import sys; from pathlib import Path; from orchestrator.backends.local import layout, uids"
HOLD = f"{CLAIM}; print(uids.claim(layout.Layout(*map(Path, sys.argv[1:]))).start, flush=True); sys.stdin.read()"


@pytest.fixture
def places(tmp_path: Path) -> list[Layout]:
    """Of two installations on a machine of their own."""
    made = [Layout(tmp_path / name, tmp_path / f"run-{name}") for name in ("a", "b")]
    for place in made:
        place.make()
    return made


async def claimed(place: Layout) -> tuple[asyncio.subprocess.Process, int]:
    """Another process claims, until it is killed."""
    command = (sys.executable, "-c", HOLD, str(place.data), str(place.runtime))
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env={"PYTHONPATH": os.getcwd()}
    )
    assert process.stdout
    return process, int(await process.stdout.readline())


async def test_installations_that_run_share_none_and_keep_theirs(places: list[Layout]) -> None:
    a, b = places
    first, of_a = await claimed(a)
    second, of_b = await claimed(b)
    assert abs(of_a - of_b) >= uids.UIDS if ROOT else of_a == of_b == os.geteuid()
    for process in (first, second):
        process.kill()
        await process.wait()
    third, again = await claimed(b)
    assert again == of_b, "though the first range is free now"
    (a.data / "uids").write_text(str(of_b))  # as after a copy of the other's data
    fourth, other = await claimed(a)
    assert other != of_b or not ROOT
    for process in (third, fourth):
        process.kill()
        await process.wait()


@pytest.mark.parametrize("note", ["", "0", "-1", "200001", "nonsense", str(1 << 40)])
def test_a_note_that_makes_no_sense_is_ignored(places: list[Layout], note: str) -> None:
    (places[0].data / "uids").write_text(note)
    candidates = uids._candidates(places[0].data / "uids")
    assert next(iter(candidates)) == uids.FIRST_UID


async def test_two_servers_side_by_side_have_different_uids(tmp_path: Path) -> None:
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    async with (
        LocalBackend(tmp_path / "a", grace_s=GRACE_S, keep_on_exit=False) as one,
        LocalBackend(tmp_path / "b", grace_s=GRACE_S, keep_on_exit=False) as other,
    ):
        for backend, data in ((one, tmp_path / "a"), (other, tmp_path / "b")):
            box = await start_box(backend, data)
            found.append(kernel_uids(await box.first_pid()))
    assert found[0].isdisjoint(found[1]) if ROOT else found[0] == found[1]


def test_a_uid_is_given_again_only_when_nothing_has_it(places: list[Layout]) -> None:
    workspaces = Workspaces(places[0])
    workspaces.uids = range(uids.FIRST_UID, uids.FIRST_UID + 4) if ROOT else uids.usual()
    for name in ("one", "two", "three"):
        workspaces.seed(name, {"file": b""}, None, NEVER)
    owners = [workspaces.uid_of(name) for name in ("one", "two", "three")]
    if not ROOT:
        assert set(owners) == {os.geteuid()}
        return
    assert owners == [uids.FIRST_UID + n for n in (1, 2, 3)]
    with pytest.raises(BackendError, match="in use"):
        workspaces.seed("four", {}, None, NEVER)
    workspaces.delete("two")
    workspaces.seed("four", {}, None, NEVER)
    assert workspaces.uid_of("four") == uids.FIRST_UID + 2


def test_files_of_another_range_are_given_to_this_one(places: list[Layout]) -> None:
    workspaces = Workspaces(places[0])
    workspaces.seed("repl1", {"a/file": b""}, None, NEVER)
    before = workspaces.uid_of("repl1")
    assert workspaces.own("repl1") == before
    if ROOT:
        workspaces.uids = range(before + uids.UIDS, before + 2 * uids.UIDS)
        owner = workspaces.own("repl1")
        assert owner in workspaces.uids
        place = places[0].workspace("repl1")
        assert {found.lstat().st_uid for found in (place, *place.rglob("*"))} == {owner}
