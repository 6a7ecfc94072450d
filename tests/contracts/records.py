"""What every Records implementation promises. Subclass, and give an async fixture `records`."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.domain import Goal, Phase, Repl
from orchestrator.records import DuplicateRecord, RecordConflict, Records

AT = datetime(2030, 1, 1, 12, 30, 15, 123456, tzinfo=UTC)


def make_repl(number: int = 1, **changes: Any) -> Repl:
    """A stopped, seeded Repl that differs from others by its number."""
    repl = Repl(
        id=f"repl{number}",
        slug=f"slug-{number}",
        owner_id="owner1",
        name=f"Näme <b>{number}</b> 🐍",
        template="python",
        goal=Goal.STOP,
        created_at=AT,
        opened_at=AT + timedelta(minutes=number),
        phase_at=AT,
        seeded=True,
    )
    return replace(repl, **changes)


class RecordsContract:
    """`async def records(self)` yields an empty store. Owners named here are `owner1` and `owner2`."""

    async def test_what_was_inserted_comes_back_equal(self, records: Records) -> None:
        plain = make_repl()
        full = make_repl(
            2,
            goal=Goal.DELETE,
            phase=Phase.FAILED,
            epoch=7,
            seeded=False,
            copy_of="repl1",
            copy_version="7-40",
            lacks="It lacks a file.",
            failure="It failed.",
            stop_reason="It was idle.",
            awake_until=AT + timedelta(hours=4),
            extended_at=AT,
            extended_s=4 * 3600,
            unsaved=True,
            saved_version="7-41",
            saved_at=AT,
            unsafe="The store does not answer.",
            deleted_at=AT,
            purge_at=AT + timedelta(days=30),
            request_id="request1",
            revision=3,
        )
        for repl in (plain, full):
            await records.insert(repl)
            assert await records.get(repl.id) == repl
            assert await records.get_by_slug(repl.slug) == repl
        assert await records.get_by_request("owner1", "request1") == full

    async def test_what_does_not_exist_is_none(self, records: Records) -> None:
        assert await records.get("nothing") is None
        assert await records.get_by_slug("nothing") is None
        assert await records.get_by_request("owner1", "nothing") is None

    @pytest.mark.parametrize("same", ["id", "slug", "request_id"])
    async def test_duplicates_are_refused(self, records: Records, same: str) -> None:
        first = make_repl(1, request_id="request1")
        await records.insert(first)
        with pytest.raises(DuplicateRecord):
            await records.insert(make_repl(2, **{same: getattr(first, same)}))
        assert await records.list_by_owner("owner1") == [first]

    async def test_some_are_listed_by_id(self, records: Records) -> None:
        first, second, third = make_repl(1), make_repl(2, owner_id="owner2"), make_repl(3)
        for repl in (first, second, third):
            await records.insert(repl)
        assert await records.list_by_ids(["repl1", "nothing", "repl2"]) == [second, first]
        assert await records.list_by_ids([]) == []

    async def test_requests_of_two_owners_are_two(self, records: Records) -> None:
        await records.insert(make_repl(1, request_id="request1"))
        await records.insert(make_repl(2, request_id="request1", owner_id="owner2"))
        found = await records.get_by_request("owner2", "request1")
        assert found is not None
        assert found.id == "repl2"

    async def test_many_without_a_request_are_allowed(self, records: Records) -> None:
        await records.insert(make_repl(1))
        await records.insert(make_repl(2))
        assert len(await records.list_by_owner("owner1")) == 2

    async def test_listing_by_owner_has_the_last_opened_first(self, records: Records) -> None:
        for number in (2, 3, 1):
            await records.insert(make_repl(number))
        await records.insert(make_repl(4, owner_id="owner2"))
        assert [repl.id for repl in await records.list_by_owner("owner1")] == ["repl3", "repl2", "repl1"]

    async def test_live_is_what_is_not_at_rest(self, records: Records) -> None:
        at_rest = [make_repl(1), make_repl(2, phase=Phase.FAILED), make_repl(3, phase=Phase.FAILED, seeded=False)]
        live = [
            make_repl(4, goal=Goal.RUN),
            make_repl(5, phase=Phase.RUNNING),
            make_repl(6, phase=Phase.STOPPING),
            make_repl(7, goal=Goal.DELETE),
            make_repl(8, seeded=False),
            make_repl(9, phase=Phase.STARTING),
        ]
        for repl in at_rest + live:
            await records.insert(repl)
        assert {repl.id for repl in await records.list_live()} == {repl.id for repl in live}
        assert {repl.id for repl in await records.list_at_rest()} == {repl.id for repl in at_rest}

    async def test_an_update_changes_named_fields_and_the_revision(self, records: Records) -> None:
        repl = make_repl()
        await records.insert(repl)
        updated = await records.update(repl, goal=Goal.RUN, epoch=1, failure="No.", purge_at=AT)
        assert updated == replace(repl, goal=Goal.RUN, epoch=1, failure="No.", purge_at=AT, revision=repl.revision + 1)
        assert await records.get(repl.id) == updated

    async def test_an_update_decided_on_an_old_revision_conflicts(self, records: Records) -> None:
        repl = make_repl()
        await records.insert(repl)
        updated = await records.update(repl, goal=Goal.RUN)
        with pytest.raises(RecordConflict):
            await records.update(repl, goal=Goal.DELETE)
        assert await records.get(repl.id) == updated

    async def test_an_update_of_a_deleted_one_conflicts(self, records: Records) -> None:
        repl = make_repl()
        await records.insert(repl)
        await records.delete(repl.id)
        with pytest.raises(RecordConflict):
            await records.update(repl, name="gone")

    async def test_of_concurrent_updates_exactly_one_wins(self, records: Records) -> None:
        repl = make_repl()
        await records.insert(repl)
        updates = (records.update(repl, epoch=number) for number in range(1, 9))
        results = await asyncio.gather(*updates, return_exceptions=True)
        won = [result for result in results if isinstance(result, Repl)]
        assert len(won) == 1
        assert all(isinstance(result, RecordConflict) for result in results if result is not won[0])
        assert await records.get(repl.id) == won[0]

    async def test_deleting_twice_is_no_error(self, records: Records) -> None:
        repl = make_repl()
        await records.insert(repl)
        await records.delete(repl.id)
        await records.delete(repl.id)
        assert await records.get(repl.id) is None

    async def test_watching_begins_with_none(self, records: Records) -> None:
        async with aclosing(records.watch()) as changes:
            assert await anext(changes) is None
