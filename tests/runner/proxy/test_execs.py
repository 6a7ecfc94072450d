"""Commands of scripts, with real programs and a real agent."""

import asyncio
import base64
import hashlib
import json
import os
import random
import signal
import struct
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from runner.proxy.execs.exec import INPUT_WINDOW_BYTES
from runner.proxy.execs.execs import EXECS
from tests.runner.agent.proxy import until_gone
from tests.runner.proxy.script import ACK, INPUT, SIGNAL, script
from tests.runner.proxy.stage import DEADLINE_S, Stage

MIB = 1 << 20
EXAMPLE: Final = Path(__file__).parents[3] / "examples" / "exec_client.py"


async def lines(stage: Stage, **asked: Any) -> tuple[dict[int, bytes], dict[str, Any]]:
    """A streamed answer -> ({1: output, 2: errors}, its last line)"""
    async with stage.http.stream("POST", "/exec", **asked) as answer:
        assert answer.status_code == 200, await answer.aread()
        assert answer.headers["content-type"] == "application/x-ndjson"
        told = [json.loads(line) async for line in answer.aiter_lines()]
    found: defaultdict[int, bytes] = defaultdict(bytes)
    for one in told[:-1]:
        [(name, text)] = one.items()
        data = base64.b64decode(text) if name.endswith("_base64") else text.encode()
        found[1 if name.startswith("stdout") else 2] += data
    return found, told[-1]


async def test_output_errors_and_the_exit_are_told_apart(stage: Stage) -> None:
    async with script(stage, command="printf 'a\\0\\377\\r\\n'; echo err >&2; exit 7") as one:
        told = await one.ended()
        assert (bytes(one.output), bytes(one.errors)) == (b"a\0\xff\r\n", b"err\n")
    assert (told["exit_code"], told["signal"], told["timed_out"]) == (7, None, False)
    assert told["peak_bytes"] > 100_000
    assert told["duration_s"] >= 0
    assert (await stage.http.get("/terminals")).json() == {"terminals": []}
    assert "run" in stage.activity
    assert "output" in stage.activity


async def test_it_runs_where_and_with_what_was_said(stage: Stage) -> None:
    (stage.workspace / "a b").mkdir()
    argv = ["sh", "-c", 'pwd; echo "$1 $GREETING $MORE $TERM"; cat', "sh", "it's"]
    async with script(stage, argv=argv, cwd="a b", env={"MORE": "ü"}) as one:
        assert (await one.ended())["exit_code"] == 0
        assert one.output.decode() == f"{stage.workspace}/a b\nit's hello there ü dumb\n"


async def test_large_input_arrives_whole_and_in_its_own_time(stage: Stage) -> None:
    data = random.Random(5).randbytes(3 * MIB)
    async with script(stage, argv=["sha256sum"], stdin=True) as one:
        await one.type(data)
        await one.end_input()
        assert (await one.ended())["exit_code"] == 0
        assert one.output.split()[0].decode() == hashlib.sha256(data).hexdigest()


async def test_who_floods_is_held_back_and_who_does_not_keep_to_it_is_sent_away(stage: Stage) -> None:
    async with script(stage, command="trap 'exit 0' USR1; while :; do sleep 0.05; done", stdin=True) as one:
        await one.credited()
        assert one.credit == INPUT_WINDOW_BYTES
        await one.type(bytes(one.credit))
        await one.credited()  # what the pipe holds comes on top
        assert one.credit <= INPUT_WINDOW_BYTES + 65536
        with suppress(ConnectionClosed):
            for _ in range(3):  # more than is credited, however much of it the pipe takes meanwhile
                await one.socket.send(bytes([INPUT]) + bytes(60_000))
        assert await one.until_closed() == 1007


async def test_who_does_not_read_holds_its_program_and_nobody_else(stage: Stage) -> None:
    async with script(stage, command="yes | tee sizes") as one:
        one.acknowledges = False
        await one.until(b"y\n")
        async with script(stage, command="echo hello") as other:
            assert (await other.ended())["exit_code"] == 0

        async def is_held() -> int:
            size = -1
            while size != (size := (stage.workspace / "sizes").stat().st_size) or size == 0:
                await asyncio.sleep(0.2)
            return size

        async with asyncio.timeout(DEADLINE_S):
            held = await is_held()
        assert held < 2 * MIB
        one.acknowledges = True
        await one.acknowledge()
        async with asyncio.timeout(DEADLINE_S):
            while len(one.output) <= 2 * held:
                await one.step()


