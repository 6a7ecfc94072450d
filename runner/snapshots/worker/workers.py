"""The worker process there is: started for the first job, ended when nothing came for a while, replaced if it dies."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final, Self

from runner.snapshots.stores.asking import Ask
from runner.snapshots.worker.frames import Message
from runner.snapshots.worker.process import CANCEL_S, WorkerDied, WorkerProcess

IDLE_S: Final = 90.0  # longer than the pause of autosave: while people work the worker is warm
WAIT_S: Final = 1800.0  # for a job's turn: three others that take as long as they may

Progress = Callable[[dict[str, int]], None]


class Workers:
    """Jobs as `runner.snapshots.worker.jobs` describes them. Use `async with`; safe from many tasks.

    `answer` answers what a signed store asks (see `asking`). A process that has not ended a job `cancel_s` after it was
    given up is killed: one disk or store that hangs must not end everybody's versions. Jobs that had not had their
    turn are done by the next one.
    """

    def __init__(self, idle_s: float = IDLE_S, answer: Ask | None = None, cancel_s: float = CANCEL_S) -> None:
        self._idle_s = idle_s
        self._answer = answer
        self._cancel_s = cancel_s
        self._starting = asyncio.Lock()
        self._worker: WorkerProcess | None = None
        self._ending: set[asyncio.Task[None]] = set()
        self._resting: asyncio.TimerHandle | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closed = True
        if self._resting is not None:
            self._resting.cancel()
        async with self._starting:
            self._let_go()
        await asyncio.gather(*self._ending)

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._worker.process.pid if self._worker and self._worker.alive else None

    async def run(self, do: str, progress: Progress | None = None, turn_s: float | None = None, **job: Any) -> Any:
        """The result of a job. Raises what it raised, WorkerDied; TimeoutError `turn_s` after its turn came: of those
        jobs that are done one after another.
        """
        wait_s = None if turn_s is None else WAIT_S
        async with asyncio.timeout(wait_s) as deadline, aclosing(self._answers({**job, "do": do})) as answers:
            async for message, _ in answers:
                if "result" in message:
                    return message["result"]
                if turn_s is not None and "turn" in message:
                    deadline.reschedule(asyncio.get_running_loop().time() + turn_s)
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
        """Once more by another process, when the first ended before it had begun: jobs may be repeated."""
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
                self._let_go()
                self._worker = await WorkerProcess.start(self._answer, self._cancel_s)
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
                self._resting = asyncio.get_running_loop().call_later(self._idle_s, self._rest)

    def _rest(self) -> None:
        if self._worker is not None and not self._worker.busy:
            self._let_go()

    def _let_go(self) -> None:
        """Of the process, which ends beside the next one."""
        if self._worker is not None:
            ending = asyncio.create_task(self._worker.end(), name="end of a worker")
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            self._worker = None
