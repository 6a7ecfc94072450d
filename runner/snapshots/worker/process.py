"""The server's end of one worker process: starts it, gives it jobs, tells its answers apart, ends it."""

import asyncio
import logging
import os
import sys
from collections.abc import AsyncGenerator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Final, Self

from runner.errors import DevexError
from runner.snapshots.stores.asking import Ask
from runner.snapshots.stores.store import Fenced, StoreError
from runner.snapshots.worker import frames
from runner.snapshots.worker.frames import Message

END_S: Final = 5.0  # for a worker that is told to end, and then for the system to end it
CANCEL_S: Final = 60.0  # for a job that is given up: a slow disk writes some GiB in that time, one that hangs nothing
_ROOT: Final = Path(__file__).resolve().parents[3]
MALLOC: Final = {  # glibc's: packs go back to the system at once, not into a heap of each thread: 35 MB less
    "MALLOC_ARENA_MAX": "2",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
}
WAITING: Final = 64  # answers to one job; it sends no more pieces than it was asked for, and progress can be dropped

log = logging.getLogger(__name__)


class WorkerDied(StoreError):
    def __init__(self) -> None:
        super().__init__("The process that saves versions ended unexpectedly.", retryable=True)


class WorkerProcess:
    """One process and the jobs it has."""

    def __init__(self, process: asyncio.subprocess.Process, answer: Ask | None, cancel_s: float) -> None:
        self.process = process
        self._answer = answer
        self._cancel_s = cancel_s
        self._answering: set[asyncio.Task[None]] = set()
        self.alive = True  # takes jobs
        self._numbers = count(1)
        self._jobs: dict[int, asyncio.Queue[tuple[Message, bytes]]] = {}
        self._unfinished: dict[int, str] = {}  # what the process has not ended, also of those who have left
        self._given_up: dict[int, asyncio.TimerHandle] = {}
        self._reading = asyncio.create_task(self._read(), name="worker's answers")

    @classmethod
    async def start(cls, answer: Ask | None, cancel_s: float) -> Self:
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
        return cls(process, answer, cancel_s)

    @property
    def busy(self) -> bool:
        return bool(self._jobs)

    async def end(self) -> None:
        """By itself, or by force: one that hangs in its last job would stay for ever."""
        self.alive = False
        self._write(None)
        done, _ = await asyncio.wait([self._reading], timeout=END_S)
        if not done:
            self._kill()
            done, _ = await asyncio.wait([self._reading], timeout=END_S)
        if not done:  # in a system call that nothing interrupts
            log.error("process %d, which saved versions, does not even end when it is killed", self.process.pid)
            self._reading.cancel()
            await asyncio.wait([self._reading])

    async def job(self, job: Message) -> AsyncGenerator[tuple[Message, bytes], None]:
        """Its answers up to the last; ends the job when it is left early."""
        number = next(self._numbers)
        answers = self._jobs[number] = asyncio.Queue(WAITING)
        self._unfinished[number] = job["do"]
        try:
            self._write({**job, "id": number})
            done = False
            while not done:
                message, data = await answers.get()
                done = _is_last(message)
                if message.keys() & {"died", "cancelled"}:
                    raise WorkerDied
                if "error" in message:
                    raise _error(message["error"])
                if "piece" in message:
                    self._write({"id": number, "next": True})
                yield message, data
        finally:
            del self._jobs[number]
            if number in self._unfinished:
                self._write({"id": number, "cancel": True})
                later = asyncio.get_running_loop().call_later
                self._given_up[number] = later(self._cancel_s, self._hangs, number)

    def _hangs(self, number: int) -> None:
        what = self._unfinished[number]
        log.error(
            "“%s” was given up %.0f s ago and goes on: process %d is killed", what, self._cancel_s, self.process.pid
        )
        self._kill()
        self._died()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            self.process.kill()

    def _died(self) -> None:
        """Whoever waits is told, and nothing more is expected."""
        self.alive = False
        for task in self._answering:
            task.cancel()
        for timer in self._given_up.values():
            timer.cancel()
        self._given_up.clear()
        self._unfinished.clear()
        for number, answers in self._jobs.items():
            if answers.full():
                answers.get_nowait()
            answers.put_nowait(({"id": number, "died": True}, b""))

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
                number = got[0]["id"]
                if _is_last(got[0]):
                    self._unfinished.pop(number, None)
                    if (timer := self._given_up.pop(number, None)) is not None:
                        timer.cancel()
                answers = self._jobs.get(number)
                if answers is not None and not ("progress" in got[0] and answers.full()):
                    answers.put_nowait(got)
        except (ValueError, KeyError, asyncio.QueueFull):
            log.exception("the worker wrote nonsense")
            self._kill()
        finally:
            self._died()
        await self.process.wait()


def _is_last(message: Message) -> bool:
    return not message.keys() & {"piece", "progress", "turn"}


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
