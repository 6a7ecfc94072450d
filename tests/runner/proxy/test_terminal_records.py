"""Records of real terminals, on a real disk."""

import asyncio
import json
import os
import secrets
from typing import Any

import httpx
import pytest

from runner.proxy.records.records import CLOSED
from tests.runner.proxy.stage import DEADLINE_S, EXITED, Stage
from tests.runner.proxy.test_runs import configure, run


async def listed(stage: Stage, kind: str = "") -> list[dict[str, Any]]:
    answer = await stage.http.get("/records", params={"kind": kind} if kind else {})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["records"]
    return found


async def output(stage: Stage, record: str, **asked: int) -> httpx.Response:
    answer = await stage.http.get(f"/records/{record}/output", params=asked)
    assert answer.status_code == 200, answer.text
    return answer


async def ran(stage: Stage, command: str, more: str = "") -> dict[str, Any]:
    """Run to its end -> its record."""
    configure(stage, command, more)
    told = await run(stage)
    async with stage.attached(told["terminal"]) as tab:
        await tab.until_kind(EXITED)
    return next(one for one in await listed(stage) if one["id"] == told["terminal"])


async def test_a_run_is_recorded_with_all_that_is_known_of_it(stage: Stage) -> None:
    record = await ran(stage, "echo hello; exit 3")
    assert record["kind"] == "run"
    assert record["command"] == "echo hello; exit 3"
    assert record["who"] == {"id": "una", "name": "Una"}
    assert record["exit"] == {"status": 3, "signal": 0}
    assert record["peak_bytes"] > 0
    assert 0 <= record["duration_s"] < DEADLINE_S
    assert record["started_at"] < record["ended_at"]
    assert (record["stopped"], record["forced"], record["run"]) == (False, False, True)
    assert (record["bytes"], record["missing"]) == (len("hello\r\n"), 0)
    assert (await output(stage, record["id"])).content == b"hello\r\n"


async def test_a_shell_is_recorded_and_exec_is_not(stage: Stage) -> None:
    async with stage.shell() as tab:
        await tab.type("echo once\n")
        await tab.until("\r\nonce\r\n$ ")
        (record,) = await listed(stage)
        assert (record["kind"], record["title"], record["command"], record["ended_at"]) == (
            "shell",
            "Shell 1",
            None,
            None,
        )
        assert (await output(stage, record["id"])).content == tab.text
        assert (await stage.http.delete(f"/records/{record['id']}")).status_code == 409
        assert (await stage.http.delete("/records")).status_code == 204, "and leaves what still runs"
        assert len(await listed(stage)) == 1
    await stage.http.post("/exec", json={"command": "true"})
    assert (await stage.http.delete(f"/terminals/{record['id']}")).status_code == 204
    (closed,) = await listed(stage)
    assert (closed["exit"], closed["stopped"]) == (None, True)
    assert closed["ended_at"]
    assert (await stage.http.delete(f"/records/{record['id']}", headers={"X-Test-Role": "reader"})).status_code == 403
    assert (await stage.http.delete("/records", headers={"X-Test-Role": "reader"})).status_code == 403
    assert (await stage.http.delete("/records")).status_code == 204
    assert await listed(stage) == []
    assert list(stage.config.records.iterdir()) == []


async def test_a_removed_record_does_not_come_back_with_the_window_of_its_terminal(stage: Stage) -> None:
    async with stage.shell() as tab:
        await tab.type("exit\n")
        await tab.until_kind(EXITED)
        (record,) = await listed(stage)
        assert (await stage.http.delete(f"/records/{record['id']}")).status_code == 204
        renamed = await stage.http.patch(f"/terminals/{record['id']}", json={"title": "Again"})
        assert renamed.status_code == 204
        assert await listed(stage) == []


@pytest.mark.parametrize("path", ["{}", "{}/output", "{}/text", "{}/cast", "search?q=1"])
async def test_who_reads_records_waits_for_who_reads_them(stage: Stage, path: str) -> None:
    """The loop would, too, for the threads of many; and one person's wishes wait for one another."""
    record = (await ran(stage, "echo 1"))["id"]
    async with stage.proxy._reading.acquire("una"):
        asking = asyncio.create_task(stage.http.get(f"/records/{path}".format(record)))
        for _ in range(20):
            assert len(await listed(stage)) == 1
        assert not asking.done()
    assert (await asking).status_code == 200


