"""The same routes by links, as a pod serves them: what the other tests say of terminals, ports, files and runs."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from runner.forwarding.serving import Links
from tests.orchestrator.kubernetes.links import KEY, WHO, forward_to, listening
from tests.runner.proxy.stage import Stage
from tests.runner.proxy.test_events import test_changes_are_told
from tests.runner.proxy.test_events import test_files_and_programs_see_the_same as test_files_and_programs
from tests.runner.proxy.test_execs import test_a_body_is_the_input as test_a_body
from tests.runner.proxy.test_execs import test_a_flood_arrives_whole as test_a_flood
from tests.runner.proxy.test_execs import test_a_reader_runs_nothing as test_a_reader
from tests.runner.proxy.test_execs import test_large_input_arrives_whole_and_in_its_own_time as test_large_input
from tests.runner.proxy.test_execs import test_lines_come_while_it_runs as test_lines
from tests.runner.proxy.test_execs import (
    test_who_does_not_read_holds_its_program_and_nobody_else as test_who_does_not_read,
)
from tests.runner.proxy.test_execs import test_who_leaves_takes_its_program_along as test_who_leaves
from tests.runner.proxy.test_ports import test_a_large_upload_arrives_whole as test_a_large_upload
from tests.runner.proxy.test_ports import test_a_refusal_arrives_while_much_is_still_sent as test_a_refusal
from tests.runner.proxy.test_ports import test_a_request_arrives_as_it_was_sent as test_a_request
from tests.runner.proxy.test_ports import test_pieces_are_passed_on_as_they_come as test_pieces
from tests.runner.proxy.test_runs import test_a_run_has_a_terminal_a_command_and_an_end as test_a_run
from tests.runner.proxy.test_runs import test_a_run_outlives_a_restart_of_the_proxy as test_a_restart
from tests.runner.proxy.test_terminals import (
    test_nothing_is_lost_or_repeated_when_the_socket_is_cut_at_random as test_cut_sockets,
)
from tests.runner.proxy.test_terminals import test_pings_are_answered_and_nonsense_ends_the_attachment as test_pings
from tests.runner.proxy.test_terminals import test_two_tabs_of_one_person_see_the_same_and_both_type as test_two_tabs
from tests.runner.proxy.test_terminals import test_unknown_and_closed_terminals_say_so as test_unknown_terminals

__all__ = [
    "test_a_body", "test_a_flood", "test_a_large_upload", "test_a_reader", "test_a_refusal", "test_a_request",
    "test_a_restart", "test_a_run", "test_changes_are_told", "test_cut_sockets", "test_files_and_programs",
    "test_large_input", "test_lines", "test_pieces", "test_pings", "test_two_tabs", "test_unknown_terminals",
    "test_who_does_not_read", "test_who_leaves",
]  # fmt: skip


class LinkedStage(Stage):
    """The gateway has links to where the proxy listens."""

    async def __aenter__(self) -> Self:
        self._stack = AsyncExitStack()
        self._forward = forward_to(await self._stack.enter_async_context(listening(self._pod())))
        self._stack.callback(self._forward.close)
        return await super().__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await super().__aexit__(kind, error, trace)
        await self._stack.aclose()

    async def start_proxy(self) -> None:
        await super().start_proxy()
        self._gateway.app = self._forward

    def _pod(self) -> ASGIApp:
        async def served(scope: Scope, receive: Receive, send: Send) -> None:
            await Links(self.proxy, KEY, WHO)(scope, receive, send)

        return served


@pytest.fixture
async def empty_stage(tmp_path: Path, installed_agent: Path) -> AsyncIterator[Stage]:
    async with LinkedStage(tmp_path, installed_agent) as stage:
        yield stage