async def test_a_flood_arrives_whole(stage: Stage) -> None:
    data = random.Random(6).randbytes(8 * MIB)
    (stage.workspace / "data").write_bytes(data)
    async with script(stage, command="cat data; cat data >&2") as one:
        assert (await one.ended())["exit_code"] == 0
        assert one.output == data
        assert one.errors == data


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 138)])
async def test_signals_reach_it(stage: Stage, number: int, code: int) -> None:
    async with script(stage, command="echo on; exec sleep 1000") as one:
        await one.until(b"on")
        await one.signal(number)
        told = await one.ended()
        assert (told["exit_code"], told["signal"]) == (code, number)


async def test_a_terminal_when_it_is_asked_for(stage: Stage) -> None:
    command = 'stty size; tty >&2; read line; stty size; echo "<$line>"; cat; echo over'
    async with script(stage, argv=["bash", "-c", command], tty={"cols": 100, "rows": 30}) as one:
        await one.until(b"/dev/pts/")
        assert one.output.startswith(b"30 100\r\n")
        await one.resize(90, 20)
        await one.type(b"typed\r")
        await one.until(b"20 90\r\n<typed>\r\n")
        await one.end_input()
        await one.until(b"over")
        assert (await one.ended())["exit_code"] == 0
        assert one.errors == b""


async def test_its_time_is_limited(stage: Stage) -> None:
    command = "echo $$; sh -c 'trap \"\" TERM; echo $$; sleep 1000' & sleep 1000"
    async with script(stage, command=command, timeout_s=1) as one:
        told = await one.ended()
        assert (told["exit_code"], told["timed_out"]) == (None, True)
        pids = [int(pid) for pid in one.output.split()]
    assert len(pids) == 2
    for pid in pids:
        await asyncio.to_thread(until_gone, pid)


@pytest.mark.parametrize("way", ["websocket", "stream", "whole"])
async def test_who_leaves_takes_its_program_along(stage: Stage, way: str) -> None:
    (stage.workspace / "pids").touch()
    command = "trap '' HUP; echo $$ > pids; sh -c 'echo $$ >> pids; exec sleep 1000'; sleep 1000"

    async def pids() -> list[int]:
        async with asyncio.timeout(DEADLINE_S):
            while len(found := (stage.workspace / "pids").read_text().split()) < 2:
                await asyncio.sleep(0.01)
        return [int(pid) for pid in found]

    if way == "websocket":
        async with script(stage, command=command) as one:
            await one.credited()
            found = await pids()
            one.socket.transport.abort()
    else:
        asking = asyncio.create_task(
            stage.http.post("/exec", json={"command": command, "stream": way == "stream", "timeout_s": 500})
        )
        found = await pids()
        asking.cancel()
        await asyncio.wait([asking])
    for pid in found:
        await asyncio.to_thread(until_gone, pid)


async def test_nothing_is_lost_while_the_agent_is_away(stage: Stage) -> None:
    data = random.Random(7).randbytes(4 * MIB)
    (stage.workspace / "data").write_bytes(data)
    async with script(stage, command="cat data; sha256sum >&2", stdin=True) as one:
        async with asyncio.timeout(DEADLINE_S):
            for share in range(1, 4):
                while len(one.output) < share * MIB:
                    await one.step()
                await stage.cut_the_link()
                await one.type(data[one.sent : one.sent + 80_000])
                await stage.proxy.ready()
        await one.type(data[one.sent :])
        await one.end_input()
        assert (await one.ended())["exit_code"] == 0
        assert one.output == data
        assert one.errors.split()[0].decode() == hashlib.sha256(data).hexdigest()


async def test_an_agent_that_is_killed_is_told(stage: Stage) -> None:
    async with script(stage, command="echo on; sleep 1000") as one:
        await one.until(b"on")
        stage.agents[-1].kill()
        await stage.agent_gone()
        stage.start_agent()
        told = await one.ended()
        assert (told["exit_code"], told["lost"]) == (None, True)


