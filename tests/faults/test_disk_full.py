"""A full disk: the REPL's own share of it, and the whole disk under the server's data."""

import itertools
from pathlib import Path

import pytest

from orchestrator.backends.local.incarnation import PAUSED_ACTION
from runner.documents.wire import Notice
from tests.faults.browser import Browser, Repl, refusal
from tests.faults.content import DISK_MIB, KEPT, POOR_DISK_MIB
from tests.faults.server import devex, mounted
from tests.runner.documents.tab import Tab

pytestmark = pytest.mark.xdist_group("faults")

LARGE = "x" * 2_000_000
MIB = 1 << 20


async def until_told(tab: Tab, words: str) -> None:
    """That what it shows is not on disk, and what to do."""

    def told() -> bool:
        notices = [one for one in tab.seen if isinstance(one, Notice)]
        return bool(notices) and notices[-1].code == "unsaved" and words in notices[-1].message

    await tab.until(told)
    assert not tab.is_saved


async def test_a_full_workspace(repl: Repl) -> None:
    assert (await repl.execute(f"fallocate -l {DISK_MIB - 1}M filler"))["exit_code"] == 0
    assert (await repl.get("usage")).json()["bytes"] > (DISK_MIB - 1) * MIB  # which measures it anew
    digest = (await repl.get("files/kept.txt")).headers["etag"].strip('"')
    patch = {"base": digest, "splices": [[0, 0, LARGE]]}
    for answer in (
        await repl.put("files/new", LARGE),
        await repl.put("files/kept.txt", LARGE),
        await repl.put(f"uploads/abcdefgh?name=new&size={len(LARGE)}&offset=0", LARGE),
        await repl.browser.http.patch(repl.at("files/kept.txt"), json=patch),
    ):
        assert "The workspace is full" in refusal(answer, 507)
    async with repl.tab("kept.txt") as tab:
        await tab.type(0, LARGE)
        await until_told(tab, "The workspace is full: 159 of 160 MiB are used. Delete files you no longer need.")
        assert await repl.text("kept.txt") == KEPT
        async with repl.tab("kept.txt") as other:
            assert other.text == LARGE + KEPT
            await until_told(other, "The workspace is full")
        assert (await repl.delete("files/filler")).status_code == 204
        await tab.flush()
        assert await repl.text("kept.txt") == LARGE + KEPT
        await tab.type(0, "", delete=len(LARGE))
        await tab.flush()


async def test_programs_that_fill_the_workspace_are_paused(repl: Repl) -> None:
    async with repl.events() as events:
        await repl.run("fallocate -l 100M 1; fallocate -l 100M 2; while true; do date > tick; sleep 0.1; done")
        assert (await events.next("quota"))["paused"] == {
            "message": f"The disk is full: {DISK_MIB} MiB or 200,000 files. Programs are paused, shells too.",
            "action": PAUSED_ACTION,
        }
        for name in "12":
            assert (await repl.delete(f"files/{name}")).status_code == 204
        assert (await events.next("quota"))["paused"] is None
    assert (await repl.get("run")).json()["running"] is True
    assert (await repl.execute("echo fine"))["output"] == "fine\n"


async def test_a_full_disk_under_everything(eve: Browser) -> None:
    repl = await eve.create()
    assert (await repl.put("files/kept.txt", KEPT)).status_code == 201
    assert "The disk is full" in refusal(await repl.put("files/large", b"x" * POOR_DISK_MIB * MIB), 507)
    assert [entry[0] for entry in (await repl.get("tree")).json()["entries"] if entry[0] == "large"] == []
    async with repl.shell() as terminal, repl.tab("kept.txt") as tab:
        await terminal.type("cat /dev/zero > filler; echo sta''tus $?\n")
        await terminal.until("status 1\r\n")
        assert b"No space left on device" in terminal.text
        assert "The disk is full" in refusal(await repl.put("files/kept.txt", LARGE), 507)
        await tab.type(0, LARGE)
        await until_told(tab, "The disk is full: “kept.txt” was not written. Delete files, then try again.")
        assert await repl.text("kept.txt") == KEPT
        names = (f"name {number}" for number in itertools.count())
        while (renamed := await eve.http.patch(f"/api/repls/{repl.id}", json={"name": next(names)})).status_code < 400:
            pass  # the database may have some room left in what it holds
        assert "disk is full" in refusal(renamed, 507)
        assert "The disk that holds the versions is full." in refusal(await repl.post("snapshots"), 503)
        assert (await repl.about())["phase"] == "running"
        assert (await repl.delete("files/filler")).status_code == 204
        await tab.flush()
        assert await repl.text("kept.txt") == LARGE + KEPT
    assert (await eve.http.patch(f"/api/repls/{repl.id}", json={"name": "room again"})).status_code == 200
    saved = (await repl.post("snapshots")).json()["version"]
    assert (await repl.get(f"snapshots/{saved}/file?path=kept.txt")).text == LARGE + KEPT
    await repl.do("stop")
    await repl.start()
    assert await repl.text("kept.txt") == LARGE + KEPT


@pytest.mark.parametrize(
    ("command", "size_kib", "reason"),
    [("serve", 64, "no space left on device"), ("migrate", 128, "devex.sqlite3 is full")],
)
def test_a_disk_that_is_full_at_the_start(tmp_path: Path, command: str, size_kib: int, reason: str) -> None:
    """Not even the first file fits, or not the whole database."""
    fill = "head -c 64k /dev/zero > data/filler || true"
    mount = f"mkdir data; mount -t tmpfs -o size={size_kib}k tmpfs data; {fill}"
    code, _, said = devex(tmp_path, command, within=mounted(mount))
    assert (code, reason in said, said.count("\n")) == (1, True, 1), said
    assert "Make room on" in said
