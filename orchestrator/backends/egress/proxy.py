"""The way out of a sandbox: a trusted HTTP proxy.

It resolves names itself, wants every answer to be public, and connects to the address it has judged: an answer that
changes afterwards (DNS rebinding) changes nothing. CONNECT for everything encrypted, absolute addresses for plain HTTP.
"""

import asyncio
import ipaddress
import logging
import socket
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from orchestrator.backends.egress.rules import EgressRules, Pace, Verdict, host_name, is_public
from orchestrator.domain import Egress

MAX_CONNECTIONS: Final = 128  # per sandbox, as many as its agent relays
HEAD_BYTES: Final = 32 * 1024  # servers take no longer ones
HEAD_S: Final = 15.0
RESOLVE_S: Final = 10.0
CONNECT_S: Final = 10.0  # per address
IDLE_S: Final = 900.0  # neither direction moved; long polls and quiet downloads are shorter
# Each connection holds the most when both of its ends send and neither reads: a quarter of a MiB, by these two.
PIECE_BYTES: Final = 16 * 1024
READ_BYTES: Final = 64 * 1024  # at once, from a socket: asyncio reads 256 KiB, held whoever waits
AUDIT_S: Final = 5.0
RESOLVING: Final = 4  # names at a time per sandbox, of RESOLVERS threads for all: slow names hold up only their own
RESOLVERS: Final = 16
_HOP_BY_HOP: Final = frozenset({"connection", "proxy-connection", "proxy-authorization", "keep-alive", "upgrade"})

log = logging.getLogger(__name__)

Resolve = Callable[[str, int], Awaitable[list[str]]]


