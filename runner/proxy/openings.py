"""Programs that the agent was asked to start, for people or for scripts, and has not answered about yet."""

import asyncio
from collections.abc import Awaitable
from typing import Final

from runner.errors import DevexError
from runner.protocol.errors import ProtocolError
from runner.protocol.messages import Open
from runner.proxy.link import AgentLink
from runner.workspace.paths import display

SHOWN_CHARACTERS: Final = 200  # of why a program could not be started: a sentence, no page
ANSWER_S: Final = 10.0  # for the agent to be there, and for it to start a program


class Openings:
    """`answered` and `answer_all` are told what the agent says of them, or that it says nothing any more."""

    def __init__(self, link: AgentLink) -> None:
        self._link = link
        self._answers: dict[int, asyncio.Future[str | None]] = {}  # by channel: why not; None: it was started

    def __contains__(self, channel: int) -> bool:
        return channel in self._answers

    async def until_agent(self) -> None:
        """Until the agent is there. DevexError."""
        try:
            async with asyncio.timeout(ANSWER_S):
                await self._link.ready.wait()
        except TimeoutError:
            message = "The sandbox does not answer."
            action = "Stop the REPL and start it again."
            raise DevexError("no_agent", message, action, status=503, retryable=True) from None

    def ask(self, opening: Open) -> Awaitable[None]:
        """Ask now -> to be awaited until it runs. DevexError: it does not, as far as anybody knows."""
        answer = self._answers[opening.channel] = asyncio.get_running_loop().create_future()
        try:
            self._link.send(opening)
        except ProtocolError as error:
            answer.set_result(str(error))
        return self._answer(opening.channel, answer)

    def answered(self, channel: int, reason: str | None) -> None:
        """`reason`: why it could not be started; None: it was."""
        answer = self._answers.get(channel)
        if answer and not answer.done():
            answer.set_result(reason)

    def answer_all(self, reason: str) -> None:
        """None of them was."""
        for channel in self._answers:
            self.answered(channel, reason)

    async def _answer(self, channel: int, answer: asyncio.Future[str | None]) -> None:
        try:
            async with asyncio.timeout(ANSWER_S):
                reason = await answer
        except TimeoutError:
            reason = "the sandbox does not answer"
        finally:
            del self._answers[channel]
        if reason is not None:
            message = f"The program could not be started: {display(reason)[:SHOWN_CHARACTERS]}."
            raise DevexError("not_started", message, "Check the command and try again.", status=502, retryable=True)
