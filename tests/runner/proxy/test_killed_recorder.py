"""A proxy that is killed while it records, and disks that take nothing for a while: not a byte is lost or doubled that
the ring still has, and what it has no more is counted.
"""

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from websockets.asyncio.client import unix_connect

from runner.protocol.ring import RING_BYTES
from tests.disks import Disk, small_disk
from tests.runner.proxy.stage import DEADLINE_S, PYTHON, Stage, Tab, counted
from tests.runner.proxy.test_terminal_records import listed, output
from tests.waiting import until

ROOT: Final = Path(__file__).parents[3]
KILLS: Final = 5
GROWN_BYTES: Final = 2000  # of a record, in the life of each proxy at least
# Lines of some length, with a pause now and then: pieces of all sizes.
SAYS: Final = """
import pathlib, random, time
chance, number = random.Random(5), 0
while not pathlib.Path("stop").exists():
    for _ in range(chance.randrange(9)):
        print(number, "é" * chance.randrange(60), flush=chance.random() < 0.5)
        number += 1
    time.sleep(0.02)  # so slowly that the ring has all of it, however long a proxy takes to start
print("said", "all")
"""


@asynccontextmanager
async def proxy_of(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Killed in the end."""
    (folder / "ticks").write_bytes(bytes(8))
    (folder / "http.sock").unlink(missing_ok=True)
    command = (sys.executable, "-m", "tests.runner.proxy.one_life", str(folder), "1")
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    transport = httpx.AsyncHTTPTransport(uds=str(folder / "http.sock"))
    try:
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=DEADLINE_S) as http:
            async with asyncio.timeout(DEADLINE_S):
                while not await is_up(http):
                    await asyncio.sleep(0.01)
            yield http
    finally:
        process.kill()
        await process.wait()


async def is_up(http: httpx.AsyncClient) -> bool:
    try:
        return bool((await http.get("/health")).json()["agent"])
    except httpx.ConnectError:  # its socket is not there yet, or nobody listens at it
        return False


@asynccontextmanager
async def tab_at(folder: Path, terminal: str) -> AsyncIterator[Tab]:
    url = f"ws://localhost/terminals/{terminal}"
    async with unix_connect(str(folder / "http.sock"), url, compression=None, max_size=None, proxy=None) as socket:
        yield Tab(socket)


@pytest.fixture
def agent(tmp_path: Path, installed_agent: Path) -> Iterator[None]:
    (tmp_path / "workspace").mkdir()
    (tmp_path / "workspace" / "says.py").write_text(SAYS)
    command = [PYTHON, "-I", "-S", str(installed_agent / "agent.py"), str(tmp_path / "agent.sock")]
    with subprocess.Popen(command, env={"PATH": "/usr/bin:/bin"}, start_new_session=True) as process:
        yield
        process.kill()


def tear(place: Path, chance: random.Random) -> None:
    """As when the machine crashed with it: the end is not there, or is something else."""
    whole = place.read_bytes()
    place.write_bytes(whole[: -chance.randrange(1, 40)] + bytes(chance.randrange(30)))


async def test_a_killed_proxy_records_on_without_loss_or_doubling(tmp_path: Path, agent: None) -> None:
    chance = random.Random(7)

    def segments() -> list[Path]:
        return sorted((tmp_path / "records").rglob("*.log"))

    def size() -> int:
        return sum(path.stat().st_size for path in segments())

    terminal = ""
    for kill in range(KILLS):
        async with proxy_of(tmp_path) as http:
            if not terminal:
                terminal = (await http.post("/terminals", json={})).json()["id"]
                async with tab_at(tmp_path, terminal) as tab:
                    await tab.type(f"exec {sys.executable} says.py\n")
            before = size()
            await until(lambda before=before: size() > before + GROWN_BYTES)  # type: ignore[misc]
        if kill % 2:
            tear(segments()[-1], chance)
    async with proxy_of(tmp_path) as http:
        (tmp_path / "workspace" / "stop").touch()
        async with tab_at(tmp_path, terminal) as tab:
            await tab.until("said all\r\n")
        async with asyncio.timeout(DEADLINE_S):
            while not (record := (await http.get("/records")).json()["records"][0])["exit"]:
                await asyncio.sleep(0.01)
        found = (await http.get(f"/records/{terminal}/output")).content
        assert found == tab.text
        assert (record["missing"], record["bytes"]) == (0, len(found))
        assert record["exit"] == {"status": 0, "signal": 0}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk", 4) as disk:
        yield disk


async def record_of(stage: Stage, missing: int) -> dict[str, Any]:
    """Once so much is missing in it, and all the rest there."""
    async with asyncio.timeout(DEADLINE_S):
        while (record := (await listed(stage))[0])["missing"] != missing or record["bytes"] == 0:
            await asyncio.sleep(0.05)
    return record


async def test_a_full_disk_breaks_no_terminal_and_loses_only_what_the_ring_did(stage: Stage, disk: Disk) -> None:
    await stage.restart_proxy(records=disk.path / "records")
    async with stage.shell() as tab:
        await tab.type("stty -echo; PS1=; echo be''gin\n")
        await tab.until("begin\r\n")
        assert len(await listed(stage)) == 1
        disk.fill()
        await tab.type("seq 30000; echo do''ne\n")
        await tab.until("done\r\n")
        assert (await listed(stage))[0]["bytes"] < len(tab.text), "there was no room for it"
        disk.free()
        record = await record_of(stage, missing=0)
        async with asyncio.timeout(DEADLINE_S):
            while (found := (await output(stage, record["id"])).content) != tab.text:
                assert tab.text.startswith(found)
                await asyncio.sleep(0.05)
        disk.fill()
        await tab.type("seq 300000; echo ov''er\n")
        await tab.until("over\r\n")
        disk.free()
        async with asyncio.timeout(DEADLINE_S):
            while (found := (await output(stage, record["id"])).content)[-6:] != tab.text[-6:]:
                await asyncio.sleep(0.05)
        told = (await stage.http.get(f"/records/{record['id']}")).json()
        assert told["gaps"]
        whole = bytes(tab.text)
        for start, end in reversed(told["gaps"]):
            whole = whole[:start] + whole[end:]
        assert whole == found
        assert told["missing"] == len(tab.text) - len(found) >= len(counted(300_000)) - RING_BYTES - 100_000
