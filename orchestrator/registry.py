"""Every Repl as it is recorded, and who is told when one changes."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from orchestrator.changes import Changes, Subscription
from orchestrator.domain import Repl
from orchestrator.names import new_slug
from orchestrator.records import Changed, DuplicateRecord, RecordConflict, Records
from runner.errors import DevexError

SLUG_TRIES = 3  # 40 random bits: a second try is already next to impossible


class NoSuchRepl(DevexError):
    def __init__(self) -> None:
        super().__init__("not_found", "There is no such REPL.", "Go back to your REPLs.", status=404)


class Registry:
    """`on_change` is called with each Repl that is told of, before subscribers are."""

    def __init__(self, records: Records) -> None:
        self.on_change: Callable[[Repl], None] = lambda repl: None  # set by the orchestrator
        self._records = records
        self._changes = Changes[Repl](key=lambda repl: repl.id)
        self._told: dict[str, Repl] = {}  # as it was told last: who hears of it again, or that it is gone, knows it

    def subscribe(self, wanted: Callable[[Repl], bool] = lambda repl: True) -> Subscription[Repl]:
        """Repls as they change, from now on."""
        return self._changes.subscribe(wanted)

    def publish(self, repl: Repl) -> None:
        """Subscribers look again, also when nothing that is recorded has changed; at nothing that is outdated."""
        told = self._told.get(repl.id)
        if told is None or told.revision <= repl.revision:
            self._told[repl.id] = repl
            self.on_change(repl)
            self._changes.publish(repl)

    def publish_again(self, repl_id: str) -> None:
        if repl := self._told.get(repl_id):
            self._changes.publish(repl)

    def publish_deleted(self, repl_id: str) -> None:
        if repl := self._told.pop(repl_id, None):
            self._changes.publish(repl)

    async def hear(self, changed: Changed | None) -> list[str]:
        """Publish what another server has changed; -> ids of what was news. None: anything may have changed."""
        if changed is None:
            return await self._catch_up()
        if changed.revision is None:
            self.publish_deleted(changed.repl_id)
            return [changed.repl_id]
        if not self._is_news(changed.repl_id, changed.revision):
            return []
        repl = await self._records.get(changed.repl_id)
        return self._heard([] if repl is None else [repl])

    async def _catch_up(self) -> list[str]:
        found = {repl.id: repl for repl in await self._records.list_live()}
        for repl_id in self._told.keys() - found.keys():
            repl = await self._records.get(repl_id)
            if repl is None:
                self.publish_deleted(repl_id)
            else:
                found[repl_id] = repl
        return self._heard(list(found.values()))

    def _heard(self, repls: list[Repl]) -> list[str]:
        news = [repl for repl in repls if self._is_news(repl.id, repl.revision)]
        for repl in news:
            self.publish(repl)
        return [repl.id for repl in news]

    def _is_news(self, repl_id: str, revision: int) -> bool:
        told = self._told.get(repl_id)
        return told is None or told.revision < revision

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
        self.publish(repl)
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
            self.publish(changed)
            return changed