class Resolver:
    """Names to addresses on threads of its own: the loop's are for files."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(RESOLVERS, thread_name_prefix="resolve")

    async def __call__(self, host: str, port: int) -> list[str]:
        """Raises OSError: there is no such name."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _resolve, host, port)
        return list(dict.fromkeys(found))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _resolve(host: str, port: int) -> list[str]:
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class _Refused(Exception):
    """What the program is told, with an HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class _Request:
    host: str
    port: int
    forward: bytes | None  # the head to send on; None: a CONNECT, which is answered here


class EgressProxy:
    """What one sandbox may ask for. Whoever listens gives it the connections, and closes it after the last."""

    def __init__(self, egress: Egress, rules: EgressRules, resolve: Resolve, *, name: str) -> None:
        self._egress = egress
        self._rules = rules
        self._resolve = resolve
        self._name = name
        self._pace = Pace()
        self._audit_at = 0.0
        self._unsaid = 0
        self._resolving = asyncio.Semaphore(RESOLVING)
        self._connections: dict[asyncio.Task[None], None] = {}  # the oldest first

    @property
    def connections(self) -> int:
        return len(self._connections)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """`reader` has the limit HEAD_BYTES. Beyond MAX_CONNECTIONS it is cut."""
        if len(self._connections) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        _hold_little(writer)
        connection = asyncio.create_task(self._serve(reader, writer), name=f"egress {self._name}")
        self._connections[connection] = None
        connection.add_done_callback(self._connections.pop)

    def cut_oldest(self) -> None:
        next(one for one in self._connections if not one.cancelling()).cancel()

    async def close(self) -> None:
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        outside: asyncio.StreamWriter | None = None
        try:
            request = await _read_request(reader)
            answering, outside = await self._connect(request)
            _hold_little(outside)
            if request.forward is None:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                outside.write(request.forward)
            await _relay((reader, writer), (answering, outside))
        except _Refused as refusal:
            await _refuse(writer, refusal)
        except (OSError, EOFError):
            pass  # either end is gone or idle (TimeoutError): nobody is left to be told
        finally:
            for end in (writer, outside):
                if end:
                    end.transport.abort()

    async def _connect(self, request: _Request) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = request.host, request.port
        verdict = self._rules.verdict(self._egress, host, port)
        if verdict is Verdict.REFUSED:
            self._audit(host, port, "not allowed")
            raise _Refused(403, f"{host}:{port} is not allowed from here.")
        if not self._pace.admits(f"{host}:{port}", asyncio.get_running_loop().time()):
            self._audit(host, port, "too many destinations")
            raise _Refused(429, "Too many different hosts were asked for. Wait a minute.")
        addresses = await self._addresses(host, port)
        if verdict is Verdict.PUBLIC and not all(self._may_reach(address) for address in addresses):
            self._audit(host, port, f"leads to {addresses}")
            raise _Refused(403, f"{host} is not a public address.")
        for address in addresses:
            try:
                async with asyncio.timeout(CONNECT_S):
                    return await asyncio.open_connection(address, port, limit=PIECE_BYTES)
            except OSError:
                continue
        raise _Refused(502, f"{host}:{port} does not answer.")

    def _may_reach(self, text: str) -> bool:
        """Public, and not this machine by its public address: behind that are services which trust it."""
        address = ipaddress.ip_address(text.partition("%")[0])
        return is_public(address, self._rules.private) and not _is_ours(address)

    async def _addresses(self, host: str, port: int) -> list[str]:
        with suppress(ValueError):
            return [str(ipaddress.ip_address(host))]
        try:
            async with asyncio.timeout(RESOLVE_S), self._resolving:
                addresses = await self._resolve(host, port)
        except OSError:
            addresses = []
        if not addresses:
            raise _Refused(502, f"There is no host {host}.")
        return addresses

    def _audit(self, host: str, port: int, why: str) -> None:
        """At most once in AUDIT_S: programs must not fill the log."""
        now = asyncio.get_running_loop().time()
        self._unsaid += 1
        if now >= self._audit_at:
            log.warning("egress of %s to %s:%d refused: %s (%d refused)", self._name, host, port, why, self._unsaid)
            self._audit_at = now + AUDIT_S
            self._unsaid = 0


def _is_ours(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Only an own address can be bound."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def _hold_little(end: asyncio.StreamWriter) -> None:
    end.transport.set_write_buffer_limits(high=PIECE_BYTES)
    transport: Any = end.transport
    if hasattr(transport, "max_size"):  # how much asyncio's own reads at once; it offers no other way to say it
        transport.max_size = READ_BYTES


async def _read_request(reader: asyncio.StreamReader) -> _Request:
    try:
        async with asyncio.timeout(HEAD_S):
            head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise _Refused(431, "The request's head is too long.") from None
    try:
        return parse(head)
    except ValueError as error:
        raise _Refused(400, f"This is a proxy: {error}.") from None


def parse(head: bytes) -> _Request:
    """A request's head, its empty line included. Raises ValueError: not one for a proxy."""
    first, *fields = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, _, rest = first.partition(" ")
    target, _, version = rest.rpartition(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError("only HTTP/1 is spoken here")
    if method == "CONNECT":
        host, _, port = target.rpartition(":")
        return _Request(host_name(host), _port(port), None)
    url = urlsplit(target)
    if url.scheme != "http" or not url.hostname or url.username is not None:
        raise ValueError("give the whole http:// address, or CONNECT")
    host = host_name(f"[{url.hostname}]" if ":" in url.hostname else url.hostname)
    kept = [field for field in fields if field.partition(":")[0].strip().lower() not in _HOP_BY_HOP | {"host"}]
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    # One request a connection: the next one may be for another host.
    lines = [f"{method} {path} {version}", f"Host: {url.netloc}", *kept, "Connection: close", "", ""]
    return _Request(host, url.port or 80, "\r\n".join(lines).encode("latin-1"))


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ValueError("there is no such port")
    return int(text)


async def _refuse(writer: asyncio.StreamWriter, refusal: _Refused) -> None:
    body = f"{refusal}\n".encode()
    # Also in the status line: pip, npm and others show nothing else of a refused CONNECT.
    head = f"HTTP/1.1 {refusal.status} {refusal}\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
    with suppress(OSError):
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
        async with asyncio.timeout(HEAD_S):
            await writer.drain()
            writer.write_eof()
            writer.close()
            await writer.wait_closed()


_End = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _relay(program: _End, outside: _End) -> None:
    """Both directions until both have ended, each no faster than its receiver. Raises TimeoutError: neither moved."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(IDLE_S) as idle:

        async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while piece := await reader.read(PIECE_BYTES):
                writer.write(piece)
                await writer.drain()
                idle.reschedule(loop.time() + IDLE_S)
            writer.write_eof()

        try:
            async with asyncio.TaskGroup() as directions:
                directions.create_task(pump(program[0], outside[1]))
                directions.create_task(pump(outside[0], program[1]))
        except* OSError:
            pass  # one end is gone, which ends both directions
    for end in (program, outside):
        end[1].close()
        with suppress(OSError):
            await end[1].wait_closed()
