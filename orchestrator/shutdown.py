"""The end of a server in the foreground: what runs is saved and stopped before."""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from orchestrator.changes import Subscription
from orchestrator.clock import Clock, after, within
from orchestrator.domain import RESTING, Goal, Repl
from orchestrator.records import Records
from orchestrator.registry import NoSuchRepl, Registry

SERVER_STOPPED = "The server was stopped."

log = logging.getLogger(__name__)


async def stop_all(
    stop: Callable[[str, str], Awaitable[Repl]], registry: Registry, records: Records, clock: Clock, deadline_s: float
) -> None:
    """Each by `stop(repl_id, reason)`, all within the deadline; then log what is not saved. The reconciler must run."""
    changes = registry.subscribe()
    live = await records.list_live()
    running = {repl.id for repl in live if repl.goal is Goal.RUN or repl.phase not in RESTING}
    if running:
        log.info("saving and stopping %d REPLs, in %.0f s at most", len(running), deadline_s)
    for repl_id in running:
        with suppress(NoSuchRepl):  # removed for good meanwhile
            await stop(repl_id, SERVER_STOPPED)
    with suppress(TimeoutError):
        await within(clock, after(clock, deadline_s), _until_saved(running, records, changes))
    for repl in await records.list_live():
        if repl.unsaved or repl.phase not in RESTING:
            reason = repl.unsafe or "There was not enough time."
            what = f"“{repl.name}” is not in the store as it is: {reason}"
            log.warning("%s Its files are on this machine's disk, and saved when DEVEX starts again.", what)


async def _until_saved(repl_ids: set[str], records: Records, changes: Subscription[Repl]) -> None:
    while any(repl.id in repl_ids and not repl.in_trash for repl in await records.list_live()):
        await anext(changes)
