"""Content: a 100 MB file, a binary file, a 1 MB line, messages larger than any of ours."""

import asyncio
import gzip
import hashlib
import random

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from runner.proxy.terminals.wire import MAX_MESSAGE_BYTES
from tests.faults.browser import DEADLINE_S, Browser, Json, Repl, refusal
from tests.faults.content import KEPT
from tests.runner.proxy.stage import INPUT

pytestmark = pytest.mark.xdist_group("faults")

MB = 1_000_000
BAD_DATA, TOO_BIG, CUT = 1007, 1009, 1006  # a WebSocket's codes: what is not read to its end may cut the connection
LARGE = random.Random(0).randbytes(MB) * 100
BINARY = bytes(range(256)) * 400


async def test_a_100_mb_file(repl: Repl) -> None:
    stored = await repl.put("files/large", LARGE)
    assert (stored.status_code, stored.json()["digest"]) == (201, hashlib.sha256(LARGE).hexdigest())
    assert "The workspace is full" in refusal(await repl.put("files/another", LARGE), 507)
    assert (await repl.get("files/large")).content == LARGE
    async with repl.tab("large") as tab:
        assert tab.opened
        assert (tab.opened.channel, tab.opened.reason) == (0, "too-large")
    listed = [entry[0] for entry in (await repl.get("tree")).json()["entries"]]
    assert {"kept.txt", "large"} <= set(listed)
    assert "another" not in listed


async def test_a_binary_file(repl: Repl) -> None:
    assert (await repl.put("files/binary", BINARY)).status_code == 201
    assert (await repl.get("files/binary")).content == BINARY
    async with repl.tab("binary") as tab:
        assert tab.opened
        assert (tab.opened.channel, tab.opened.reason) == (0, "binary")
    async with repl.shell() as terminal:
        await terminal.type("stty -opost; cat binary; printf '\\033c'; echo go''ne\n")
        await terminal.until("gone")
        assert BINARY in bytes(terminal.text)


async def test_a_text_that_becomes_binary_while_it_is_open(repl: Repl) -> None:
    async with repl.tab("kept.txt") as tab:
        await tab.type(0, "typed ")
        await tab.flush()
        saved = await repl.text("kept.txt")
        assert (await repl.put("files/kept.txt", BINARY)).status_code == 200
        await tab.until(lambda: tab.opened is not None and tab.opened.reason == "binary")
    assert (await repl.get("files/kept.txt")).content == BINARY
    await repl.put("files/kept.txt", saved.removeprefix("typed "))


async def test_a_1_mb_line_in_a_file(repl: Repl) -> None:
    line = "x" * MB
    assert (await repl.put("files/line", line)).status_code == 201
    async with repl.tab("line") as tab:
        before = tab.sent_bytes
        await tab.type(MB // 2, "é")
        await tab.flush()
        assert tab.sent_bytes - before < 200
    assert await repl.text("line") == line[: MB // 2] + "é" + line[MB // 2 :]


async def test_a_1_mb_line_in_a_terminal(repl: Repl) -> None:
    line = b"0123456789" * (MB // 10)
    async with repl.shell() as terminal:
        await terminal.type(f"stty -icanon -echo; echo re''ady; head -c {MB} > line; echo wri''tten\n")
        await terminal.until("ready")
        for start in range(0, MB, 50_000):
            await terminal.type(line[start : start + 50_000])
        await terminal.until("written")
        await terminal.type("cat line; echo; echo sho''wn\n")
        await terminal.until("shown")
        assert line in bytes(terminal.text)
        assert terminal.gaps == []
    assert await repl.text("line") == line.decode()
    said = await repl.execute("cat line line")
    assert (said["exit_code"], said["truncated"]) == (0, True)
    refusal(await repl.post("exec", {"command": f"echo {line.decode()}"}), 413)
    refusal(await repl.post("exec", {"command": f"echo {line.decode()[:200_000]}"}), 400)


async def closing_code(socket: ClientConnection, message: bytes) -> int:
    try:
        await socket.send(message)  # which may be refused before it is sent to its end
        async with asyncio.timeout(DEADLINE_S):
            while True:
                await socket.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else CUT


@pytest.mark.parametrize(("size_bytes", "codes"), [(MAX_MESSAGE_BYTES + 1, {BAD_DATA}), (9 * MB, {TOO_BIG, CUT})])
async def test_a_message_larger_than_any_of_ours(repl: Repl, size_bytes: int, codes: set[int]) -> None:
    async with repl.shell() as terminal:
        assert await closing_code(terminal.socket, bytes([INPUT]) + b"x" * size_bytes) in codes
    async with repl.tab("kept.txt") as tab, repl.browser.socket(repl.at("documents")) as other:
        await tab.type(0, "typed ")
        assert await closing_code(other, b"\xff" * size_bytes) in codes
        await tab.flush()
        assert await repl.text("kept.txt") == f"typed {KEPT}"
        await tab.type(0, "", delete=len("typed "))
        await tab.flush()


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {}, 422),
        (b"[" * 50_000, {}, 400),
        (b"\xff\xfe", {}, 422),
        (b"null", {}, 422),
        (b'{"name": ' + b'"x' * 50_000 + b'"}', {}, 413),
        (b"x" * MB, {}, 413),
        (gzip.compress(b'{"name": "compressed", "template": "bash"}'), {"Content-Encoding": "gzip"}, 415),
        (b'{"name": "plain", "template": "bash"}', {"Content-Type": "text/plain"}, 422),
        (b'{"name": "x", "template": "nosuch"}', {}, 422),
    ],
    ids=range(9),
)
async def test_a_body_that_is_no_request(
    ada: Browser, shared_repl: Repl, body: bytes, headers: Json, status: int
) -> None:
    given = {"Content-Type": "application/json"} | headers
    refusal(await ada.http.post("/api/repls", content=body, headers=given), status)
    refusal(await ada.http.post(shared_repl.at("mkdir"), content=body, headers=given), 400 if status == 422 else status)