async def test_who_reads_much_at_once_keeps_nobody_else_waiting(stage: Stage) -> None:
    record = (await ran(stage, "seq 20000"))["id"]
    many = [asyncio.create_task(stage.http.get(f"/records/{record}/text")) for _ in range(8)]
    await asyncio.wait(many, return_when=asyncio.FIRST_COMPLETED)
    answer = await stage.http.get("/records/search?q=1", headers={"X-Test-Name": "Ada"})
    assert answer.json()["matches"]
    assert sum(one.done() for one in many) < len(many) / 2
    assert {one.status_code for one in await asyncio.gather(*many)} == {200}


async def test_the_newest_is_first_and_runs_are_found_alone(stage: Stage) -> None:
    await stage.open_terminal()
    first = await ran(stage, "echo 1")
    second = await ran(stage, "echo 2")
    assert [one["id"] for one in await listed(stage, "run")] == [second["id"], first["id"]]
    assert len(await listed(stage)) == 3


async def test_the_very_command_of_a_record_is_run_again(stage: Stage) -> None:
    record = await ran(stage, "echo $KIND $PORT", "port = 8123\n[env]\nKIND = 'old'")
    configure(stage, "echo new")
    again = await stage.http.post("/run", json={"record": record["id"]})
    assert again.status_code == 201
    assert again.json()["command"] == record["command"]
    async with stage.attached(again.json()["terminal"]) as tab:
        await tab.until_kind(EXITED)
        assert tab.text == b"old 8123\r\n"
    shell = await stage.open_terminal()
    assert (await stage.http.post("/run", json={"record": shell})).status_code == 409
    assert (await stage.http.post("/run", json={"record": "run-1-00000000"})).status_code == 404


async def test_a_run_that_had_to_be_killed_is_recorded_as_such(stage: Stage) -> None:
    configure(stage, "trap '' TERM; echo started; while :; do sleep 1; done")
    told = await run(stage)
    async with stage.attached(told["terminal"]) as tab:
        await tab.until("started")
        await stage.http.post("/stop")
        await tab.until_kind(EXITED)
    (record,) = await listed(stage)
    assert (record["stopped"], record["forced"], record["exit"]) == (True, True, {"status": 137, "signal": 9})


async def test_a_record_goes_on_behind_a_restart_of_the_proxy(stage: Stage) -> None:
    async with stage.shell() as tab:
        await tab.type("seq 1 2000; echo en''d\n")
        await tab.until("end\r\n$ ")
        await stage.restart_proxy()
    async with stage.attached(tab.ready["id"] if tab.ready else "", after=tab.offset) as again:
        await again.type("seq 2001 4000; echo en''d\n")
        await again.until("end\r\n$ ")
        (record,) = await listed(stage)
        assert (await output(stage, record["id"])).content == bytes(tab.text + again.text)
        assert (record["missing"], record["who"]) == (0, {"id": "una", "name": "Una"})


async def test_a_password_that_is_not_shown_is_not_recorded(stage: Stage) -> None:
    async with stage.shell() as tab:
        await tab.type("stty -echo; printf 'pass''word: '; read it; stty echo; echo got ${#it}\n")
        await tab.until("password: ")
        await tab.type("hunter22\n")
        await tab.until("got 8\r\n$ ")
        (record,) = await listed(stage)
        found = (await output(stage, record["id"])).content
        assert found == tab.text
        assert b"password: " in found
        assert b"hunter" not in found


async def test_a_record_is_taken_away_as_bytes_as_text_and_as_asciicast(stage: Stage) -> None:
    record = await ran(stage, r"printf '\033[31mred\033[0m é\n'; stty cols 100; seq 1000; echo the end")
    at = f"/records/{record['id']}"
    whole = await output(stage, record["id"])
    assert (whole.headers["devex-offset"], whole.headers["devex-missing"]) == ("0", "0")
    last = await output(stage, record["id"], last=20)
    assert last.content == b"1000\r\nthe end\r\n"
    assert int(last.headers["devex-offset"]) == len(whole.content) - len(last.content)
    text = await stage.http.get(f"{at}/text")
    assert text.text == "red é\n" + "".join(f"{number}\n" for number in range(1, 1001)) + "the end\n"
    cast = await stage.http.get(f"{at}/cast")
    header, *events = map(json.loads, cast.text.splitlines())
    assert (header["version"], header["width"], header["command"]) == (2, 80, record["command"])
    assert "".join(data for _, code, data in events if code == "o") == whole.content.decode()
    for answer in (whole, text, cast):
        assert answer.headers["content-disposition"].startswith("attachment")
        assert answer.headers["content-security-policy"] == "sandbox; default-src 'none'"
    for path in ("output", "text", "cast", ""):
        assert (await stage.http.get(f"/records/run-1-00000000/{path}".rstrip("/"))).status_code == 404


