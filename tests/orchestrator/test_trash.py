"""What is deleted: it waits in the trash, is taken back, or goes for good."""

from orchestrator.backends.memory import Machine
from orchestrator.domain import Phase
from orchestrator.service import Orchestrator
from tests.orchestrator.conftest import MakeOrchestrator, refusal
from tests.orchestrator.fakes import HangsOnPurge, LooksSlowly, ManualClock, settle

DAY_S = 86400


async def test_deleted_ones_stop_and_wait_in_the_trash(
    serve: MakeOrchestrator, machine: Machine, clock: ManualClock
) -> None:
    async with serve(resync_s=DAY_S, cpu_sample_s=DAY_S) as orchestrator:
        repl = await orchestrator.create("ann", "a", "python")
        await orchestrator.open(repl.id)
        await orchestrator.delete(repl.id)
        await settle()
        assert machine.sandboxes == {}
        saved = await orchestrator.get(repl.id)
        assert (saved.saved_version is not None, saved.unsaved) == (True, False)
        assert await orchestrator.list("ann") == []
        assert [deleted.id for deleted in await orchestrator.list("ann", trash=True)] == [repl.id]
        assert await refusal(orchestrator.start(repl.id)) == "in_trash"
        assert await refusal(orchestrator.fork(repl.id, "bob")) == "in_trash"

        await clock.advance(29 * DAY_S)
        await orchestrator.undelete(repl.id)
        assert (await orchestrator.open(repl.id)).phase is Phase.RUNNING
        assert "main.py" in machine.workspaces[repl.id]


async def test_the_trash_is_emptied_after_its_time(
    serve: MakeOrchestrator, machine: Machine, clock: ManualClock
) -> None:
    async with serve(resync_s=DAY_S, cpu_sample_s=DAY_S) as orchestrator:
        repl = await orchestrator.create("ann", "a", "python")
        await orchestrator.delete(repl.id)
        await clock.advance(30 * DAY_S + 1)
        assert await refusal(orchestrator.get(repl.id)) == "not_found"
        assert machine.workspaces == {}


async def test_purge_needs_the_trash_and_is_at_once(orchestrator: Orchestrator, machine: Machine) -> None:
    repl = await orchestrator.create("ann", "a", "python")
    await orchestrator.open(repl.id)
    assert await refusal(orchestrator.purge(repl.id)) == "not_in_trash"
    await orchestrator.delete(repl.id)
    await orchestrator.purge(repl.id)
    await settle()
    assert await refusal(orchestrator.get(repl.id)) == "not_found"
    assert machine.workspaces == {}
    assert machine.sandboxes == {}


async def test_what_is_being_removed_is_not_taken_back(serve: MakeOrchestrator, machine: Machine) -> None:
    async with serve(HangsOnPurge) as orchestrator:
        repl = await orchestrator.create("ann", "a", "python", start=False)
        await orchestrator.delete(repl.id)
        await orchestrator.purge(repl.id)
        assert await refusal(orchestrator.undelete(repl.id)) == "removing"
        await settle()
        assert repl.id not in machine.versions
        assert await refusal(orchestrator.undelete(repl.id)) == "removing"
        assert await refusal(orchestrator.start(repl.id)) == "in_trash"
        assert isinstance(orchestrator.backend, HangsOnPurge)
        orchestrator.backend.may_end.set()
        await settle()
        assert await refusal(orchestrator.get(repl.id)) == "not_found"


async def test_what_was_taken_back_at_the_last_moment_is_not_removed(
    serve: MakeOrchestrator, machine: Machine, clock: ManualClock
) -> None:
    async with serve(LooksSlowly, resync_s=DAY_S, cpu_sample_s=DAY_S) as orchestrator:
        repl = await orchestrator.create("ann", "a", "python", start=False)
        await orchestrator.delete(repl.id)
        await clock.advance(30 * DAY_S - 1)
        assert isinstance(orchestrator.backend, LooksSlowly)
        orchestrator.backend.may_look.clear()
        await orchestrator.rename(repl.id, "b")  # the reconciler has read its record, and waits
        await settle()
        await orchestrator.undelete(repl.id)
        await clock.advance(2)
        orchestrator.backend.may_look.set()
        await settle()
        assert (await orchestrator.get(repl.id)).in_trash is False
        assert "main.py" in machine.workspaces[repl.id]
