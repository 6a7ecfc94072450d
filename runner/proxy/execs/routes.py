"""Commands of scripts over HTTP and WebSocket.

- `POST exec` {command | argv, env?, cwd?, timeout_s?, stdin?} -> {exit_code, output, duration_s, truncated, timed_out,
  signal, peak_bytes, lost?}: output and errors together, the last 1 MiB of them
- the same with `stream: true` -> application/x-ndjson as it comes: {stdout} and {stderr}, or {stdout_base64} and
  {stderr_base64} of what is not UTF-8, {running_s} when nothing came for a while; last as above, without output
- `POST exec?command=…` (or argv=…&argv=…, env=NAME=value, cwd, timeout_s): the body is the input, answered in this way
- `WS exec`: runner/proxy/execs/wire.py

`exit_code` is null when the time was over, or with `lost: true` when the agent ended first. See wanted.py for the
fields, docs/protocol.md for what they mean.
"""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.status import WS_1007_INVALID_FRAME_PAYLOAD_DATA, WS_1012_SERVICE_RESTART
from starlette.types import Message, Receive, Scope, Send

from runner.answers import close_reason, refuse
from runner.errors import DevexError
from runner.protocol.messages import MAX_INPUT_BYTES, STDOUT
from runner.protocol.ring import Ring
from runner.proxy import http
from runner.proxy.execs import wire
from runner.proxy.execs.exec import Exec, TooMuchInput
from runner.proxy.execs.execs import Execs
from runner.proxy.execs.lines import Lines, line
from runner.proxy.execs.wanted import TOTAL_MOST_BYTES, Wanted, of_query, parse, wanted
from runner.proxy.terminals.exits import SIGNALS_OF_SCRIPTS
from runner.proxy.terminals.wire import BadMessage, cells, offset
from runner.viewer import ReadOnly, viewer_of

EXEC_S: Final = 60  # for an answer in one piece, when nothing else is asked for
EXEC_MOST_S: Final = 600  # nothing is heard until then: whatever is between gives up
LINGER_S: Final = 5.0  # behind EXITED: who would acknowledge into a closed socket might not read to the end
FIRST_S: Final = 10.0  # for the first message of a WebSocket
CREDIT_BYTES: Final = 32 * 1024  # of input, granted at once: fewer messages
SILENCE_S: Final = 20.0  # after which a stream says that it lives: proxies cut what is silent for a minute
T = TypeVar("T")
_JOINED: Final = ("/bin/sh", "-c", 'exec "$@" 2>&1', "sh")  # one pipe for both: in the order in which they came


class Stopping(DevexError):
    def __init__(self) -> None:
        message = "The server is stopping, and the command ended with it."
        super().__init__("stopping", message, "Run it again in a moment.", status=503, retryable=True)