async def test_records_are_searched_the_newest_first(stage: Stage) -> None:
    first = await ran(stage, r"echo one; printf 'a \033[1mNee\033[0mdle\n'")
    second = await ran(stage, "echo the needle; seq 150 | sed s/^/needles/")

    async def found(query: str) -> dict[str, Any]:
        answer = await stage.http.get("/records/search", params={"q": query})
        result: dict[str, Any] = answer.json()
        return result

    told = await found("the needle")
    assert told == {
        "matches": [{"id": second["id"], "line": 1, "column": 0, "length": 10, "text": "the needle", "at": 0}],
        "cut_off": False,
    }
    many = await found("needle")
    assert many["cut_off"], "of one record so many are told"
    assert [(one["id"], one["line"], one["text"]) for one in many["matches"][-1:]] == [(first["id"], 2, "a Needle")]
    assert (await found("nowhere")) == {"matches": [], "cut_off": False}
    assert (await stage.http.get("/records/search")).status_code == 400


async def test_while_the_disk_hangs_few_closed_terminals_are_held(stage: Stage) -> None:
    folder = stage.config.records / await stage.open_terminal()
    async with asyncio.timeout(DEADLINE_S):
        while not (folder / "about.json").exists():
            await asyncio.sleep(0.005)
    os.mkfifo(folder / "about.new")  # who writes to it waits for somebody who reads
    assert (await stage.http.patch(f"/terminals/{folder.name}", json={"title": "x"})).status_code == 204
    records = stage.proxy._records
    try:
        async with asyncio.timeout(DEADLINE_S):
            while records._begun == records._over:
                await asyncio.sleep(0.005)
        for _ in range(CLOSED + 5):
            closed = await stage.open_terminal()
            assert (await stage.http.delete(f"/terminals/{closed}")).status_code == 204
        assert len(records._live) <= CLOSED + 2, "each has a ring"
    finally:
        reader = os.open(folder / "about.new", os.O_RDONLY | os.O_NONBLOCK)
        (folder / "about.new").unlink(missing_ok=True)
        os.close(reader)


async def test_no_secret_is_in_a_record(stage: Stage) -> None:
    """Wherever it stands: in names, in commands, and in what is printed, also when half of it is on disk already."""
    canary = f"canary-{secrets.token_hex(8)}"
    await stage.restart_proxy(secrets=(canary,))
    first, second = canary[:12], canary[12:]
    configure(stage, f"printf before{first}; until [ -e go ]; do sleep 0.05; done; echo {second}after; : {canary}")
    run_id = (await run(stage))["terminal"]
    async with stage.attached(run_id) as tab:
        await tab.until(first)
        await output(stage, run_id)
        (stage.workspace / "go").touch()
        await tab.until_kind(EXITED)
        assert canary.encode() in tab.text, "who runs it sees it"
    async with stage.shell() as tab:
        await tab.type(f"echo {canary}\n")
        await tab.until(f"\n{canary}")
        shell_id = next(one["id"] for one in await listed(stage) if one["kind"] == "shell")
        assert (await stage.http.patch(f"/terminals/{shell_id}", json={"title": canary})).status_code == 204
    paths = [f"/records/{one}/{form}" for one in (run_id, shell_id) for form in ("output", "text", "cast")]
    answers = [await stage.http.get(path) for path in ("/records", f"/records/search?q={canary}", *paths)]
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert answers[1].json()["matches"] == []
    assert (await output(stage, run_id)).content == b"before" + b"*" * len(canary) + b"after\r\n"
    told = [answer.content for answer in answers]
    on_disk = [one.read_bytes() for one in stage.config.records.rglob("*") if one.is_file()]
    assert len(on_disk) >= 4
    for found in (*told, *on_disk):
        assert canary.encode() not in found