@pytest.mark.parametrize("why", ["no agent", "no server", "no such place"])
async def test_the_example_client_tells_a_lost_command_from_one_whose_time_was_over(stage: Stage, why: str) -> None:
    url = f"{stage.url}/{'exec' if why != 'no such place' else 'nowhere'}"
    argv = [sys.executable, str(EXAMPLE), url, "60", "sh", "-c", "echo on; sleep 1000"]
    known = {**os.environ, "DEVEX_TOKEN": "-"}
    client = await asyncio.create_subprocess_exec(*argv, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=known)
    async with asyncio.timeout(DEADLINE_S):
        assert client.stdout
        if why != "no such place":
            assert await client.stdout.readline() == b"on\n"
        if why == "no agent":
            stage.agents[-1].kill()
            await stage.agent_gone()
            stage.start_agent()
        elif why == "no server":
            await stage.restart_proxy()
        _, errors = await client.communicate()
    assert client.returncode == 255
    assert errors.count(b"\n") == (0 if why == "no agent" else 1), errors


async def test_a_stopping_server_says_so_and_the_next_one_ends_the_program(stage: Stage) -> None:
    async with script(stage, command="echo $$; exec sleep 1000") as one:
        await one.until(b"\n")
        await stage.restart_proxy()
        assert await one.until_closed() == 1012
        await asyncio.to_thread(until_gone, int(one.output))


async def test_so_many_at_a_time(stage: Stage) -> None:
    command = "echo on; cat >/dev/null"
    opened = [script(stage, command=command, stdin=True) for _ in range(EXECS)]
    scripts = [await one.__aenter__() for one in opened]
    for one in scripts:
        await one.until(b"on")
    assert (await stage.http.post("/exec", json={"command": "true"})).status_code == 429
    async with script(stage, command="true") as more:
        assert await more.until_closed() == 1008
        assert more.refused
        assert (more.refused["code"], more.refused["action"]) == ("too_many", "Wait until one has ended.")
    for one in scripts:
        await one.end_input()
        assert (await one.ended())["exit_code"] == 0
    for context in opened:
        await context.__aexit__(None, None, None)
    assert (await stage.http.post("/exec", json={"command": "true"})).json()["exit_code"] == 0


NOT_MEANT: Final[list[dict[str, Any]]] = [
    {}, {"command": 1}, {"command": "x" * 200_000}, {"command": "a\0b"}, {"command": "a", "argv": ["b"]},
    {"argv": []}, {"argv": [1]}, {"argv": "ls"}, {"argv": ["x"] * 5000}, {"command": "\ud800"},
    {"command": "a", "cwd": "../x"}, {"command": "a", "cwd": "/etc"}, {"command": "a", "env": {"A=B": "x"}},
    {"command": "a", "env": {"A": 1}}, {"command": "a", "timeout_s": "60"}, {"command": "a", "timeout": 60},
    {"command": "a", "tty": 1}, {"command": "a", "stdin": 5},
]  # fmt: skip


async def test_what_cannot_be_meant_is_refused(stage: Stage) -> None:
    for asked in NOT_MEANT:
        answer = await stage.http.post("/exec", content=json.dumps(asked))
        assert answer.status_code == 400, asked
        assert answer.json()["error"]["action"]
        async with script(stage, **asked) as one:
            assert await one.until_closed() == 1008, asked
            assert one.refused
            assert one.refused["message"] == answer.json()["error"]["message"]


async def test_nonsense_ends_it(stage: Stage) -> None:
    for message in ("text", b"", bytes([99]), bytes([ACK, 1]), bytes([SIGNAL, 19]), b"\x04"):
        async with script(stage, command="sleep 1000") as one:
            await one.credited()
            await one.socket.send(message)
            assert await one.until_closed() == 1007, message


async def test_impossible_acknowledgements_grant_nothing(stage: Stage) -> None:
    async with script(stage, command="yes | head -c 3000000") as one:
        await one.socket.send(struct.pack(">BQ", ACK, 1 << 63))
        assert (await one.ended())["exit_code"] == 0
        assert len(one.output) == 3_000_000


async def test_what_cannot_start_says_why(stage: Stage) -> None:
    for asked in ({"argv": ["no-such-program"]}, {"argv": ["程序" * 40]}, {"command": "ls", "cwd": "nowhere"}):
        async with script(stage, **asked) as one:
            assert await one.until_closed() == 1008
            assert one.refused
            assert "could not be started" in one.refused["message"]
        answer = await stage.http.post("/exec", json={**asked, "stream": True})
        assert answer.status_code == 502


