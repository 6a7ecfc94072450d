"""Files of a REPL that does not run, and that lie in the store alone."""

import asyncio
from dataclasses import replace
from pathlib import Path

import httpx
from starlette.types import Receive, Scope, Send

from runner.proxy.http import Routes
from runner.proxy.snapshots import READS_OF_ONE, VersionReaders
from runner.proxy.stored import stored_routes
from runner.snapshots.snapshots import Snapshots
from runner.snapshots.worker.frames import Message
from runner.snapshots.worker.workers import Workers
from runner.viewer import Viewer
from runner.workspace import UNLIMITED
from tests.runner.snapshots.shelf import a_shelf
from tests.waiting import DEADLINE_S

NO = {"error": {"message": "no", "action": "no", "retryable": False}}


async def test_a_folder_waits_behind_nobody_elses_searches(tmp_path: Path) -> None:
    asked: asyncio.Queue[asyncio.Future[Message]] = asyncio.Queue()

    async def sign(question: Message) -> Message:
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        asked.put_nowait(answer)
        return await answer

    async with Workers(answer=sign) as workers, asyncio.timeout(DEADLINE_S):
        snapshots = Snapshots(workers, replace(a_shelf(tmp_path), store={"signed": {"ca_file": None}}))
        readers = VersionReaders()

        async def status(who: str, address: str) -> int:
            """With routes of its own, as requests to what does not run have them."""
            routes = Routes(stored_routes(snapshots, readers, UNLIMITED))

            async def app(scope: Scope, receive: Receive, send: Send) -> None:
                await routes({**scope, "devex.viewer": Viewer(who, who, can_write=False)}, receive, send)

            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://r") as client:
                return (await client.get(address)).status_code

        searches = [asyncio.create_task(status("eve", "/search?q=x")) for _ in range(READS_OF_ONE + 3)]
        hers = [await asked.get() for _ in range(READS_OF_ONE)]
        folder = asyncio.create_task(status("ada", "/tree"))
        (await asked.get()).set_result(NO)  # of whoever is the next that the store is asked for
        assert await folder == 503
        assert not any(one.done() for one in searches)
        for answer in hers:
            answer.set_result(NO)
        for _ in searches[READS_OF_ONE:]:
            (await asked.get()).set_result(NO)
        assert {await one for one in searches} == {503}
