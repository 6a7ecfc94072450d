"""The server's side of the worker process: started for the first job, ended when nothing came for a while."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final, Self

from runner.errors import DevexError
from runner.snapshots import frames
from runner.snapshots.asking import Ask
from runner.snapshots.frames import Message
from runner.snapshots.store import Fenced, StoreError

IDLE_S: Final = 90.0  # longer than the pause of autosave: while people work the worker is warm
END_S: Final = 5.0  # for a worker that is told to end
_ROOT: Final = Path(__file__).resolve().parents[2]
MALLOC: Final = {  # glibc's: packs go back to the system at once, not into a heap of each thread: 35 MB less
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
}
WAITING: Final = 64  # answers to one job; it sends no more pieces than it was asked for, and progress can be dropped

log = logging.getLogger(__name__)

Progress = Callable[[dict[str, int]], None]


class WorkerDied(StoreError):
    def __init__(self) -> None:
        super().__init__("The process that saves versions ended unexpectedly.", retryable=True)


class Workers:
    """Jobs as `runner.snapshots.worker` describes them. Use `async with`; safe from many tasks.

    `answer` answers what a signed store asks (see `asking`).
    """

    def __init__(self, idle_s: float = IDLE_S, answer: Ask | None = None) -> None:
        self._idle_s = idle_s
        self._answer = answer
        self._starting = asyncio.Lock()
        self._worker: _Worker | None = None
        self._resting: asyncio.TimerHandle | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        if self._resting is not None:
            self._resting.cancel()
        async with self._starting:
            if self._worker is not None:
                await self._worker.end()

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._worker.process.pid if self._worker and self._worker.alive else None

    async def run(self, do: str, progress: Progress | None = None, **job: Any) -> Any:
        """The result of a job. Raises what it raised, WorkerDied."""
        async with aclosing(self._answers({**job, "do": do})) as answers:
            async for message, _ in answers:
                if "result" in message:
                    return message["result"]
                if progress and "progress" in message:
                    progress(message["progress"])
        raise WorkerDied

    async def pieces(self, do: str, **job: Any) -> AsyncGenerator[bytes, None]:
        """What a job sends piece by piece. Raises as `run`."""
        async with aclosing(self._answers({**job, "do": do})) as answers:
            async for message, piece in answers:
                if "piece" in message:
                    yield piece

    async def _answers(self, job: Message) -> AsyncGenerator[tuple[Message, bytes], None]:
        """Once more by another process, when the first was dying and nobody had noticed: jobs may be repeated."""
        answered = False
        for last in (False, True):
            try:
                async with aclosing(self._answers_of_one(job)) as answers:
                    async for answer in answers:
                        answered = True
                        yield answer
                return
            except WorkerDied:
                if answered or last or self._closed:
                    raise

    async def _answers_of_one(self, job: Message) -> AsyncGenerator[tuple[Message, bytes], None]:
        async with self._starting:
            if self._closed:
                raise WorkerDied
            if self._worker is None or not self._worker.alive:
                self._worker = await _Worker.start(self._answer)
            worker = self._worker
        if self._resting is not None:
            self._resting.cancel()
        try:
            async with aclosing(worker.job(job)) as answers:
                async for answer in answers:
                    yield answer
        finally:
            if not worker.busy and worker.alive:
                if self._resting is not None:
                    self._resting.cancel()
                self._resting = asyncio.get_running_loop().call_later(self._idle_s, worker.rest)


class _Worker:
    """One process and the jobs it has."""

    def __init__(self, process: asyncio.subprocess.Process, answer: Ask | None) -> None:
        self.process = process
        self._answer = answer
        self._answering: set[asyncio.Task[None]] = set()
        self.alive = True  # takes jobs
        self._numbers = count(1)
        self._jobs: dict[int, asyncio.Queue[tuple[Message, bytes]]] = {}
        self._reading = asyncio.create_task(self._read(), name="worker's answers")

    @classmethod
    async def start(cls, answer: Ask | None) -> Self:
        pipe = asyncio.subprocess.PIPE
        arguments = (sys.executable, "-P", "-m", "runner.snapshots.worker")
        # Our code is found wherever the server was called from; what lies there is not ours.
        found_in = os.pathsep.join([str(_ROOT), *filter(None, sys.path)])
        process = await asyncio.create_subprocess_exec(
            *arguments,
            stdin=pipe,
            stdout=pipe,
            env={**os.environ, **MALLOC, "PYTHONPATH": found_in},
            start_new_session=True,  # Ctrl-C in the terminal is for the server alone
        )
        return cls(process, answer)

    @property
    def busy(self) -> bool:
        return bool(self._jobs)

    def rest(self) -> None:
        if not self.busy:
            self.alive = False
            self._write(None)

    async def end(self) -> None:
        self.alive = False
        self._write(None)
        try:
            await asyncio.wait_for(self.process.wait(), END_S)
        except TimeoutError:
            self.process.kill()
        await asyncio.wait([self._reading])

    async def job(self, job: Message) -> AsyncGenerator[tuple[Message, bytes], None]:
        """Its answers up to the last; ends the job when it is left early."""
        number = next(self._numbers)
        answers = self._jobs[number] = asyncio.Queue(WAITING)
        done = False
        try:
            self._write({**job, "id": number})
            while not done:
                message, data = await answers.get()
                done = not message.keys() & {"piece", "progress"}
                if "died" in message:
                    raise WorkerDied
                if "error" in message:
                    raise _error(message["error"])
                if "piece" in message:
                    self._write({"id": number, "next": True})
                yield message, data
        finally:
            del self._jobs[number]
            if not done:
                self._write({"id": number, "cancel": True})

    async def _reply(self, asked: Message) -> None:
        error = StoreError("Nobody signs here.", retryable=False)
        try:
            if self._answer is not None:
                self._write({"ask": asked["ask"], "answer": await self._answer(asked["question"])})
                return
        except StoreError as refused:
            error = refused
        told = {"message": error.message, "action": error.action, "retryable": error.retryable}
        self._write({"ask": asked["ask"], "answer": {"error": told}})

    def _write(self, message: Message | None) -> None:
        """None ends the input. Small messages, and a worker that always reads: nothing piles up."""
        assert self.process.stdin is not None
        if self.process.stdin.is_closing():
            return
        if message is None:
            self.process.stdin.close()
        else:
            self.process.stdin.write(frames.encode(message))

    async def _read(self) -> None:
        assert self.process.stdout is not None
        try:
            while (got := await frames.read(self.process.stdout)) is not None:
                if "ask" in got[0]:
                    task = asyncio.create_task(self._reply(got[0]), name="answer to the worker")
                    self._answering.add(task)
                    task.add_done_callback(self._answering.discard)
                    continue
                answers = self._jobs.get(got[0]["id"])
                if answers is not None and not ("progress" in got[0] and answers.full()):
                    answers.put_nowait(got)
        except (ValueError, KeyError, asyncio.QueueFull):
            log.exception("the worker wrote nonsense")
            with suppress(ProcessLookupError):
                self.process.kill()
        finally:
            self.alive = False
            for task in self._answering:
                task.cancel()
            for number, answers in self._jobs.items():
                if answers.full():
                    answers.get_nowait()
                answers.put_nowait(({"id": number, "died": True}, b""))
        await self.process.wait()


_KINDS: Final[dict[str, type[DevexError]]] = {"store": StoreError, "fenced": Fenced}  # that somebody here tells apart


def _error(said: Message) -> DevexError:
    """As it was raised there."""
    if cause := said.pop("cause", None):
        log.error("the worker broke: %s (id %s)", cause, said["id"])
    kind = _KINDS.get(said["code"], DevexError)
    error = kind.__new__(kind)
    Exception.__init__(error, said["message"])
    error.__dict__.update(said)
    return error
