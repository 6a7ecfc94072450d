"""What is kept of a REPL's terminals, whether it runs or not, and the parts of the page that show it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final
from urllib.parse import quote

from app.access import Access
from app.gateway.runner_client import RunnerClient
from app.gateway.runners import app_of_records, running_app, viewer_of
from app.pages.workbench.recorded.last_screens import LastScreens
from app.pages.workbench.recorded.record import Found, Record, last_run
from app.pages.workbench.recorded.record_parts import Again
from app.pages.workbench.recorded.run_history import RunHistory
from orchestrator.service import Orchestrator
from runner.errors import DevexError

RECORDS_S: Final = 5.0  # for the list, before a page is shown without it


class Recorded:
    """`attempt` does what changes something if it is still allowed, and for as long; `on_again` gets a record's id."""

    def __init__(
        self,
        orchestrator: Orchestrator,
        access: Access,
        *,
        attempt: Callable[[Callable[[], Awaitable[object]]], Awaitable[None]],
        on_start: Callable[[], Any],
        on_again: Again,
    ) -> None:
        self._orchestrator = orchestrator
        self._repl = access.the_repl
        self._viewer = viewer_of(access)
        self._attempt = attempt
        self._on_start = on_start if self._viewer.can_write else None
        self._on_again = on_again if self._viewer.can_write else None

    async def records(self) -> Sequence[Record]:
        """The newest first; none where they cannot be read: the page is there for more than them."""
        try:
            async with asyncio.timeout(RECORDS_S):
                return await self._load()
        except (DevexError, TimeoutError):
            return ()

    async def run_again(self, record_id: str | None) -> None:
        """What this record has, or what ran last, in a REPL that is started if need be. DevexError."""
        last = None if record_id else last_run(await self.records())
        repl = await self._orchestrator.open(self._repl.id)
        runner = RunnerClient(await running_app(self._orchestrator, repl), self._viewer)
        run = record_id or (last.id if last else None)
        await runner.ask("POST", "run", {"record": run} if run else {})

    def new_run_history(self, on_watch: Callable[[], None]) -> RunHistory:
        """The history; `on_watch` shows the program that runs."""
        return self._run_history((), on_watch)

    def new_last_screens(self, records: Sequence[Record]) -> LastScreens:
        """What was there last."""
        return LastScreens(
            self._repl.id,
            records,
            on_start=self._on_start,
            on_again=self._on_again,
            new_run_history=lambda: self._run_history(records, lambda: None),
        )

    def _run_history(self, records: Sequence[Record], on_watch: Callable[[], None]) -> RunHistory:
        on_delete = self._delete if self._viewer.can_write else None
        return RunHistory(
            self._repl.id,
            records,
            load=self._load,
            search=self._search,
            on_again=self._on_again,
            on_delete=on_delete,
            on_watch=on_watch,
        )

    async def _load(self) -> Sequence[Record]:
        """The newest first. DevexError."""
        return [Record.of(one) for one in (await self._get("records"))["records"]]

    async def _search(self, text: str) -> Found:
        """DevexError."""
        found = await self._get(f"records/search?q={quote(text)}")
        return Found([(one["id"], one["text"]) for one in found["matches"]], found["cut_off"])

    async def _get(self, path: str) -> Any:
        """Of the routes that are there while nothing runs, too. DevexError."""
        app = self._orchestrator.runner_app(self._repl.id) or self._orchestrator.files_app(self._repl)
        return await RunnerClient(app, self._viewer).ask("GET", path)

    async def _delete(self, record_id: str | None) -> None:
        path = "records" if record_id is None else f"records/{record_id}"

        async def delete() -> None:
            app = await app_of_records(self._orchestrator, await self._orchestrator.get(self._repl.id))
            await RunnerClient(app, self._viewer).ask("DELETE", path)

        await self._attempt(delete)
