"""The preview port of a pod: a real program behind a real proxy, and all who should not see it."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import psutil
import pytest
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from orchestrator.backends.base import SandboxSpec
from orchestrator.backends.kubernetes.backend import KubernetesBackend
from orchestrator.backends.kubernetes.cluster import Cluster, Ingress, Peer
from orchestrator.domain import Egress, Size
from runner.previews.entrance import ENTER, Entrance, NoPass
from runner.previews.hosts import PreviewDomain
from runner.previews.tickets import Pass, Ticket, preview_key, seal_pass
from runner.proxy import previews
from runner.proxy.control import Control
from runner.proxy.previews import BELIEVED_S, CHECKED_S, NotToldYet, Previewed, PreviewPort, Sessions
from runner.snapshots.stores.store import StoreError
from tests.orchestrator.kubernetes.conftest import CLUSTER
from tests.orchestrator.kubernetes.kubelet import Kubelet, PodProcesses
from tests.orchestrator.kubernetes.links import listening as serving
from tests.runner.proxy.program import Program, listening

DEADLINE_S = 60.0
MIB = 1 << 20
DOMAIN = PreviewDomain("https", "preview.test")
APPLICATION = "https://devex.test"
COOKIE = "__Host-devex_preview"
SPEC = SandboxSpec(
    repl_id="abc", template="python", epoch=3, run_command=None,
    environment={"PATH": "/usr/bin:/bin", "DEVEX_REPL_SLUG": "calm-otter"},
    size=Size(), egress=Egress.NONE,
)  # fmt: skip
PERSON = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@dataclass
class Previewing:
    """A pod's preview port, as the ingress controller has it; `entrance` is the control plane's."""

    backend: KubernetesBackend
    pod: PodProcesses
    program: Program
    port: int
    entrance: Entrance
    http: httpx.AsyncClient

    @property
    def host(self) -> str:
        return f"{self.port}-calm-otter.preview.test"

    def key(self, repl_id: str = "abc", epoch: int = 3, slug: str = "calm-otter") -> bytes:
        return preview_key(self.backend.key_of((repl_id, epoch)), slug)

    def address(self, path: str = "/", **more: Any) -> str:
        ticket = Ticket("calm-otter", (self.port,), "session", path)
        return self.entrance.address(self.key(), replace(ticket, **more))

    def cookie(self, key: bytes | None = None, *, port: int = 0, slug: str = "calm-otter", age_s: float = 0) -> str:
        granted = Pass(slug, port or self.port, "session")
        return f"{COOKIE}={seal_pass(key or self.key(), granted, time.time() - age_s)}"

    async def visit(self, url: str, **headers: str) -> httpx.Response:
        """`url` as a browser has it, or a path of the program's host."""
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        return await self.http.get(target, headers={"Host": parts.netloc or self.host} | headers)

    async def socket(self, path: str, origin: str | None, **headers: str) -> ClientConnection:
        return await connect(
            f"ws://{headers.pop('Host', self.host)}{path}", host="127.0.0.1", port=self.pod.preview_port, proxy=None,
            origin=None if origin is None else Origin(origin), additional_headers=headers,
        )  # fmt: skip


@pytest.fixture
def wishes() -> Cluster:
    way = Ingress(class_name="nginx", controller=Peer(namespace="ingress"))
    return replace(CLUSTER, ingress=way, previews=DOMAIN, origin=APPLICATION)


@pytest.fixture
async def previewing(backend: KubernetesBackend, kubelet: Kubelet) -> AsyncIterator[Previewing]:
    async with listening() as (program, port):
        assert backend.preview_doors is not None
        backend.preview_doors.may_look = lambda repl_id, session_id: _is(repl_id == "abc" and session_id == "session")
        await backend.ensure(SPEC)
        changes = backend.watch()
        async with asyncio.timeout(DEADLINE_S):
            while backend.runner_app("abc") is None:
                await anext(changes)
        (pod,) = kubelet.pods.values()
        async with httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{pod.preview_port}", timeout=DEADLINE_S, trust_env=False
        ) as http:
            entrance = Entrance(DOMAIN, _Nobody(), origin=APPLICATION, public=_never)
            yield Previewing(backend, pod, program, port, entrance, http)


