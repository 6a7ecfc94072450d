"""Run and stop with real programs."""

from typing import Any

from tests.runner.proxy.stage import DEADLINE_S, EXITED, Stage


async def run(stage: Stage) -> dict[str, Any]:
    answer = await stage.http.post("/run", json={})
    assert answer.status_code == 201, answer.text
    told: dict[str, Any] = answer.json()
    return told


def configure(stage: Stage, command: str, more: str = "") -> None:
    (stage.workspace / ".devex.toml").write_text(f"run = '''{command}'''\n{more}")


async def test_a_run_has_a_terminal_a_command_and_an_end(stage: Stage) -> None:
    before = (await stage.http.get("/run")).json()
    assert before == {
        "running": False,
        "terminal": None,
        "command": None,
        "started_at": None,
        "exit_code": None,
        "duration_s": None,
        "peak_bytes": None,
        "forced": False,
    }
    configure(stage, "echo $PORT $EXTRA; pwd; exit 7", "port = 8123\n[env]\nEXTRA = 'more'")
    async with stage.events() as events:
        told = await run(stage)
        async with stage.attached(told["terminal"]) as output:
            await output.until_kind(EXITED)
            assert output.text.decode() == f"8123 more\r\n{stage.workspace}\r\n"
            assert output.ready
            assert output.ready["kind"] == "run"
        while (event := await events.next("run"))["running"]:
            pass
    after = (await stage.http.get("/run")).json()
    measured = {"duration_s": event["duration_s"], "peak_bytes": event["peak_bytes"]}
    assert after == {**told, "running": False, "exit_code": 7, "forced": False, **measured}
    assert after["duration_s"] >= 0
    assert after["peak_bytes"] > 0
    assert "run" in stage.activity


async def test_the_templates_command_runs_when_nothing_else_is_said(stage: Stage) -> None:
    told = await run(stage)
    assert told["command"] == "echo default"


async def test_run_restarts_what_runs(stage: Stage) -> None:
    configure(stage, "echo started; sleep 1000")
    first = await run(stage)
    async with stage.attached(first["terminal"]) as output:
        await output.until("started")
        second = await run(stage)
        assert await output.until_closed() == 4404
    assert second["terminal"] != first["terminal"]
    listed = (await stage.http.get("/terminals")).json()["terminals"]
    assert [one["id"] for one in listed] == [second["terminal"]]
    stopped = (await stage.http.post("/stop")).json()
    assert (stopped["running"], stopped["exit_code"], stopped["forced"]) == (False, 143, False)


async def test_stop_kills_what_does_not_listen(stage: Stage) -> None:
    configure(stage, "trap '' TERM; echo started; while :; do sleep 1; done")
    told = await run(stage)
    async with stage.attached(told["terminal"]) as output:
        await output.until("started")
        stopped = (await stage.http.post("/stop")).json()
        assert (stopped["running"], stopped["exit_code"], stopped["forced"]) == (False, 137, True)
        await output.until_kind(EXITED)
    assert (await stage.http.post("/stop")).json() == stopped, "stopping again changes nothing"


async def test_a_failing_build_is_the_end(stage: Stage) -> None:
    configure(stage, "echo never", "build = 'echo building; false'")
    told = await run(stage)
    async with stage.attached(told["terminal"]) as output:
        await output.until_kind(EXITED)
        assert output.text == b"building\r\n"
        assert output.exit
        assert output.exit["status"] == 1


async def test_a_run_outlives_a_restart_of_the_proxy(stage: Stage) -> None:
    configure(stage, "echo started; read line; echo got $line; exit 4")
    told = await run(stage)
    async with stage.attached(told["terminal"]) as output:
        await output.until("started")
    await stage.restart_proxy()
    state = (await stage.http.get("/run")).json()
    unknown = {"exit_code": None, "duration_s": None, "peak_bytes": None}
    assert state == {**told, "running": True, "forced": False, **unknown}
    async with stage.attached(told["terminal"], after=output.offset) as again:
        await again.type("it\n")
        await again.until_kind(EXITED)
        assert b"got it" in again.text
    configure(stage, "echo something else")
    await stage.restart_proxy()
    async with stage.attached(told["terminal"]) as again:
        await again.until_kind(EXITED)  # what a new proxy is told after all that was printed
    ended = (await stage.http.get("/run")).json()
    assert (ended["command"], ended["exit_code"]) == (told["command"], 4), "as it was, whatever was edited since"
    assert 0 <= ended["duration_s"] < DEADLINE_S


async def test_a_mistake_in_the_configuration_is_explained(stage: Stage) -> None:
    (stage.workspace / ".devex.toml").write_text("run = ")
    refused = await stage.http.post("/run", json={})
    assert refused.status_code == 400
    assert refused.json()["error"]["action"] == "Correct .devex.toml."


async def test_a_field_of_another_kind_is_named(stage: Stage) -> None:
    refused = await stage.http.post("/exec", json={"command": "true", "timeout_s": "60"})
    error = refused.json()["error"]
    told = (refused.status_code, error["message"], error["action"])
    assert told == (400, "The field “timeout_s” is missing or wrong.", "Send a whole number in it.")


async def test_a_reader_runs_nothing(stage: Stage) -> None:
    reader = {"X-Test-Role": "reader"}
    for path in ("/run", "/stop", "/exec"):
        assert (await stage.http.post(path, json={"command": "touch x"}, headers=reader)).status_code == 403
    assert (await stage.http.get("/run", headers=reader)).status_code == 200
