"""The way out of a cluster: the command, on TCP, with clients at several addresses of loopback as pods are."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from orchestrator.backends.egress import listening
from orchestrator.backends.egress.listening import EgressServer
from orchestrator.backends.egress.rules import HOSTS_PER_WINDOW, EgressRules

ROOT = Path(__file__).resolve().parents[3]
DEADLINE_S = 60.0
A_POD, ANOTHER_POD = "127.0.0.2", "127.0.0.3"


@asynccontextmanager
async def egress_proxy(folder: Path, *exceptions: str) -> AsyncIterator[int]:
    """-> its port. It ends in order when it is asked to."""
    environment = {
        "PATH": os.defpath, "PYTHONPATH": str(ROOT), "DEVEX_EGRESS_EXCEPT": ",".join(exceptions),
        "DEVEX_EGRESS_ALLOW": "*.allowed.invalid 8.8.8.8", "DEVEX_EGRESS_PRIVATE": "8.8.8.0/24",
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "app.cli", "egress-proxy", "--port", "0",
        env=environment, cwd=folder, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(DEADLINE_S):
            assert process.stdout
            found = re.search(rb"port (\d+)", await process.stdout.readline())
            assert found
            yield int(found[1])
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ask(port: int, pod: str, request: str) -> bytes:
    """-> all that is answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(pod, 0))
    writer.write(request.encode())
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


@pytest.fixture
async def service() -> AsyncIterator[int]:
    """-> the port of what the operator allows inside of his network."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"got " + await reader.read())
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_pods_reach_what_is_allowed_and_nothing_else(tmp_path: Path, service: int) -> None:
    async with egress_proxy(tmp_path, f"127.0.0.1:{service}") as port:
        answer = await ask(port, A_POD, f"CONNECT 127.0.0.1:{service} HTTP/1.1\r\n\r\nhello")
        assert answer == b"HTTP/1.1 200 Connection established\r\n\r\ngot hello"
        for refused in (f"127.0.0.2:{service}", "127.0.0.1:1", "example.org:443", "169.254.169.254:80", "[::1]:80"):
            assert b" 403 " in await ask(port, A_POD, f"CONNECT {refused} HTTP/1.1\r\n\r\n")
        assert b"is not a public address" in await ask(port, A_POD, "CONNECT 8.8.8.8:443 HTTP/1.1\r\n\r\n")
        # A name that is allowed is looked up; there is none under .invalid.
        assert b" 502 " in await ask(port, A_POD, "CONNECT a.allowed.invalid:443 HTTP/1.1\r\n\r\n")


async def test_a_scan_by_one_pod_stops_no_other(tmp_path: Path, service: int) -> None:
    several = [f"127.0.0.1:{port}" for port in range(1, HOSTS_PER_WINDOW + 2)]  # allowed, and nobody is there
    async with egress_proxy(tmp_path, f"127.0.0.1:{service}", *several) as port:
        answers = await asyncio.gather(*(ask(port, A_POD, f"CONNECT {one} HTTP/1.1\r\n\r\n") for one in several))
        assert sum(b" 429 " in one for one in answers) == 1
        allowed = f"CONNECT 127.0.0.1:{service} HTTP/1.1\r\n\r\n"
        assert b" 429 " in await ask(port, A_POD, allowed)
        assert b" 200 " in await ask(port, ANOTHER_POD, allowed)


async def test_a_greedy_pod_gives_way(service: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "CONNECTIONS_MOST", 4)
    rules = EgressRules(exceptions=frozenset({f"127.0.0.1:{service}"}))
    async with (
        EgressServer("127.0.0.1", 0, rules, _no_names) as server,
        asyncio.timeout(DEADLINE_S),
        AsyncExitStack() as stack,
    ):

        async def connected(pod: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port, local_addr=(pod, 0))
            stack.callback(writer.close)
            writer.write(f"CONNECT 127.0.0.1:{service} HTTP/1.1\r\n\r\n".encode())
            return reader, writer

        greedy = [await connected(A_POD) for _ in range(4)]
        for reader, _ in greedy:
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n")
        modest, writer = await connected(ANOTHER_POD)
        assert b" 200 " in await modest.readuntil(b"\r\n\r\n")
        assert await ended(greedy[0][0])
        assert await ended((await connected(A_POD))[0]), "it has more than anybody"
        writer.write(b"hello")
        writer.write_eof()
        assert await modest.read() == b"got hello"


async def ended(reader: asyncio.StreamReader) -> bool:
    with suppress(ConnectionResetError):
        assert await reader.read() == b""
    return True


async def _no_names(host: str, port: int) -> list[str]:
    raise OSError
