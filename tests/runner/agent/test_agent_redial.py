"""The connection comes and goes; terminals stay, and what they wrote meanwhile is there to the byte."""

import signal
from pathlib import Path

import pytest

from runner.protocol import messages as m
from runner.protocol.ring import RING_BYTES
from tests.runner.agent.proxy import Agent, Proxy, until_gone, until_there


def counted(lines: int) -> bytes:
    return b"".join(b"%d\r\n" % number for number in range(1, lines + 1))


def redialled(proxy: Proxy) -> dict[int, m.TerminalState]:
    """Hang up and take the next dial -> the terminals it tells of, by channel."""
    proxy.hang_up()
    return {state.channel: state for state in proxy.accept().terminals}


def test_a_shell_survives_and_goes_on(proxy: Proxy, agent: Agent) -> None:
    pid = proxy.shell(1)
    proxy.type(1, b"NAME=kept\r")
    proxy.barrier()
    proxy.hang_up()
    hello = proxy.accept()
    assert (hello.version, hello.pid) == (m.VERSION, agent.process.pid)
    [state] = hello.terminals
    assert (state.channel, state.terminal, state.exit_status) == (1, "t-1", None)
    proxy.send(m.Resume(1, state.end))
    proxy.type(1, b"echo $NAME $$\r")
    proxy.until_text(1, b"kept %d\r\n" % pid)


@pytest.mark.parametrize("seen_bytes", [1, 5000, 200_000])
def test_resume_goes_on_at_the_very_byte(proxy: Proxy, seen_bytes: int) -> None:
    proxy.open(1, "seq", "150000")
    proxy.until(lambda: proxy.end(1) >= seen_bytes)
    before = bytes(proxy.output[1])
    state = redialled(proxy)[1]
    assert state.start == 0
    proxy.send(m.Resume(1, len(before)), m.Credit(1, m.FREE_RUN))
    assert proxy.until_exit(1) == (0, 0)
    assert proxy.first[1] == len(before)
    assert before + proxy.output[1] == counted(150_000)


def test_output_runs_on_while_nobody_is_there_and_the_oldest_goes(proxy: Proxy) -> None:
    proxy.open(1, "sh", "-c", "read go; seq 400000; exit 9", upto=m.INITIAL_CREDIT_BYTES)
    proxy.type(1, b"\r")
    proxy.until(lambda: proxy.end(1) > 1000)
    state = redialled(proxy)[1]
    while state.exit_status is None:  # each dial finds it further on
        state = redialled(proxy)[1]
    whole = b"\r\n" + counted(400_000)
    assert (state.exit_status, state.end, state.start) == (9, len(whole), len(whole) - RING_BYTES)
    for after in (0, state.start, state.end - 10, state.end, state.end + 10):
        redialled(proxy)
        proxy.send(m.Resume(1, after), m.Credit(1, m.FREE_RUN))
        assert proxy.until_exit(1) == (9, 0)
        expected = max(after, state.start)
        assert proxy.first.get(1, state.end) == min(expected, state.end)
        assert proxy.output.get(1, b"") == whole[expected:]


def test_nothing_is_sent_before_the_resume_and_only_up_to_the_credit_after_it(proxy: Proxy) -> None:
    proxy.open(1, "cat", "/dev/zero")
    proxy.until(lambda: proxy.end(1) > RING_BYTES)
    redialled(proxy)
    proxy.barrier()
    assert not proxy.output
    proxy.send(m.Resume(1, 0))
    proxy.until(lambda: len(proxy.output.get(1, b"")) >= m.INITIAL_CREDIT_BYTES)
    proxy.barrier()
    assert len(proxy.output[1]) == m.INITIAL_CREDIT_BYTES


def test_a_terminal_closed_after_a_redial_is_gone(proxy: Proxy) -> None:
    pid = proxy.shell(1)
    redialled(proxy)
    proxy.send(m.Close(1))
    until_gone(pid)
    assert redialled(proxy) == {}


def test_it_dials_until_it_is_welcome(listening: Proxy, agent: Agent) -> None:
    for _ in range(5):
        listening._accept()[0].close()
    for version in ("devex-0", "devex-1000"):
        listening.accept(version)
        listening.until_lost()
    listening.accept()
    listening.shell(1)


@pytest.mark.parametrize(
    "garbage",
    [b"\xff" * 100, bytes(100), m.encode(m.Pong(1)), m.encode(m.Hello(m.VERSION, 1, ())), b"GET / HTTP/1.1\r\n\r\n"],
    ids=["too long", "empty", "an agent's message", "a hello", "http"],
)
def test_a_proxy_that_breaks_the_rules_is_left_and_dialled_again(proxy: Proxy, garbage: bytes) -> None:
    pid = proxy.shell(1)
    proxy.send_raw(garbage)
    proxy.until_lost()
    [state] = proxy.accept().terminals
    proxy.send(m.Resume(1, state.end))
    proxy.type(1, b"echo $$\r")
    proxy.until_text(1, b"%d\r\n" % pid)


def test_what_a_proxy_said_before_it_died_is_done(proxy: Proxy, agent: Agent, tmp_path: Path) -> None:
    """Also when the agent, which finds all of it at once, notices first that it can tell it nothing any more."""
    proxy.open(1, "sh", "-c", f"read line; echo $line >{tmp_path}/new; mv {tmp_path}/new {tmp_path}/typed")
    waits = f"until test -e {tmp_path}/go; do sleep 0.01; done; echo on; touch {tmp_path}/said; sleep 1000"
    proxy.open(2, "sh", "-c", waits)
    agent.process.send_signal(signal.SIGSTOP)
    (tmp_path / "go").touch()
    until_there(tmp_path / "said")
    proxy.send(m.Input(77, bytes(m.MAX_INPUT_BYTES)), m.Input(1, b"whole\r"))  # more than is read at once
    proxy.hang_up()
    agent.process.send_signal(signal.SIGCONT)
    proxy.accept()
    until_there(tmp_path / "typed")
    assert (tmp_path / "typed").read_text() == "whole\n"


def test_a_proxy_that_leaves_amid_floods_changes_nothing(proxy: Proxy) -> None:
    for channel in (1, 2, 3):
        proxy.open(channel, "cat", "/dev/zero")
    for _ in range(10):
        proxy.until(lambda: all(proxy.output.get(channel) for channel in (1, 2, 3)))
        states = redialled(proxy)
        assert set(states) == {1, 2, 3}
        for channel, state in states.items():
            proxy.send(m.Resume(channel, state.end), m.Credit(channel, m.FREE_RUN))
