"""The worker process itself: reads jobs, does them side by side, writes their answers."""

import asyncio
import contextlib
import logging
import os
import sys
from functools import partial
from itertools import count
from typing import Final

from runner.errors import DevexError
from runner.snapshots.stores.store import StoreError
from runner.snapshots.worker import frames
from runner.snapshots.worker.frames import Message
from runner.snapshots.worker.jobs import Jobs
from runner.snapshots.worker.reply import Reply, Send

NICE: Final = 5  # typing goes before saving

log = logging.getLogger("devex.worker")


class Worker:
    def __init__(self, send: Send) -> None:
        self._send = send
        self._jobs = Jobs(self._ask)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._replies: dict[int, Reply] = {}
        self._questions = count(1)
        self._asked: dict[int, asyncio.Future[Message]] = {}

    async def run(self, reader: asyncio.StreamReader) -> None:
        async with self._jobs, asyncio.TaskGroup() as tasks:
            while (got := await frames.read(reader)) is not None:
                message, _ = got
                if "ask" in message:
                    if (asked := self._asked.get(message["ask"])) is not None and not asked.done():
                        asked.set_result(message["answer"])
                    continue
                number = message["id"]
                if "next" in message:
                    if (reply := self._replies.get(number)) is not None:
                        reply.another_piece()
                    continue
                if "cancel" in message:
                    if (task := self._tasks.get(number)) is not None:
                        task.cancel()
                    continue
                self._replies[number] = Reply(number, self._send)
                task = self._tasks[number] = tasks.create_task(self._job(message), name=f"job {message['do']}")
                task.add_done_callback(partial(self._ended, number))
            for task in self._tasks.values():
                task.cancel()

    def _ended(self, number: int, _: asyncio.Task[None]) -> None:
        del self._tasks[number], self._replies[number]

    async def _job(self, job: Message) -> None:
        """A job's outer edge: whatever breaks is its answer."""
        number = job["id"]
        try:
            answer = await self._jobs.do(job, self._replies[number])
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):  # there may be no server any more
                await self._send({"id": number, "cancelled": True}, b"")
            raise
        except DevexError as error:
            answer = _told(error)
        except Exception as error:
            log.exception("job %s broke", job["do"])
            fault = StoreError("Something went wrong in DEVEX itself.", retryable=True)
            answer = _told(fault, status=500, cause=repr(error))
        else:
            answer = {"result": answer}
        try:
            await self._send({"id": number, **answer}, b"")
        except ValueError:  # longer than the server listens to: it would end this process, and everybody's jobs
            large = DevexError("too_large", "This is too much to be listed.", "Look at a part of it.", status=413)
            await self._send({"id": number, **_told(large)}, b"")

    async def _ask(self, question: Message) -> Message:
        number = next(self._questions)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            await self._send({"ask": number, "question": question}, b"")
            answered: Message = await answer
            return answered
        finally:
            del self._asked[number]


def _told(error: DevexError, **more: object) -> Message:
    """As an answer."""
    return {"error": {**error.body()["error"], "status": error.status, "retryable": error.retryable, **more}}


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(1, "wb", 0))
    writer = asyncio.StreamWriter(transport, protocol, None, loop)
    sending = asyncio.Lock()

    async def send(message: Message, data: bytes) -> None:
        async with sending:
            writer.write(frames.encode(message, data))
            await writer.drain()

    await Worker(send).run(reader)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it would write signed addresses
    os.nice(NICE)
    asyncio.run(main())
