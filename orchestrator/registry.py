"""Every Repl as it is recorded, and who is told when one changes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from orchestrator.changes import Changes, Subscription
from orchestrator.domain import Repl
from orchestrator.names import new_slug
from orchestrator.records import DuplicateRecord, RecordConflict, Records
from runner.errors import DevexError

SLUG_TRIES = 3  # 40 random bits: a second try is already next to impossible


class NoSuchRepl(DevexError):
    def __init__(self) -> None:
        super().__init__("not_found", "There is no such REPL.", "Go back to your REPLs.", status=404)


class Registry:
    def __init__(self, records: Records) -> None:
        self._records = records
        self._changes = Changes[Repl](key=lambda repl: repl.id)

    def subscribe(self, wanted: Callable[[Repl], bool] = lambda repl: True) -> Subscription[Repl]:
        """Repls as they change, from now on."""
        return self._changes.subscribe(wanted)

    def publish(self, repl: Repl) -> None:
        """Subscribers look again, also when nothing that is recorded has changed."""
        self._changes.publish(repl)

    async def get(self, repl_id: str) -> Repl:
        """Raises NoSuchRepl."""
        repl = await self._records.get(repl_id)
        if repl is None:
            raise NoSuchRepl
        return repl

    async def insert(self, repl: Repl) -> Repl:
        """As it is recorded: with another slug when its own was taken. Raises DuplicateRecord."""
        for tries_left in reversed(range(SLUG_TRIES)):
            try:
                await self._records.insert(repl)
                break
            except DuplicateRecord:
                if not tries_left:
                    raise
                repl = replace(repl, slug=new_slug(repl.name))
        self._changes.publish(repl)
        return repl

    async def change(self, repl_id: str, change: Callable[[Repl], dict[str, Any]]) -> Repl:
        """Apply `change` to what is recorded now; {} changes nothing. Raises NoSuchRepl, and what `change` raises."""
        while True:
            repl = await self.get(repl_id)
            changes = change(repl)
            if not changes:
                return repl
            try:
                changed = await self._records.update(repl, **changes)
            except RecordConflict:
                continue
            self._changes.publish(changed)
            return changed