class ExecRoutes:
    """`flush` brings open documents to disk, `on_run` is called at every start, `on_key` when a script sends input."""

    def __init__(
        self, execs: Execs, *, flush: Callable[[], Awaitable[None]], on_run: Callable[[], None],
        on_key: Callable[[], None],
    ) -> None:  # fmt: skip
        self._execs = execs
        self._flush = flush
        self._on_run = on_run
        self._on_key = on_key

    def routes(self) -> list[BaseRoute]:
        return [http.Endpoint("POST", "/exec", self._post, writes=True), WebSocketRoute("/exec", self)]

    async def _post(self, request: Request) -> Response:
        body: AsyncIterable[bytes]
        if request.scope["query_string"]:
            asked, body = of_query(request.query_params.multi_items()), self._input_in(request)
        else:
            asked = wanted(await http.json_body(request, TOTAL_MOST_BYTES))
            body = _said(asked.stdin)
        if asked.tty:
            raise DevexError("bad_request", "A terminal needs a WebSocket.", "Open one, or leave “tty” out.")
        if asked.stream:
            return _Streamed(self._execs, await self._open(asked), body)
        limit_s = min(asked.timeout_s or EXEC_S, EXEC_MOST_S)
        exec_ = await self._open(replace(asked, argv=(*_JOINED, *asked.argv), timeout_s=limit_s))
        answer = await _beside(self._execs, exec_, _whole(exec_), _read(exec_, body, request.receive))
        if answer is None:
            raise ClientDisconnect
        return answer

    async def _input_in(self, request: Request) -> AsyncIterator[bytes]:
        async for data in request.stream():
            self._on_key()
            yield data

    async def _open(self, asked: Wanted) -> Exec:
        self._on_run()
        await self._flush()
        return await self._execs.open(asked)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The WebSocket."""
        await receive()  # websocket.connect
        if not viewer_of(scope).can_write:
            await refuse(scope, receive, send, http.refusal(ReadOnly()))
            return
        await send({"type": "websocket.accept"})
        try:
            async with asyncio.timeout(FIRST_S):
                first = await receive()
            if first["type"] == "websocket.disconnect":
                return
            asked = parse(first.get("text") or first.get("bytes") or "")
            if isinstance(asked.stdin, str):
                raise DevexError("bad_request", "The input comes in messages.", "Send true as “stdin”, then INPUT.")
            exec_ = await self._open(asked)
        except (DevexError, TimeoutError) as problem:
            await _say_no(send, problem)
            return
        if not asked.stdin and not asked.tty:
            exec_.end_input()
        sending = asyncio.create_task(_send(send, exec_), name=exec_.name)
        try:
            await self._receive(receive, send, exec_, by_keys=asked.tty is not None)
        finally:
            self._execs.close(exec_)
            await _cancelled(sending)
        if not sending.cancelled():
            sending.result()

    async def _receive(self, receive: Receive, send: Send, exec_: Exec, *, by_keys: bool) -> None:
        """Until the script leaves, or was sent away."""
        while (message := await receive())["type"] != "websocket.disconnect":
            try:
                self._accept(exec_, message)
            except (BadMessage, TooMuchInput) as error:
                reason = str(error) or "more input than CREDIT allows"
                await send({"type": "websocket.close", "code": WS_1007_INVALID_FRAME_PAYLOAD_DATA, "reason": reason})
                return
            if by_keys:  # a terminal's input is not bounded by credit
                await self._execs.writable()

    def _accept(self, exec_: Exec, message: Message) -> None:
        data = message.get("bytes")
        if not data:
            raise BadMessage("not a message")
        kind, body = data[0], data[1:]
        if kind == wire.INPUT:
            exec_.write(body)
            self._on_key()
        elif kind == wire.EOF:
            exec_.end_input()
        elif kind == wire.ACK:
            exec_.acknowledge(offset(body))
        elif kind == wire.SIGNAL and len(body) == 1 and body[0] in SIGNALS_OF_SCRIPTS:
            exec_.signal(body[0])
        elif kind == wire.RESIZE:
            exec_.resize(*cells(body))
        else:
            raise BadMessage("an unknown kind of message, or signal")


class _Streamed(Response):
    """Lines as they come, while the body is read as input."""

    def __init__(self, execs: Execs, exec_: Exec, body: AsyncIterable[bytes]) -> None:
        super().__init__()
        self._execs = execs
        self._exec = exec_
        self._body = body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _beside(self._execs, self._exec, self._talk(send), _read(self._exec, self._body, receive))

    async def _talk(self, send: Send) -> None:
        head = [(b"content-type", b"application/x-ndjson"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": [*head, (b"x-accel-buffering", b"no")]})
        lines, exec_ = Lines(), self._exec

        async def say(text: bytes, more: bool = True) -> None:
            if text or not more:
                await send({"type": "http.response.body", "body": text, "more_body": more})

        async for kind, data in _output(exec_, SILENCE_S):
            if kind is None:
                await say(line({"running_s": round(time.monotonic() - exec_.started_s, 1)}))
            else:
                await say(lines.of(kind, data))
                exec_.acknowledge()
        await say(lines.rest() + line(exec_.told()), more=False)


async def _whole(exec_: Exec) -> Response:
    ring = Ring()
    async for _, data in _output(exec_):
        ring.append(ring.end, data)
        exec_.acknowledge()
    output = ring.since(ring.start).decode("utf-8", "replace")
    return http.Json({**exec_.told(), "output": output, "truncated": ring.start > 0})


async def _read(exec_: Exec, body: AsyncIterable[bytes], receive: Receive) -> None:
    """The body as input; then until they leave."""
    with suppress(ClientDisconnect):
        await _feed(exec_, body)
        while (await receive())["type"] != "http.disconnect":
            pass


async def _beside(
    execs: Execs, exec_: Exec, answering: Coroutine[Any, Any, T], reading: Coroutine[Any, Any, None]
) -> T | None:
    """What `answering` returns; None when they have left before it did. The program ends with it."""
    both = (asyncio.create_task(answering, name=exec_.name), asyncio.create_task(reading, name=exec_.name))
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        execs.close(exec_)
        for one in both:
            await _cancelled(one)
    if not both[1].cancelled():
        both[1].result()
    return None if both[0].cancelled() else both[0].result()


async def _send(send: Send, exec_: Exec) -> None:
    kinds, credited = {STDOUT: wire.OUTPUT}, -1
    with suppress(OSError, RuntimeError):  # the script has left, or the server is closing: _receive is told as well
        await send({"type": "websocket.send", "bytes": wire.told(wire.READY, {"id": exec_.name})})
        while not exec_.is_over:
            if exec_.input_upto - credited >= CREDIT_BYTES:
                credited = exec_.input_upto
                await send({"type": "websocket.send", "bytes": wire.credit(credited)})
            elif piece := exec_.take():
                kind = kinds.get(piece[0], wire.ERRORS)
                await send({"type": "websocket.send", "bytes": bytes([kind]) + piece[1]})
            else:
                exec_.wake.clear()
                await exec_.wake.wait()
        if exec_.exit is None:
            await send({"type": "websocket.close", "code": WS_1012_SERVICE_RESTART, "reason": "the server is stopping"})
            return
        await send({"type": "websocket.send", "bytes": wire.told(wire.EXITED, exec_.told())})
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while not exec_.is_acknowledged:
                    exec_.wake.clear()
                    await exec_.wake.wait()
        await send({"type": "websocket.close", "code": wire.DONE})


async def _say_no(send: Send, problem: DevexError | TimeoutError) -> None:
    if isinstance(problem, TimeoutError):
        problem = DevexError("bad_request", "No command came.", "Send one as the first message.", status=408)
    await send({"type": "websocket.send", "bytes": wire.told(wire.REFUSED, problem.body())})
    await send({"type": "websocket.close", "code": wire.NOT_RUN, "reason": close_reason(problem.message)})


async def _output(exec_: Exec, silence_s: float | None = None) -> AsyncIterator[tuple[int | None, bytes]]:
    """All that it writes; (None, b"") after a silence. Raises Stopping."""
    while not exec_.is_over:
        if piece := exec_.take():
            yield piece
            continue
        exec_.wake.clear()
        try:
            async with asyncio.timeout(silence_s):
                await exec_.wake.wait()
        except TimeoutError:
            yield None, b""
    if exec_.exit is None:
        raise Stopping


async def _feed(exec_: Exec, body: AsyncIterable[bytes]) -> None:
    """No faster than it takes it."""
    async for data in body:
        for at in range(0, len(data), MAX_INPUT_BYTES):
            piece = data[at : at + MAX_INPUT_BYTES]
            await exec_.until_room(len(piece))
            exec_.write(piece)
    exec_.end_input()


async def _said(text: str | bool) -> AsyncIterator[bytes]:
    if isinstance(text, str):
        yield text.encode("utf-8", "surrogatepass")


async def _cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.wait([task])
