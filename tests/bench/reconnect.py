"""Networks that go and come back: how soon a page is there again, and what a thousand reconnects leave behind."""

import asyncio
import hashlib
import json
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

import psutil
import websockets
from playwright.sync_api import Page

from runner.proxy.terminals.window import FIRST_WINDOW_BYTES
from tests.bench import browser
from tests.bench.client import ACK, INPUT, OFFSET, OUTPUT, READY, attach
from tests.bench.figures import Measured, percentile
from tests.bench.server import Server, running
from tests.bench.terminals import new_terminal
from tests.network import Network
from tests.ports import free_port

CUTS = 12  # of each kind
AWAY_MOST_S = 1.5  # once the page has noticed: where it is in its pauses is left to chance
CYCLES, WARM_UP = 1000, 200
UNSAVED: Final = {"autosave_s": "3600"}  # a process that saves versions is there for a while, and counts
OF_CYCLES: Final = ("reconnect_cycles", "reconnect_growth_mib")
LINE: Final = "{0:08d} what a program says, and nothing of it is lost or comes twice"
# Slow enough for the ring to hold what is written between two connections, on a machine that swaps.
TALKING: Final = f"""python3 -uc '
import itertools, time
print("be" + "gin")
for number in itertools.count():
    print({json.dumps(LINE)}.format(number))
    time.sleep(0.002)
'\n"""
FILLING: Final = b"head -c 1200000 /dev/zero | tr '\\0' x; echo; "  # both rings: their memory is theirs from the start
PIECE_S = 30.0  # the program speaks all the time
PIECES_MOST = 3  # of output between two cuts
SETTLED_S, SETTLE_POLL_S = 20.0, 0.05  # what a cut leaves to be cleared away is cleared away by then
GAP: Final = 18

SAW_MORE: Final = """() => {
  const last = () => {
    const shown = [...document.querySelectorAll(".xterm-rows")].map((rows) => rows.textContent).join(" ");
    return Math.max(-1, ...(shown.match(/[0-9]{8}(?= what)/g) ?? []).map(Number));
  };
  const before = last();
  window.sawMoreAt = null;
  const watching = new MutationObserver(() => {
    if (last() <= before) return;
    window.sawMoreAt = Date.now();
    watching.disconnect();
  });
  const all = {childList: true, characterData: true, subtree: true};
  for (const rows of document.querySelectorAll(".xterm-rows")) watching.observe(rows, all);
}"""

OPENS: Final = """() => new Promise((opened) => {
  const began = performance.now();
  const socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/diagnose/echo`);
  socket.onmessage = () => { socket.close(); opened(performance.now() - began); };
})"""


def reconnect() -> Measured:
    """From the return of the network to the first output that was missed on the screen of a workbench, the 95th
    percentile over networks that refuse and networks that swallow packets. The limit is a WebSocket's opening.
    """
    port = free_port()
    cuts = [cut for _ in range(CUTS) for cut in (Network.refuse, Network.swallow)]
    with (
        running({"allowed_hosts": f"127.0.0.1:{port}"}) as server,
        Network(port, server_port=server.port).running() as network,
        browser.chromium(server) as context,
    ):
        repl = server.create(name="away")["id"]
        page = context.new_page()
        page.goto(f"{network.url}/repl/{repl}")
        page.wait_for_selector(browser.EDITOR_READY)
        page.locator(".xterm-helper-textarea").last.focus()
        page.keyboard.type(TALKING)
        page.evaluate(SAW_MORE)
        page.wait_for_function("() => window.sawMoreAt")
        limits = [float(page.evaluate(OPENS)) for _ in range(CUTS)]
        times = [_comes_back_ms(page, network, cut) for cut in cuts]
        page.keyboard.press("Control+c")
        page.close()
        server.delete(repl)
    beside = {
        "median": median(times),
        "refused p95": percentile(times[::2], 0.95),
        "swallowed p95": percentile(times[1::2], 0.95),
    }
    return Measured(percentile(times, 0.95), median(limits), beside)


def _comes_back_ms(page: Page, network: Network, cut: Callable[[Network], None]) -> float:
    cut(network)
    page.keyboard.press("Shift+ArrowLeft")  # whoever types notices within seconds
    page.wait_for_selector(".dx-terminal[data-state=reconnecting]", state="attached")
    time.sleep(random.uniform(0.2, AWAY_MOST_S))
    page.evaluate(SAW_MORE)
    restored = time.time()
    network.restore()
    page.wait_for_function("() => window.sawMoreAt")
    return float(page.evaluate("() => window.sawMoreAt")) - restored * 1000


@dataclass(frozen=True, slots=True)
class Held:
    """What server and agent hold: descriptors, the server's tasks, memory of their own in MiB."""

    descriptors: int
    tasks: int
    server_mib: float
    agent_mib: float


@dataclass(frozen=True, slots=True)
class Cycles:
    """`before` is after a warm-up."""

    count: int
    before: Held
    after: Held


