"""Where Repls are recorded. `tests/contracts/records.py` says the same in tests."""

from collections.abc import AsyncGenerator, Collection
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

from orchestrator.changes import Changes
from orchestrator.domain import Repl
from runner.errors import DevexError


class RecordConflict(DevexError):
    """The Repl was changed since it was read: read it again and decide again."""

    def __init__(self) -> None:
        super().__init__("conflict", "It was changed at the same moment.", "Try again.", status=409, retryable=True)


class DuplicateRecord(DevexError):
    """Another Repl has this id, slug, or (owner, request_id)."""

    def __init__(self) -> None:
        super().__init__("duplicate", "It exists already.", "Choose another name.", status=409, retryable=False)


class Changed(NamedTuple):
    """A Repl has this revision now; None: it was deleted."""

    repl_id: str
    revision: int | None


class Records(Protocol):
    """Unique: id; slug; (owner_id, request_id) where request_id is not None. Times come back as aware UTC."""

    async def get(self, repl_id: str) -> Repl | None: ...

    async def get_by_slug(self, slug: str) -> Repl | None: ...

    async def get_by_request(self, owner_id: str, request_id: str) -> Repl | None: ...

    async def list_by_owner(self, owner_id: str) -> list[Repl]:
        """Last opened first, the trash included."""

    async def list_by_ids(self, repl_ids: Collection[str]) -> list[Repl]:
        """Those that exist, last opened first, the trash included."""

    async def list_live(self) -> list[Repl]:
        """Every Repl that is not `at_rest`."""

    async def list_at_rest(self) -> list[Repl]:
        """Every one that is."""

    async def insert(self, repl: Repl) -> None:
        """Raises DuplicateRecord."""

    async def update(self, repl: Repl, **changes: Any) -> Repl:
        """Change named fields of what is stored if its revision is still `repl.revision`; returns it with the next one.

        Raises RecordConflict when it was changed or deleted meanwhile.
        """

    async def delete(self, repl_id: str) -> None:
        """One that does not exist is no error."""

    def watch(self) -> AsyncGenerator[Changed | None, None]:
        """What any server changes, this one too, for ever; of several changes of one Repl the last may be told alone.

        None comes first: nothing is missed from then on. Raises when it cannot be told any more; watch again. Where
        only one server may use the records nothing else is told.
        """


class MemoryRecords:
    """Records in a dictionary: gone with the process."""

    def __init__(self) -> None:
        self._repls: dict[str, Repl] = {}
        self._changes = Changes[Changed](key=lambda changed: changed.repl_id)

    async def get(self, repl_id: str) -> Repl | None:
        return self._repls.get(repl_id)

    async def get_by_slug(self, slug: str) -> Repl | None:
        return next((repl for repl in self._repls.values() if repl.slug == slug), None)

    async def get_by_request(self, owner_id: str, request_id: str) -> Repl | None:
        wanted = (owner_id, request_id)
        return next((repl for repl in self._repls.values() if (repl.owner_id, repl.request_id) == wanted), None)

    async def list_by_owner(self, owner_id: str) -> list[Repl]:
        owned = [repl for repl in self._repls.values() if repl.owner_id == owner_id]
        return sorted(owned, key=lambda repl: repl.opened_at, reverse=True)

    async def list_by_ids(self, repl_ids: Collection[str]) -> list[Repl]:
        found = [repl for repl in self._repls.values() if repl.id in repl_ids]
        return sorted(found, key=lambda repl: repl.opened_at, reverse=True)

    async def list_live(self) -> list[Repl]:
        return [repl for repl in self._repls.values() if not repl.at_rest]

    async def list_at_rest(self) -> list[Repl]:
        return [repl for repl in self._repls.values() if repl.at_rest]

    async def insert(self, repl: Repl) -> None:
        taken = repl.id in self._repls or await self.get_by_slug(repl.slug) is not None
        if taken or (repl.request_id and await self.get_by_request(repl.owner_id, repl.request_id)):
            raise DuplicateRecord
        self._repls[repl.id] = repl
        self._changes.publish(Changed(repl.id, repl.revision))

    async def update(self, repl: Repl, **changes: Any) -> Repl:
        stored = self._repls.get(repl.id)
        if stored is None or stored.revision != repl.revision:
            raise RecordConflict
        self._repls[repl.id] = replace(stored, **changes, revision=stored.revision + 1)
        self._changes.publish(Changed(repl.id, stored.revision + 1))
        return self._repls[repl.id]

    async def delete(self, repl_id: str) -> None:
        if self._repls.pop(repl_id, None) is not None:
            self._changes.publish(Changed(repl_id, None))

    async def watch(self) -> AsyncGenerator[Changed | None, None]:
        changes = self._changes.subscribe()
        yield None
        async for changed in changes:
            yield changed
