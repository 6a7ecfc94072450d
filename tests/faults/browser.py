"""A person's browser, as HTTP and WebSockets see it, and one of their REPLs."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from tests.runner.documents.tab import Tab
from tests.runner.proxy.stage import Listener
from tests.runner.proxy.stage import Tab as Terminal

DEADLINE_S = 60
SENTENCE = re.compile(r"\S.*[.!?]", re.DOTALL)

Json = dict[str, Any]


class Frames:
    """The documents WebSocket, one frame after the other."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def receive(self, frame: bytes) -> None:
        await self._socket.send(frame)

    async def next_frame(self) -> bytes:
        frame = await self._socket.recv()
        assert isinstance(frame, bytes)
        return frame

    def close(self) -> None:
        self._socket.transport.abort()


class Browser:
    """`cookie` is its session's."""

    def __init__(self, origin: str, cookie: str) -> None:
        self.origin = origin
        self.cookie = cookie
        self.http = httpx.AsyncClient(
            base_url=origin, headers={"Origin": origin, "Cookie": cookie}, timeout=DEADLINE_S, trust_env=False
        )

    def socket(self, path: str) -> connect:
        """Raises InvalidStatus for a handshake that is refused."""
        return connect(
            f"ws{self.origin.removeprefix('http')}{path}",
            origin=Origin(self.origin),
            additional_headers={"Cookie": self.cookie},
            compression=None,
            max_size=None,
            proxy=None,
        )

    async def refused_socket(self, path: str) -> httpx.Response:
        """What a WebSocket's handshake is answered that must be refused."""
        try:
            async with self.socket(path):
                raise AssertionError(f"{path} was opened")
        except InvalidStatus as refused:
            answer = refused.response
            return httpx.Response(answer.status_code, content=bytes(answer.body or b""))

    async def create(self, name: str = "REPL", template: str = "bash", **wanted: Any) -> "Repl":
        """A new one, running."""
        made = await self.http.post("/api/repls", json={"name": name, "template": template, **wanted})
        assert made.status_code == 201, made.text
        repl = Repl(self, made.json())
        await repl.start()
        return repl


@asynccontextmanager
async def browsing(origin: str, cookie: str) -> AsyncIterator[Browser]:
    """Afterwards the server must still serve."""
    browser = Browser(origin, cookie)
    async with browser.http:
        yield browser
        assert (await browser.http.get("/healthz")).json() == {"status": "ok"}


class Repl:
    """Paths are those of its runner: `files/main.py`."""

    def __init__(self, browser: Browser, about: Json) -> None:
        self.browser = browser
        self.id: str = about["id"]
        self.slug: str = about["slug"]

    def at(self, path: str) -> str:
        return f"/repls/{self.id}/{path}"

    async def start(self) -> None:
        answer = await self.do("start?wait=true")
        assert answer["phase"] == "running"

    async def do(self, what: str) -> Json:
        """`start`, `stop` …, as the API calls them."""
        answer = await self.browser.http.post(f"/api/repls/{self.id}/{what}")
        assert answer.status_code < 300, answer.text
        about: Json = answer.json()
        return about

    async def about(self) -> Json:
        about: Json = (await self.browser.http.get(f"/api/repls/{self.id}")).json()
        return about

    async def get(self, path: str, **given: Any) -> httpx.Response:
        return await self.browser.http.get(self.at(path), **given)

    async def put(self, path: str, content: str | bytes, **given: Any) -> httpx.Response:
        return await self.browser.http.put(self.at(path), content=content, **given)

    async def post(self, path: str, given: Json | None = None) -> httpx.Response:
        return await self.browser.http.post(self.at(path), json=given or {})

    async def delete(self, path: str) -> httpx.Response:
        return await self.browser.http.delete(self.at(path))

    async def text(self, path: str) -> str:
        """Of a file."""
        answer = await self.get(f"files/{path}")
        assert answer.status_code == 200, answer.text
        return answer.text

    async def execute(self, command: str) -> Json:
        answer = await self.post("exec", {"command": command})
        assert answer.status_code == 200, answer.text
        said: Json = answer.json()
        return said

    async def run(self, command: str) -> str:
        """The Run button, for this command -> the terminal."""
        await self.put("files/.devex.toml", f"run = '''{command}'''\n")
        answer = await self.post("run")
        assert answer.status_code == 201, answer.text
        return str(answer.json()["terminal"])

    @asynccontextmanager
    async def attached(self, terminal: str) -> AsyncIterator[Terminal]:
        async with self.browser.socket(self.at(f"terminals/{terminal}")) as socket:
            yield Terminal(socket)

    @asynccontextmanager
    async def shell(self) -> AsyncIterator[Terminal]:
        opened = await self.post("terminals")
        assert opened.status_code == 201, opened.text
        async with self.attached(opened.json()["id"]) as terminal:
            yield terminal

    @asynccontextmanager
    async def tab(self, path: str) -> AsyncIterator[Tab]:
        """A page that has the file open in its editor."""
        async with self.browser.socket(self.at("documents")) as socket:
            yield await Tab(path).over(Frames(socket))

    @asynccontextmanager
    async def events(self) -> AsyncIterator[Listener]:
        async with self.browser.socket(self.at("events")) as socket:
            yield Listener(socket)


def refusal(answer: httpx.Response, status: int) -> str:
    """What a refused person reads: a sentence and one thing to do."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "action", "id"}
    assert all(error.values())
    for told in (error["message"], error["action"]):
        assert SENTENCE.fullmatch(told), told
        assert "Traceback" not in told
    return f"{error['message']} {error['action']}"
