"""At once: double submits, two tabs, two users."""

import asyncio

import pytest

from runner.documents.wire import UPDATE, Sync
from tests.faults.browser import Browser, Repl, refusal
from tests.runner.documents.tab import until_each

pytestmark = pytest.mark.xdist_group("faults")


async def test_a_double_submit_makes_one_repl(ada: Browser) -> None:
    wanted = {"name": "once", "template": "bash", "request_id": "click-1"}
    both = await asyncio.gather(*(ada.http.post("/api/repls", json=wanted) for _ in range(3)))
    assert [answer.status_code for answer in both] == [201] * 3
    (repl_id,) = {answer.json()["id"] for answer in both}
    forks = [ada.http.post(f"/api/repls/{repl_id}/fork", json={"request_id": "click-2"}) for _ in range(2)]
    (fork_id,) = {answer.json()["id"] for answer in await asyncio.gather(*forks)}
    for one in (repl_id, fork_id):
        deleted = await asyncio.gather(*(ada.http.delete(f"/api/repls/{one}") for _ in range(2)))
        assert [answer.status_code for answer in deleted] == [200, 200]


async def test_a_double_submit_makes_one_user(ada: Browser) -> None:
    wanted = {"name": "twin", "password": "correct horse battery"}
    both = await asyncio.gather(*(ada.http.post("/api/users", json=wanted) for _ in range(2)))
    made, taken = sorted(both, key=lambda answer: answer.status_code)
    assert made.status_code == 201
    assert "has this name already" in refusal(taken, 409)


async def test_a_double_submit_starts_and_stops_once(repl: Repl) -> None:
    await repl.put("files/.devex.toml", "run = 'echo up; sleep 1000'\n")
    runs = await asyncio.gather(*(repl.post("run") for _ in range(3)))
    assert [answer.status_code for answer in runs] == [201] * 3
    listed = (await repl.get("terminals")).json()["terminals"]
    assert [(one["kind"], one["exit"]) for one in listed] == [("run", None)]
    async with repl.attached(listed[0]["id"]) as terminal:
        await terminal.until("up")
        stops = await asyncio.gather(*(repl.post("stop") for _ in range(3)))
        assert [answer.json()["running"] for answer in stops] == [False] * 3
        await terminal.until_kind(19)
    started = await asyncio.gather(*(repl.do("start?wait=true") for _ in range(3)))
    assert {answer["epoch"] for answer in started} == {1}


async def test_a_double_submit_of_file_commands(repl: Repl) -> None:
    both = await asyncio.gather(*(repl.post("mkdir", {"path": "d"}) for _ in range(2)))
    made, there = sorted(both, key=lambda answer: answer.status_code)
    assert made.status_code == 201
    refusal(there, 409)
    moves = await asyncio.gather(*(repl.post("move", {"from": "d", "to": "e"}) for _ in range(2)))
    moved, gone = sorted(moves, key=lambda answer: answer.status_code)
    assert moved.status_code == 200
    refusal(gone, 404)
    created = await asyncio.gather(*(repl.put("files/new", text, headers={"If-None-Match": "*"}) for text in "ab"))
    first, second = sorted(created, key=lambda answer: answer.status_code)
    assert first.status_code == 201
    refusal(second, 412)
    assert await repl.text("new") == "ab"[created.index(first)]


async def test_a_message_sent_twice_counts_once(repl: Repl) -> None:
    async with repl.tab("kept.txt") as tab:
        assert tab.opened
        changes: list[bytes] = []
        subscription = tab.doc.observe(lambda event: changes.append(event.update))
        tab.content.insert(0, "once ")
        tab.doc.unobserve(subscription)
        for _ in range(2):
            await tab.send(Sync(tab.opened.channel, UPDATE, changes[0]))
            await tab.flush()
        assert (await repl.text("kept.txt")).count("once ") == 1
        await tab.type(0, "", delete=len("once "))
        await tab.flush()


async def test_two_tabs_over_http(repl: Repl) -> None:
    await repl.put("files/notes", "as both saw it")
    digest = (await repl.get("files/notes")).headers["etag"]
    tabs = await asyncio.gather(*(repl.put("files/notes", text, headers={"If-Match": digest}) for text in "ab"))
    first, second = sorted(tabs, key=lambda answer: answer.status_code)
    assert first.status_code == 200
    assert "was changed meanwhile. Open it again" in refusal(second, 412)
    assert await repl.text("notes") == "ab"[tabs.index(first)]


async def test_two_tabs_over_websockets(repl: Repl) -> None:
    await repl.put("files/notes", "middle")
    async with repl.tab("notes") as one, repl.tab("notes") as two, repl.shell() as terminal:
        await one.type(0, "first ")
        await two.type(len("middle"), " last")
        await until_each((one, two), lambda tab: tab.text == "first middle last")
        for tab in (one, two):
            await tab.flush()
        await terminal.type("cat no''tes; echo; echo more >> notes; echo ad''ded\n")
        await terminal.until("added")
        assert b"first middle last" in terminal.text
        await until_each((one, two), lambda tab: tab.text == "first middle lastmore\n" and tab.is_saved)
    terminals = (await repl.get("terminals")).json()["terminals"]
    async with repl.attached(terminals[0]["id"]) as left, repl.attached(terminals[0]["id"]) as right:
        await left.type("echo to''gether\n")
        await right.until("together")
        await left.until("together")
        assert left.text == right.text


async def test_two_users(repl: Repl, bob: Browser) -> None:
    theirs = Repl(bob, await repl.about())
    answers = [
        *[await theirs.get(path) for path in ("files/kept.txt", "tree", "terminals", "usage", "zip", "run")],
        *[await theirs.post(path, {"path": "d", "command": "rm *"}) for path in ("run", "exec", "mkdir", "terminals")],
        await theirs.put("files/kept.txt", "mine"),
        await theirs.delete("files/kept.txt"),
        await bob.http.get(f"/api/repls/{repl.id}"),
        await bob.http.patch(f"/api/repls/{repl.id}", json={"name": "mine"}),
        await bob.http.delete(f"/api/repls/{repl.id}"),
        *[
            await bob.http.post(f"/api/repls/{repl.id}/{what}", json={"port": 3000})
            for what in ("stop", "fork", "preview")
        ],
        *[await bob.refused_socket(theirs.at(path)) for path in ("documents", "events", "terminals/sh-1-00000000")],
    ]
    for answer in answers:
        assert refusal(answer, 404) == "There is no such REPL. Go back to your REPLs."
    nobody = Browser(bob.origin, "")
    async with nobody.http:
        refusal(await nobody.http.get(repl.at("tree")), 401)
        refusal(await nobody.refused_socket(repl.at("documents")), 401)
    about = await repl.about()
    assert (about["name"], about["phase"]) == ("REPL", "running")