async def test_a_reader_runs_nothing(stage: Stage) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with script(stage, role="reader", command="touch x"):
            pass
    assert refused.value.response.status_code == 403
    for asked in ({"json": {"command": "touch x", "stream": True}}, {"params": {"command": "touch x"}}):
        reader = await stage.http.post("/exec", headers={"X-Test-Role": "reader"}, **asked)
        assert reader.status_code == 403
    assert not (stage.workspace / "x").exists()


# Over HTTP


async def test_an_answer_in_one_piece(stage: Stage) -> None:
    told = (await stage.http.post("/exec", json={"command": "echo out; echo err >&2; cat; exit 3"})).json()
    assert (told["exit_code"], told["output"]) == (3, "out\nerr\n")
    assert (told["truncated"], told["timed_out"]) == (False, False)
    stdin = "ünï\n$HOME `id` 'x'\n" * 9000
    told = (await stage.http.post("/exec", json={"argv": ["sort", "-u"], "stdin": stdin})).json()
    assert (told["exit_code"], told["output"]) == (0, "$HOME `id` 'x'\nünï\n")
    told = (await stage.http.post("/exec", json={"command": "seq 1000000"})).json()
    assert told["truncated"]
    assert told["output"].endswith("999999\n1000000\n")
    assert len(told["output"]) == MIB
    told = (await stage.http.post("/exec", json={"command": "echo a; sleep 1000", "timeout_s": 1})).json()
    assert (told["exit_code"], told["timed_out"], told["output"]) == (None, True, "a\n")


async def test_lines_come_while_it_runs(stage: Stage) -> None:
    asked = {"command": "echo ü; echo on >&2; while [ ! -e go ]; do sleep 0.01; done; printf '\\377'", "stream": True}
    found, seen = b"", []
    async with stage.http.stream("POST", "/exec", json=asked) as answer:
        async for line in answer.aiter_lines():
            seen.append(json.loads(line))
            if {"stdout": "ü\n"} in seen and {"stderr": "on\n"} in seen:
                (stage.workspace / "go").touch()
            found += line.encode()
    assert seen[2] == {"stdout_base64": "/w=="}
    assert seen[3]["exit_code"] == 0


async def test_a_silent_program_is_said_to_live(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.proxy.execs.routes.SILENCE_S", 0.01)
    asked = {"command": "while [ ! -e go ]; do sleep 0.01; done", "stream": True}
    async with stage.http.stream("POST", "/exec", json=asked) as answer:
        seen = []
        async for line in answer.aiter_lines():
            seen.append(json.loads(line))
            (stage.workspace / "go").touch()
    assert "running_s" in seen[0]
    assert seen[-1]["exit_code"] == 0


async def test_a_body_is_the_input(stage: Stage) -> None:
    data = random.Random(8).randbytes(3 * MIB)
    found, told = await lines(stage, params={"argv": ["sh", "-c", 'cat; echo "$A" >&2'], "env": "A=b=c"}, content=data)
    assert found == {1: data, 2: b"b=c\n"}
    assert told["exit_code"] == 0
    assert "keystroke" in stage.activity
    found, told = await lines(stage, params={"command": "head -c 5; exit 3", "timeout_s": "20"}, content=data)
    assert (found, told["exit_code"]) == ({1: data[:5]}, 3)
    for wrong in ({"argv": "ls", "timeout_s": "x"}, {"tty": "1"}, {"cwd": "a"}):
        assert (await stage.http.post("/exec", params=wrong)).status_code == 400


async def test_memory_is_bounded_whoever_does_not_read(stage: Stage) -> None:
    """Eight that read nothing of a flood, and send one that nobody reads."""
    rss = f"/proc/{os.getpid()}/statm"

    def resident() -> int:
        with open(rss) as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    async def deaf() -> None:
        async with script(stage, command="yes & trap '' USR1; while :; do sleep 0.05; done", stdin=True) as one:
            one.acknowledges = False
            await one.credited()
            for _ in range(2):
                await one.type(bytes(one.credit - one.sent))
                await one.until(b"y\n")
            await filled.wait()

    filled = asyncio.Event()
    before = resident()
    async with asyncio.timeout(DEADLINE_S):
        async with asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(deaf())
            while sum(len(one._input) for one in stage.proxy._execs._by_channel.values()) < 8 * 100_000:
                await asyncio.sleep(0.05)
            grown = resident() - before
            filled.set()
    assert grown < 8 * 2 * MIB
