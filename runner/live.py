"""What is open now, by session: so that signing out, or being signed out, closes it."""

import asyncio
from collections import defaultdict
from collections.abc import Collection
from types import TracebackType
from typing import Self

from runner.errors import DevexError


class SessionEnded(DevexError):
    def __init__(self) -> None:
        super().__init__("sign_in", "You are not signed in.", "Sign in and try again.", status=401)


class Live:
    """Held while a response streams or a socket is open."""

    def __init__(self) -> None:
        self._holds: defaultdict[str, set[Hold]] = defaultdict(set)

    def hold(self, session_id: str) -> "Hold":
        return Hold(self._holds, session_id)

    def sessions(self) -> set[str]:
        return set(self._holds)

    def end(self, session_ids: Collection[str]) -> None:
        """Close everything that these sessions hold open."""
        for session_id in session_ids:
            for hold in list(self._holds.get(session_id, ())):
                hold.end()


class Hold:
    """Used with `async with`. Raises SessionEnded when `end` cancelled what is inside. Idle while bytes flow."""

    def __init__(self, holds: "defaultdict[str, set[Hold]]", session_id: str) -> None:
        self._holds = holds
        self._session_id = session_id
        self._ended = False
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0

    def end(self) -> None:
        if self._task is not None and not self._ended:
            self._ended = True
            self._task.cancel()

    async def __aenter__(self) -> Self:
        self._task = asyncio.current_task()
        self._cancelling = self._task.cancelling() if self._task else 0
        self._holds[self._session_id].add(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holds[self._session_id].discard(self)
        if not self._holds[self._session_id]:
            del self._holds[self._session_id]
        task, self._task = self._task, None
        if self._ended and task is not None:
            others = task.uncancel() > self._cancelling  # somebody else cancelled as well: theirs goes on
            if kind is asyncio.CancelledError and not others:
                raise SessionEnded from error
