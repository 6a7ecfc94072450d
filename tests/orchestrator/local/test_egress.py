"""The way out, judged: refusals, rebinding, scans. `test_downloads.py` uses it."""

import asyncio
import ctypes
import fcntl
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestrator.backends.egress.proxy import EgressProxy
from orchestrator.backends.egress.rules import HOSTS_PER_WINDOW, EgressRules
from orchestrator.backends.local.egress import EgressSocket
from orchestrator.domain import Egress
from tests.orchestrator.local.conftest import StartBox

CLONE_NEWNET, SIOCSIFFLAGS, IFF_UP = 0x40000000, 0x8914, 1  # linux/sched.h, linux/sockios.h, linux/if.h

FORBIDDEN = (
    *("169.254.169.254:80", "127.0.0.1:22", "10.96.0.1:443", "[::1]:80", "[::ffff:169.254.169.254]:80"),
    *("[fd00:ec2::254]:80", "localhost:80", "2130706433:80", "0x7f.1:80", "0:80", "kubernetes.localhost:443"),
)


async def test_what_is_not_public_is_refused(start: StartBox) -> None:
    box = await start(egress=Egress.PUBLIC)
    answers = await box.python(
        "import socket\n"
        f"for target in {FORBIDDEN!r}:\n"
        "    s = socket.create_connection(('127.0.0.1', 3128)); s.settimeout(30)\n"
        "    s.sendall(f'CONNECT {target} HTTP/1.1\\r\\n\\r\\n'.encode())\n"
        "    print(s.recv(12).decode())\n"
    )
    assert set(answers.splitlines()) <= {"HTTP/1.1 403", "HTTP/1.1 502"}
    assert len(answers.splitlines()) == len(FORBIDDEN)


# The proxy itself, with names that resolve as the test wants


class Names:
    """A resolver whose answers change from call to call, as an attacker's name server's would."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


@asynccontextmanager
async def proxy(
    tmp_path: Path, names: Names, rules: EgressRules | None = None, uid: int | None = None
) -> AsyncIterator[Path]:
    path = tmp_path / "egress.sock"
    uid = os.geteuid() if uid is None else uid
    judge = EgressProxy(Egress.PUBLIC, rules or EgressRules(), names, name="test")
    async with EgressSocket(path, uid, judge):
        yield path


async def ask(path: Path, request: bytes) -> bytes:
    """-> all that is answered."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(request)
    try:
        async with asyncio.timeout(30):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    "answer", [["10.0.0.1"], ["1.1.1.1", "127.0.0.1"], ["::ffff:127.0.0.1"], ["fe80::1%eth0"], ["64:ff9b::a00:1"]]
)
async def test_one_private_answer_is_enough_to_refuse(tmp_path: Path, answer: list[str]) -> None:
    async with proxy(tmp_path, Names(answer)) as path:
        assert (await ask(path, b"CONNECT evil.test:443 HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 403")
        assert (await ask(path, b"GET http://evil.test/ HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 403")


def in_a_network_of_its_own(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Where there is nothing but loopback: what is public cannot be reached. Namespaces are a thread's."""

    def enter() -> None:
        assert ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        with socket.socket() as any_socket:
            fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))
        asyncio.run(work())

    with ThreadPoolExecutor(1) as thread:
        thread.submit(enter).result(60)


def test_the_address_that_was_judged_is_the_one_connected_to(tmp_path: Path) -> None:
    """DNS rebinding: the second answer would be a service of the host, and is never asked for."""

    async def rebind() -> None:
        with socket.create_server(("127.0.0.1", 0)) as service:
            service.setblocking(False)
            port = service.getsockname()[1]
            names = Names(["1.1.1.1"], ["127.0.0.1"])
            async with proxy(tmp_path, names) as path:
                answer = await ask(path, f"CONNECT rebind.test:{port} HTTP/1.1\r\n\r\n".encode())
                assert answer.startswith(b"HTTP/1.1 502")  # it was tried
                assert names.asked == 1
            with pytest.raises(BlockingIOError):
                service.accept()

    in_a_network_of_its_own(rebind)


async def test_both_directions_and_their_ends_pass(tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"got " + await reader.read())  # until the other side has ended
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    rules = EgressRules(exceptions=frozenset({f"inside.test:{port}"}))
    async with server, proxy(tmp_path, Names(["127.0.0.1"]), rules) as path:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(f"CONNECT inside.test:{port} HTTP/1.1\r\n\r\nhello".encode())
        writer.write_eof()
        async with asyncio.timeout(30):
            answer = await reader.read()
        writer.close()
    assert answer == b"HTTP/1.1 200 Connection established\r\n\r\ngot hello"


async def test_a_scan_is_stopped(tmp_path: Path) -> None:
    async with proxy(tmp_path, Names(["10.0.0.1"])) as path:
        for n in range(HOSTS_PER_WINDOW):
            assert b" 403 " in await ask(path, f"CONNECT host{n}.test:443 HTTP/1.1\r\n\r\n".encode())
        assert b" 429 " in await ask(path, b"CONNECT one-more.test:443 HTTP/1.1\r\n\r\n")


async def test_other_users_of_the_host_are_not_served(tmp_path: Path) -> None:
    async with proxy(tmp_path, Names(["1.1.1.1"]), uid=os.geteuid() + 1) as path:
        assert await ask(path, b"CONNECT example.org:443 HTTP/1.1\r\n\r\n") == b""


@pytest.mark.parametrize("head", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\r\n\r\n", b"x" * 100_000 + b"\r\n\r\n"])
async def test_what_is_no_request_is_answered_with_an_error(tmp_path: Path, head: bytes) -> None:
    async with proxy(tmp_path, Names(["1.1.1.1"])) as path:
        answer = await ask(path, head)
        assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431")) or not answer
