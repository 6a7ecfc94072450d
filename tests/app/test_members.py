"""Who is let into a REPL, what they may do then, and that it ends at once when they are not."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from websockets.exceptions import ConnectionClosed

from app import members as members_module
from app.access import Part
from app.accounts import Accounts
from app.members import Members
from app.pages import open_pages
from app.storage.models import MemberRow
from app.storage.records import TortoiseRecords
from orchestrator.clock import SystemClock
from orchestrator.domain import Goal
from orchestrator.registry import NoSuchRepl
from runner.errors import DevexError
from tests.app.running_site import PASSWORD, Site
from tests.contracts.records import make_repl
from tests.waiting import until


@pytest.mark.usefixtures("opened_database")
async def test_a_member_is_what_the_owner_made_them_last() -> None:
    clock = SystemClock()
    accounts, members, records = Accounts(clock, sign_up="open", session_days=1), Members(clock), TortoiseRecords()
    owner, ada, bob = [(await accounts.sign_up(name, PASSWORD)).actor for name in ("owner", "Ada", "bob")]
    repl = make_repl(1, owner_id=owner.user_id)
    await records.insert(repl)
    changed: list[tuple[str, str]] = []
    members.on_changed = lambda repl_id, user_id: changed.append((repl_id, user_id))
    assert await members.part_of(owner.user_id, repl) is Part.OWNER
    assert await members.part_of(ada.user_id, repl) is None
    await members.let_in(repl, "bob", Part.VIEWER)
    for part in (Part.EDITOR, Part.VIEWER, Part.EDITOR):
        member = await members.let_in(repl, " ADA ", part)
        assert (member.user_id, member.name, member.part) == (ada.user_id, "Ada", part)
        assert await members.part_of(ada.user_id, repl) is part
    assert [(one.name, one.part) for one in await members.of(repl.id)] == [("Ada", Part.EDITOR), ("bob", Part.VIEWER)]
    trashed = replace(repl, goal=Goal.DELETE)
    assert await members.part_of(ada.user_id, trashed) is None
    assert await members.part_of(owner.user_id, trashed) is Part.OWNER
    await members.remove(repl.id, ada.user_id)
    await members.remove(repl.id, ada.user_id)
    assert await members.part_of(ada.user_id, repl) is None
    assert changed == [(repl.id, bob.user_id), *[(repl.id, ada.user_id)] * 4]
    await records.delete(repl.id)
    assert not await MemberRow.exists()


@pytest.mark.usefixtures("opened_database")
async def test_who_cannot_be_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SystemClock()
    accounts, members, records = Accounts(clock, sign_up="open", session_days=1), Members(clock), TortoiseRecords()
    owner, ada, bob = [(await accounts.sign_up(name, PASSWORD)).actor for name in ("owner", "ada", "bob")]
    repl = make_repl(1, owner_id=owner.user_id)
    await records.insert(repl)

    async def refusal(name: str) -> str:
        with pytest.raises(DevexError) as refused:
            await members.let_in(repl, name, Part.EDITOR)
        return refused.value.code

    assert [await refusal(name) for name in ("owner", "nobody", "", "a\0b", "x" * 400)] == ["owner", *["no_user"] * 4]
    monkeypatch.setattr(members_module, "MEMBERS_MOST", 1)
    await members.let_in(repl, "ada", Part.VIEWER)
    assert await refusal("bob") == "too_many_members"
    await members.let_in(repl, "ada", Part.EDITOR)  # who is in is in
    await members.remove(repl.id, ada.user_id)
    await accounts.set_disabled(bob.user_id, True)
    assert await refusal("bob") == "no_user"
    await members.remove(repl.id, "a\0b")
    await records.delete(repl.id)
    with pytest.raises(NoSuchRepl):
        await members.let_in(repl, "ada", Part.EDITOR)


async def test_what_is_shared_is_listed_with_its_owner(site: Site) -> None:
    owner, ada = await site.user("owner"), await site.user("ada")
    shared, members = await site.repl(owner), site.server.members
    await site.repl(owner)  # another one
    await members.let_in(shared, "ada", Part.VIEWER)
    browser = await site.browser(ada)
    assert (await browser.get("/api/repls")).json() == []
    listed = (await browser.get("/api/shared")).json()
    assert [(one["owner"], one["repl"]["id"], one["repl"]["part"]) for one in listed] == [
        ("owner", shared.id, "viewer")
    ]
    assert (await browser.get(f"/api/repls/{shared.id}")).json()["part"] == "viewer"
    await site.server.orchestrator.delete(shared.id)
    assert (await browser.get("/api/shared")).json() == []
    assert (await browser.get(f"/api/repls/{shared.id}")).status_code == 404
    await site.server.orchestrator.undelete(shared.id)
    assert (await browser.delete(f"/api/repls/{shared.id}/membership")).status_code == 204
    assert (await browser.get(f"/api/repls/{shared.id}")).status_code == 404
    assert (await (await site.browser(owner)).get(f"/api/repls/{shared.id}/members")).json() == []


async def test_the_runner_is_told_who_may_only_look(site: Site) -> None:
    owner, ada = await site.user("owner"), await site.user("ada")
    repl = await site.repl(owner)
    browser = await site.browser(ada)
    for part, writes in ((Part.VIEWER, False), (Part.EDITOR, True)):
        await site.server.members.let_in(repl, "ada", part)
        assert (await browser.get(f"/repls/{repl.id}/asked")).json()["writes"] is writes
        preview = await browser.post(f"/api/repls/{repl.id}/preview", json={"port": 5000})
        assert preview.status_code == (200 if writes else 403)


async def test_a_viewer_starts_nothing(site: Site) -> None:
    owner, ada = await site.user("owner"), await site.user("ada")
    repl = await site.repl(owner, start=False)
    await site.server.members.let_in(repl, "ada", Part.VIEWER)
    browser = await site.browser(ada, Accept="text/html")
    assert (await browser.get(f"/repl/{repl.id}")).status_code == 200
    assert (await browser.put(f"/repls/{repl.id}/files/x", content=b"x")).status_code == 403
    assert (await browser.post(f"/repls/{repl.id}/run")).status_code == 403
    assert (await site.server.orchestrator.get(repl.id)).goal is Goal.STOP


@pytest.mark.parametrize("how", ["removed", "only looks", "by another process", "in the trash"])
async def test_what_a_member_has_open_ends_with_the_right(site: Site, how: str) -> None:
    owner, ada, server = await site.user("owner"), await site.user("ada"), site.server
    repl, other = await site.repl(owner), await site.repl(owner)
    for one in (repl, other):
        await server.members.let_in(one, "ada", Part.EDITOR)
    socket = await site.socket(f"/repls/{repl.id}/echo", token=ada.token)
    theirs = await site.socket(f"/repls/{repl.id}/echo", token=owner.token)
    elsewhere = await site.socket(f"/repls/{other.id}/echo", token=ada.token)
    await (await site.browser(ada, Accept="text/html")).get(f"/repl/{repl.id}")
    assert repl.id in {one.repl_id for one in open_pages.by_standing() if one.user_id == ada.actor.user_id}
    match how:
        case "removed":
            await server.members.remove(repl.id, ada.actor.user_id)
        case "only looks":
            await server.members.let_in(repl, "ada", Part.VIEWER)
        case "by another process":
            await MemberRow.filter(repl_id=repl.id, user_id=ada.actor.user_id).delete()
            await server.sweep()
        case "in the trash":
            await server.orchestrator.delete(repl.id)
            await server.sweep()
    with pytest.raises(ConnectionClosed) as closed:
        await socket.recv()
    assert (closed.value.rcvd and closed.value.rcvd.code) == 1008
    assert repl.id not in {one.repl_id for one in open_pages.by_standing() if one.user_id == ada.actor.user_id}
    for still_open in (elsewhere, theirs) if how != "in the trash" else (elsewhere,):
        await still_open.send("there")
        assert await still_open.recv() == "there"
    await until(lambda: not any(one.repl_id == repl.id and one.part is Part.EDITOR for one in server.live.holders()))


async def test_letting_the_same_in_again_disturbs_nobody(site: Site) -> None:
    owner, ada = await site.user("owner"), await site.user("ada")
    repl = await site.repl(owner)
    await site.server.members.let_in(repl, "ada", Part.EDITOR)
    socket = await site.socket(f"/repls/{repl.id}/echo", token=ada.token)
    await site.server.members.let_in(repl, "ada", Part.EDITOR)
    await socket.send("there")
    assert await socket.recv() == "there"


async def test_members_are_since_when_they_came(site: Site) -> None:
    owner = await site.user("owner")
    await site.user("ada")
    repl, before = await site.repl(owner), datetime.now(UTC)
    first = await site.server.members.let_in(repl, "ada", Part.EDITOR)
    again = await site.server.members.let_in(repl, "ada", Part.VIEWER)
    assert before <= first.since == again.since