def cycles() -> tuple[Measured, ...]:
    """A thousand cuts of one terminal during output: raises when a byte is lost or doubled, or descriptors or tasks are
    left; and the memory that server and agent have grown by.
    """
    with running(UNSAVED, counted=True) as server:
        done = run_cycles(server, count=CYCLES, warm_up=WARM_UP)
    before, after = done.before, done.after
    assert (after.descriptors, after.tasks) == (before.descriptors, before.tasks), done
    grown = max(after.server_mib - before.server_mib, after.agent_mib - before.agent_mib)
    return Measured(done.count), Measured(grown)


def run_cycles(server: Server, *, count: int, warm_up: int) -> Cycles:
    """Attach, read a little, cut; raises AssertionError unless all that was read is what was written, byte by byte.
    `server` is a counted one.
    """
    repl = server.create(name="cycles")["id"]
    with ThreadPoolExecutor(1) as beside:  # a Chromium of the tests has a loop in this thread
        found = beside.submit(asyncio.run, _cycles(server, new_terminal(server, repl), count, warm_up)).result()
    server.delete(repl)
    return found


async def _cycles(server: Server, url: str, count: int, warm_up: int) -> Cycles:
    task = {"cookie": server.cookie, "origin": server.url}
    said = bytearray()
    async with attach(task, url) as socket:
        await socket.send(bytes([INPUT]) + FILLING + TALKING.encode())
        while b"begin\r\n" not in said:
            said += await _piece(socket, len(said))
            await socket.send(bytes([ACK]) + OFFSET.pack(len(said)))
    choice = random.Random(1)
    await _cut_often(task, url, said, warm_up, choice)
    before = await _held(server)
    await _cut_often(task, url, said, count, choice)
    after = await _held(server, before)
    spoken = bytes(said[said.index(b"begin\r\n") + 7 :])
    written = b"".join(LINE.format(number).encode() + b"\r\n" for number in range(len(spoken) // 60 + 1))
    assert len(spoken) > count * 10, "nothing was said meanwhile"
    assert hashlib.sha256(spoken).digest() == hashlib.sha256(written[: len(spoken)]).digest()
    async with attach(task, url) as socket:
        await socket.send(bytes([INPUT]) + b"\x03")
    return Cycles(count, before, after)


async def _cut_often(task: dict[str, Any], url: str, said: bytearray, count: int, choice: random.Random) -> None:
    for _ in range(count):
        async with attach(task, url.replace("after=0", f"after={len(said)}")) as socket:
            for _ in range(choice.randint(1, PIECES_MOST)):
                piece = await _piece(socket, len(said))
                said += piece
                fills_window = len(piece) > FIRST_WINDOW_BYTES // PIECES_MOST  # after a pause: nothing more would come
                if choice.random() < 0.5 or fills_window:
                    await socket.send(bytes([ACK]) + OFFSET.pack(len(said)))
            if choice.random() < 0.5:
                socket.transport.abort()  # what else has come is lost with it


async def _piece(socket: websockets.ClientConnection, offset: int) -> bytes:
    """What comes next, which begins at `offset`."""
    while True:
        async with asyncio.timeout(PIECE_S):
            frame = await socket.recv()
        assert isinstance(frame, bytes)
        if frame[0] == READY:
            assert json.loads(frame[1:])["start"] <= offset
        assert frame[0] != GAP
        if frame[0] == OUTPUT:
            assert OFFSET.unpack_from(frame, 1)[0] == offset
            return frame[9:]


async def _held(server: Server, before: Held | None = None) -> Held:
    """Once nothing is cleared away any more; `before` is waited for."""
    deadline = time.monotonic() + SETTLED_S
    held = await _held_now(server)
    while time.monotonic() < deadline:
        await asyncio.sleep(SETTLE_POLL_S)
        earlier, held = held, await _held_now(server)
        settled = (earlier.descriptors, earlier.tasks) == (held.descriptors, held.tasks)
        if settled and (before is None or (held.descriptors, held.tasks) == (before.descriptors, before.tasks)):
            break
    return held


async def _held_now(server: Server) -> Held:
    assert server.process
    own, agent = psutil.Process(server.process.pid), _agent(server)
    return Held(
        descriptors=own.num_fds() + agent.num_fds(),
        tasks=await asyncio.to_thread(server.tasks),
        server_mib=own.memory_full_info().uss / 2**20,
        agent_mib=agent.memory_full_info().uss / 2**20,
    )


def _agent(server: Server) -> psutil.Process:
    """Of its one REPL that runs."""
    for launcher in psutil.process_iter(["cmdline"]):
        if str(server.directory / "data") in (launcher.info["cmdline"] or []):
            for process in launcher.children(recursive=True):
                if process.name().startswith("python") and process.cmdline()[-1].endswith("/agent.py"):
                    return process
    raise LookupError("there is no agent")
