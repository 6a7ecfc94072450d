"""A program as users write them, on a port: tells what it was asked, streams, sets cookies, talks WebSocket."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from tests.runner.proxy.stage import DEADLINE_S

SWITCHED = b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "


class Program:
    """`left` is set when a browser has left `/endless` or `/ws`; `sent_bytes` is what `/endless` got rid of; `paths` is
    what `/asked` was asked for.
    """

    def __init__(self) -> None:
        self.left = asyncio.Event()
        self.sent_bytes = 0
        self.paths: list[str] = []
        self.may_answer = asyncio.Event()
        self.close_code: int | None = None
        self.app = Starlette(
            routes=[
                Route("/asked/{rest:path}", self.asked, methods=["GET", "POST", "HEAD", "DELETE"]),
                Route("/digest", self.digest, methods=["POST"]),
                Route("/pieces", self.pieces),
                Route("/endless", self.endless),
                Route("/cookies", self.cookies),
                Route("/redirect", self.redirect),
                Route("/refuse-early", self.refuse_early, methods=["POST"]),
                WebSocketRoute("/ws", self.socket),
                WebSocketRoute("/ws-refused", self.refused),
                WebSocketRoute("/ws-endless", self.endless_socket),
            ]
        )

    async def asked(self, request: Request) -> Response:
        self.paths.append(request.url.path)
        headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in request.scope["headers"]]
        told = {
            "method": request.method,
            "path": request.scope["raw_path"].decode(),
            "query": request.url.query,
            "headers": headers,
            "body": (await request.body()).decode("latin-1"),
        }
        return JSONResponse(told, headers={"X-Devex-Trick": "1", "X-Own": "2", "Clear-Site-Data": '"*"'})

    async def digest(self, request: Request) -> Response:
        digest, size = hashlib.sha256(), 0
        async for piece in request.stream():
            digest.update(piece)
            size += len(piece)
        return JSONResponse({"sha256": digest.hexdigest(), "size": size})

    async def pieces(self, _: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            yield b"first"
            await self.may_answer.wait()
            yield b"second"

        return StreamingResponse(body(), media_type="text/event-stream")

    async def endless(self, _: Request) -> Response:
        async def body() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield bytes(65536)
                    self.sent_bytes += 65536
                    await asyncio.sleep(0)
            finally:
                self.left.set()

        return StreamingResponse(body())

    async def cookies(self, _: Request) -> Response:
        answer = PlainTextResponse("set")
        for value in (
            "own=1; Domain=localhost; Path=/",
            "devex_session=stolen; Path=/",
            "__Host-devex_ticket=stolen; Secure; Path=/",
            "=devex_session=nameless",
        ):
            answer.raw_headers.append((b"set-cookie", value.encode()))
        return answer

    async def redirect(self, request: Request) -> Response:
        return Response(status_code=302, headers={"Location": request.query_params["to"]})

    async def refuse_early(self, _: Request) -> Response:
        return PlainTextResponse("too much", 413)

    async def socket(self, socket: WebSocket) -> None:
        if "chat" in socket.scope["subprotocols"]:
            await socket.accept("chat")
        else:
            await socket.accept()
        told = {name.decode(): value.decode() for name, value in socket.scope["headers"]}
        await socket.send_json({"headers": told, "query": socket.url.query})
        try:
            while True:
                message = await socket.receive()
                if message["type"] == "websocket.disconnect":
                    self.close_code = message["code"]
                    return
                if message.get("text") == "close":
                    await socket.close(4321, "as you wish")
                    return
                await socket.send({**message, "type": "websocket.send"})
        except WebSocketDisconnect:
            return
        finally:
            self.left.set()

    async def refused(self, socket: WebSocket) -> None:
        await socket.send_denial_response(PlainTextResponse("not you", 403))

    async def endless_socket(self, socket: WebSocket) -> None:
        await socket.accept()
        try:
            while True:
                await socket.send_bytes(bytes(65536))
                self.sent_bytes += 65536
        except (WebSocketDisconnect, RuntimeError):
            return
        finally:
            self.left.set()


@asynccontextmanager
async def listening() -> AsyncIterator[tuple[Program, int]]:
    """The program and its port."""
    program = Program()
    config = uvicorn.Config(program.app, port=0, ws="websockets-sansio", log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(DEADLINE_S):
        while not server.started:
            await asyncio.sleep(0.005)
    yield program, server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = server.force_exit = True
    await serving


@asynccontextmanager
async def saying(answer: bytes) -> AsyncIterator[int]:
    """-> the port of a program that says this, whatever it is asked."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if key := re.search(rb"(?i)sec-websocket-key: (\S+)", head):
            accept = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
            writer.write(SWITCHED + base64.b64encode(accept) + b"\r\n\r\n")
        writer.write(answer)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