async def _is(value: bool) -> bool:
    return value


class _Nobody:
    async def keys(self, slug: str) -> tuple[bytes]:
        raise AssertionError

    async def show(self, *_: Any) -> None:
        raise AssertionError


def _never(error: Exception) -> Any:
    raise AssertionError from error


async def test_a_visitor_with_a_ticket_sees_the_program_and_the_program_nothing_of_it(previewing: Previewing) -> None:
    at = previewing
    entered = await at.visit(at.address("/asked/a%2Fb?c=d"), Referer="https://elsewhere.test/", **PERSON)
    assert (entered.status_code, entered.headers["location"]) == (303, "/asked/a%2Fb?c=d")
    assert entered.headers["referrer-policy"] == "no-referrer"
    cookie, *attributes = entered.headers["set-cookie"].split("; ")
    assert cookie.startswith(f"{COOKIE}=")
    assert {"Path=/", "Secure", "HttpOnly", "SameSite=None", "Partitioned"} <= set(attributes)
    assert not any(attribute.lower().startswith("domain") for attribute in attributes)
    told = await at.visit(
        entered.headers["location"],
        Cookie=f"own=1; {cookie}",
        Referer=f"https://{at.host}{ENTER}?ticket=secret",
        **{"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "gopher"},
        **{"X-Devex-User": "root", "X-Real-Ip": "6.6.6.6", "Forwarded": "for=6.6.6.6"},
    )
    seen = told.json()
    headers = dict(seen["headers"])
    assert (seen["path"], seen["query"]) == ("/asked/a%2Fb", "c=d")
    assert headers["cookie"] == "own=1"
    assert (headers["x-forwarded-host"], headers["x-forwarded-proto"]) == (at.host, "https")
    for secret in ("ticket", "devex_preview", "6.6.6.6", "evil.test", "gopher", "root"):
        assert secret not in told.text
    async with await at.socket("/ws?x=1", f"https://{at.host}", Cookie=cookie) as socket:
        seen = json.loads(await socket.recv())
        assert seen["query"] == "x=1"
        assert "cookie" not in seen["headers"]
        await socket.send("hot reload")
        assert await socket.recv() == "hot reload"


async def test_who_has_no_ticket_is_sent_to_the_application(previewing: Previewing) -> None:
    at = previewing
    for path, told in (("/a?b=//c", "%2Fa%3Fb%3D%2F%2Fc"), ("//evil.test/", "%2F"), ("/\\evil.test", "%2F")):
        away = await at.http.send(httpx.Request("GET", f"{at.http.base_url}/", headers={"Host": at.host, **PERSON},
            extensions={"target": path.encode()}))  # fmt: skip
        assert away.status_code == 303
        back = quote(f"{ENTER}?then={told}", safe="")
        assert away.headers["location"] == f"{APPLICATION}/preview/calm-otter/{at.port}?path={back}"
    for more in ({"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Mode": "cors"}, {"Accept": "*/*"}):
        refused = await at.visit("/", **PERSON | more)
        assert (refused.status_code, refused.headers.get("location")) == (401, None)


async def test_nothing_that_was_stolen_planted_or_changed_lets_anybody_in(previewing: Previewing) -> None:
    at = previewing
    ours = at.cookie()
    assert (await at.visit("/asked/", Cookie=ours)).status_code == 200
    neighbour = at.key("neighbour", 1, "calm-otter")
    address = at.address()
    wrong = {
        "nothing": {},
        "another port's": {"Cookie": at.cookie(port=at.port + 1)},
        "another slug's": {"Cookie": at.cookie(slug="wild-boar")},
        "another REPL's": {"Cookie": at.cookie(neighbour)},
        "an old epoch's": {"Cookie": at.cookie(at.key(epoch=2))},
        "a later epoch's": {"Cookie": at.cookie(at.key(epoch=4))},
        "the link's key": {"Cookie": at.cookie(at.backend.key_of(("abc", 3)))},
        "too old": {"Cookie": at.cookie(age_s=12 * 3600)},
        "a ticket": {"Cookie": f"{COOKIE}={address.partition('ticket=')[2]}"},
        "without its prefix": {"Cookie": ours.removeprefix("__Host-")},
        "a header": {"Authorization": f"Bearer {ours.partition('=')[2]}"},
        "on a neighbour's host": {"Cookie": ours, "Host": f"{at.port}-wild-boar.preview.test"},
        "on another port's host": {"Cookie": ours, "Host": f"{at.port + 1}-calm-otter.preview.test"},
        "on a host that is no preview": {"Cookie": ours, "Host": "devex.test"},
        "forwarded": {"Cookie": ours, "Host": "devex.test", "X-Forwarded-Host": at.host},
        "on a longer host": {"Cookie": ours, "Host": f"{at.host}.evil.test"},
    }
    for name, headers in wrong.items():
        assert (await at.visit("/asked/", **headers)).status_code in (401, 421), name
        with pytest.raises(InvalidStatus):
            await at.socket("/ws", f"https://{at.host}", **headers)
    for origin in (None, "null", "https://evil.test", f"http://{at.host}", f"https://{at.port}-wild-boar.preview.test"):
        with pytest.raises(InvalidStatus):
            await at.socket("/ws", origin, Cookie=ours)
        if origin is not None:
            posted = await at.http.post("/digest", headers={"Host": at.host, "Cookie": ours, "Origin": origin})
            assert posted.json()["error"]["code"] == "origin"
    for planted in (f"{COOKIE}=x; {ours}", f"{ours}; {COOKIE}={at.cookie(neighbour).partition('=')[2]}"):
        assert (await at.visit("/asked/", Cookie=planted)).status_code == 200
    for target in ("1/asked/", "https://evil.test/", "*"):  # a path that is none names no other port
        asked = at.http.build_request("GET", "/", headers={"Host": at.host, "Cookie": ours})
        asked.extensions["target"] = target.encode()
        assert (await at.http.send(asked)).status_code == 400
    for path in ("/../x", "https://evil.test/", "//evil.test"):  # signed by mistake
        assert urlsplit((await at.visit(at.address(path))).headers["location"]).netloc == ""
    assert (await at.visit(address.replace(str(at.port), str(at.port + 1)))).status_code == 401
    assert (await at.visit(address.replace("calm-otter", "wild-boar"))).status_code == 421
    assert (await at.visit(address[:-1] + ("0" if address[-1] != "0" else "1"))).status_code == 401
    assert (await at.visit(at.address(session_id="ended"))).status_code == 303  # and no further
    assert (await at.visit(address)).status_code == 303
    assert (await at.visit(address)).status_code == 401, "it was used"
    set_cookies = (await at.visit("/cookies", Cookie=ours)).headers.get_list("set-cookie")
    assert set_cookies == ["own=1; Path=/"]


SMUGGLED = b"GET /asked/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
FRAMED_TWICE = (
    b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nContent-Length: 6\r\n\r\n0\r\n\r\n",
    b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % len(SMUGGLED),
    b"Content-Length: +0\r\n\r\n",
    b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"X: a\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Connection: content-length\r\nContent-Length: 0\r\n\r\n",
    b"Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"Expect: 100-continue\r\nContent-Length: 0\r\n\r\n",
    b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AA\r\n\r\n",
)


async def test_the_program_is_asked_what_was_let_in_and_nothing_else(previewing: Previewing) -> None:
    """However a request says where it ends, what comes behind it needs a pass as well."""
    at = previewing
    head = b"POST /asked/first HTTP/1.1\r\nHost: %s\r\nCookie: %s\r\n" % (at.host.encode(), at.cookie().encode())
    for framing in FRAMED_TWICE:
        reader, writer = await asyncio.open_connection("127.0.0.1", at.pod.preview_port)
        writer.write(head + framing + SMUGGLED)
        writer.write_eof()
        async with asyncio.timeout(DEADLINE_S):
            await reader.read()
        writer.close()
    assert set(at.program.paths) <= {"/asked/first"}


async def test_bodies_are_streamed_both_ways(previewing: Previewing) -> None:
    at = previewing
    piece = random.Random(1).randbytes(MIB)
    process = psutil.Process(at.pod.proxy.pid)
    held_before = process.memory_info().rss
    most = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal most
        for _ in range(100):
            yield piece
            most = max(most, process.memory_info().rss)

    ours = {"Host": at.host, "Cookie": at.cookie()}
    sent = await at.http.post("/digest", content=pieces(), headers=ours)
    assert sent.json()["size"] == 100 * MIB
    received = 0
    async with at.http.stream("GET", "/endless", headers=ours) as answer:
        async for data in answer.aiter_raw():
            received += len(data)
            most = max(most, process.memory_info().rss)
            if received >= 100 * MIB:
                break
    async with asyncio.timeout(DEADLINE_S):
        await at.program.left.wait()
    assert most - held_before < 32 * MIB


def cookie_of(session_id: str) -> str:
    return f"devex_preview={seal_pass(b'k', Pass('otter', 5000, session_id), time.time())}"


class Answering(Control):
    """As if a control plane had said so."""

    def __init__(self) -> None:
        super().__init__()
        self.good = True
        self.known = asyncio.Event()  # of other sessions

    async def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        if question != {"session": "session"} and not self.good:
            await self.known.wait()
        return {"good": self.good}


async def test_what_a_session_holds_open_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "CHECKED_S", 0.01)
    monkeypatch.setattr(previews, "ANSWER_S", DEADLINE_S)
    control, program = Answering(), Program()
    previewed = Previewed(slug="otter", domain=PreviewDomain("http", "preview.test"), origin=APPLICATION, key=b"k")

    async def proxy(scope: Scope, receive: Receive, send: Send) -> None:
        await program.app({**scope, "path": scope["path"].removeprefix("/ports/5000")}, receive, send)

    visits = PreviewPort(previewed, proxy, control)
    headers = {"Host": "5000-otter.preview.test", "Cookie": cookie_of("session")}
    async with serving(visits) as port, httpx.AsyncClient(trust_env=False) as http, AsyncExitStack() as stack:

        async def socket_of(session_id: str) -> ClientConnection:
            opening = connect(
                "ws://5000-otter.preview.test/ws", host="127.0.0.1", port=port, proxy=None,
                origin=Origin("http://5000-otter.preview.test"), additional_headers={"Cookie": cookie_of(session_id)},
            )  # fmt: skip
            return await stack.enter_async_context(opening)

        unclaimed = await http.get(f"http://127.0.0.1:{port}/asked/", headers=headers)
        assert (unclaimed.status_code, unclaimed.json()["error"]["code"]) == (503, "unclaimed")
        control.claimed.set()
        watching = asyncio.create_task(visits.watch())
        for number in range(previews.LOOKS_MOST - 1):
            await (await socket_of(f"of whom nobody knows {number}")).recv()
        socket = await socket_of("session")
        await socket.recv()
        control.good = False
        with pytest.raises(ConnectionClosed):
            async with asyncio.timeout(DEADLINE_S):
                await socket.recv()
        assert (await http.get(f"http://127.0.0.1:{port}/asked/", headers=headers)).status_code == 401
        control.known.set()
        watching.cancel()
        await asyncio.wait([watching])


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def test_a_session_is_asked_for_now_and_then() -> None:
    clock, asked, answers = Clock(), 0, {"good": True}

    async def ask(question: dict[str, Any]) -> dict[str, Any]:
        nonlocal asked
        asked += 1
        if not answers:
            raise StoreError("nobody there", retryable=True)
        return answers

    sessions = Sessions(ask, clock)
    await asyncio.gather(*(sessions.check("s") for _ in range(50)))
    assert asked == 1
    clock.now_s += CHECKED_S - 0.1  # as long as the answer took, when what is held open is looked at
    await sessions.check("s")
    assert asked == 2
    answers = {}  # the control plane is being replaced
    clock.now_s += BELIEVED_S - 1
    await sessions.check("s")
    with pytest.raises(NotToldYet):
        await sessions.check("another")
    clock.now_s += CHECKED_S
    with pytest.raises(NotToldYet):
        await sessions.check("s")
    answers = {"good": True}
    await sessions.check("s")
    answers = {"good": False}
    clock.now_s += CHECKED_S
    with pytest.raises(NoPass):
        await sessions.check("s")
