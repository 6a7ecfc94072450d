"""Terminals: real programs on real PTYs, typed to and read from over the wire."""

import hashlib
import os
import signal
from pathlib import Path

import pytest

from runner.agent.terminal import MAX_PENDING_INPUT_BYTES
from runner.protocol import messages as m
from tests.runner.agent.proxy import ENVIRONMENT, PYTHON, Agent, Proxy, until_gone

LONG = 3_000_000


def test_a_shell_echoes_what_is_typed(proxy: Proxy) -> None:
    proxy.shell(1)
    proxy.type(1, b"echo $((6 * 7))\r")
    proxy.until_text(1, b"42\r\n")


def test_text_of_any_language_is_echoed(proxy: Proxy) -> None:
    proxy.open(1, "cat")
    text = "žluťoučký 日本語 👩‍🚀".encode()
    for byte in text:
        proxy.type(1, bytes([byte]))
    proxy.type(1, b"\r")
    proxy.until_text(1, text + b"\r\n" + text + b"\r\n")


def test_erase_takes_a_whole_character(proxy: Proxy) -> None:
    proxy.open(1, "sh", "-c", "echo ready; read line; printf '<%s>' \"$line\"")
    proxy.until_text(1, b"ready")
    proxy.type(1, "a日\x7fb\r".encode())
    proxy.until_text(1, b"<ab>")


def test_a_program_has_the_environment_and_directory_it_was_given_and_no_more(proxy: Proxy, tmp_path: Path) -> None:
    proxy.open(1, "env", env={"PATH": "/usr/bin:/bin", "GREETING": "dobrý den"})
    proxy.until_exit(1)
    assert proxy.output[1].decode().splitlines() == ["PATH=/usr/bin:/bin", "GREETING=dobrý den"]
    proxy.open(2, "pwd", cwd=str(tmp_path))
    proxy.until_exit(2)
    assert proxy.output[2].decode().strip() == str(tmp_path)


def test_a_program_holds_only_its_terminal(proxy: Proxy) -> None:
    listed = proxy.result(1, "sh", "-c", "exec ls -l /proc/self/fd").decode()
    assert {line.split()[-1] for line in listed.splitlines()[1:] if "/proc/" not in line} == {
        next(line.split()[-1] for line in listed.splitlines() if "/dev/pts/" in line)
    }


def test_every_signal_starts_at_its_default(proxy: Proxy) -> None:
    status = proxy.result(1, "grep", "-E", "Sig(Ign|Blk)", "/proc/self/status").decode()
    assert {int(line.split()[1], 16) & 0x7FFFFFFF for line in status.splitlines()} == {0}


@pytest.mark.parametrize(
    ("argv", "cwd", "reason"),
    [
        (("no-such-program",), "/tmp", "command not found"),
        (("/etc/passwd",), "/tmp", "Permission denied"),
        (("sh",), "/no/such/directory", "No such file"),
        ((), "/tmp", "no program"),
        (("sh", "x" * 600_000), "/tmp", "too long"),
    ],
)
def test_what_cannot_start_says_why(proxy: Proxy, argv: tuple[str, ...], cwd: str, reason: str) -> None:
    proxy.send(m.Open(1, "a", argv, cwd, ENVIRONMENT, 80, 24, False))
    assert reason in proxy.until_message(m.OpenFailed).reason
    proxy.shell(1)


def test_a_channel_is_taken_once_and_terminals_are_counted(proxy: Proxy) -> None:
    for channel in range(m.MAX_TERMINALS):
        proxy.open(channel, "cat")
    for channel in (0, m.MAX_TERMINALS):
        proxy.send(m.Open(channel, "again", ("cat",), "/tmp", ENVIRONMENT, 80, 24, False))
        assert proxy.until_message(m.OpenFailed).channel == channel
    proxy.send(m.Close(0))
    proxy.shell(0)


def test_resize_reaches_the_program(proxy: Proxy) -> None:
    proxy.open(1, "bash", "-c", "trap 'stty size' WINCH; stty size; while :; do read -t 0.05 < /dev/tty; done")
    proxy.until_text(1, b"24 80\r\n")
    proxy.send(m.Resize(1, 132, 50))
    proxy.until_text(1, b"50 132\r\n")


def test_ctrl_c_interrupts_the_program_and_not_the_shell(proxy: Proxy) -> None:
    proxy.shell(1)
    proxy.type(1, b"sh -c 'echo star''ted; exec sleep 1000'\r")
    proxy.until_text(1, b"started")
    proxy.type(1, b"\x03")
    proxy.type(1, b"echo status=$?\r")
    proxy.until_text(1, b"status=130")


def test_a_signal_goes_to_the_foreground_group(proxy: Proxy) -> None:
    proxy.shell(1)
    proxy.type(1, b"sh -c 'echo star''ted; sleep 1000; echo never'\r")
    proxy.until_text(1, b"started")
    proxy.send(m.Signal(1, signal.SIGTERM))
    proxy.type(1, b"echo status=$?\r")
    proxy.until_text(1, b"status=143")
    proxy.send(m.Signal(1, 200), m.Signal(77, signal.SIGTERM))
    proxy.barrier()
    proxy.send(m.Signal(1, signal.SIGKILL))
    assert proxy.until_exit(1) == (137, signal.SIGKILL)


def test_job_control_works(proxy: Proxy) -> None:
    proxy.shell(1)
    proxy.type(1, b"sh -c 'echo star''ted; exec sleep 1000'\r")
    proxy.until_text(1, b"started")
    proxy.type(1, b"\x1a")
    proxy.until_text(1, b"Stopped")
    proxy.type(1, b"kill %1; wait; echo af''ter\r")
    proxy.until_text(1, b"after")


@pytest.mark.parametrize(
    ("script", "expected"), [("exit 0", (0, 0)), ("exit 7", (7, 0)), ("kill -9 $$", (137, 9)), ("kill $$", (143, 15))]
)
def test_the_exit_is_reported_as_a_shell_says_it(proxy: Proxy, script: str, expected: tuple[int, int]) -> None:
    proxy.open(1, "bash", "-c", script)
    assert proxy.until_exit(1) == expected


@pytest.mark.parametrize("script", ["exec {program}", "{program}; true"], ids=["itself", "a child of it"])
def test_the_peak_memory_is_that_of_the_largest_process(proxy: Proxy, script: str) -> None:
    for channel, size_mb in ((1, 100), (2, 0)):
        program = f"{PYTHON} -c 'print(len(b\"x\" * ({size_mb} << 20)))'"
        proxy.open(channel, "sh", "-c", script.format(program=program))
        proxy.until_exit(channel)
        assert size_mb < proxy.exits[channel].peak_bytes >> 20 < size_mb + 100, proxy.tail()


def test_exit_comes_behind_all_output(proxy: Proxy) -> None:
    for channel in range(20):
        proxy.open(channel, "sh", "-c", f"head -c {LONG // 100} /dev/zero | tr '\\0' x; exit 3")
    for channel in range(20):
        assert proxy.until_exit(channel) == (3, 0)
        assert len(proxy.output[channel]) == LONG // 100


def test_a_background_program_does_not_hold_up_the_exit(proxy: Proxy) -> None:
    proxy.open(1, "bash", "-c", "sleep 1000 & echo $!")
    assert proxy.until_exit(1) == (0, 0)
    os.kill(int(proxy.output[1]), signal.SIGKILL)


def test_a_program_that_closes_its_terminal_runs_on(proxy: Proxy) -> None:
    proxy.open(1, "bash", "-c", "trap 'exit 5' USR1; echo on; exec <&- >&- 2>&-; while :; do sleep 0.01; done")
    proxy.until_text(1, b"on")
    proxy.barrier()
    assert 1 not in proxy.exits
    proxy.send(m.Signal(1, signal.SIGUSR1))
    assert proxy.until_exit(1) == (5, 0)


def test_no_output_beyond_the_credit(proxy: Proxy) -> None:
    proxy.open(1, "cat", "/dev/zero", upto=m.INITIAL_CREDIT_BYTES)
    for upto in (m.INITIAL_CREDIT_BYTES, m.INITIAL_CREDIT_BYTES + 1, m.INITIAL_CREDIT_BYTES + 100_000):
        proxy.send(m.Credit(1, upto))
        proxy.until(lambda upto=upto: proxy.end(1) >= upto)  # type: ignore[misc]
        proxy.barrier()
        assert proxy.end(1) == upto


def test_credit_can_be_taken_back(proxy: Proxy) -> None:
    proxy.open(1, "cat", "/dev/zero")
    proxy.until(lambda: proxy.end(1) > LONG)
    proxy.send(m.Credit(1, 0))
    proxy.barrier()
    end = proxy.end(1)
    proxy.barrier()
    assert proxy.end(1) == end


def test_an_exit_waits_for_credit(proxy: Proxy) -> None:
    pid = proxy.open(1, "sh", "-c", "head -c 5000 /dev/zero; exit 4", upto=1000)
    proxy.until(lambda: proxy.end(1) == 1000)
    proxy.barrier()
    assert 1 not in proxy.exits
    proxy.send(m.Credit(1, m.FREE_RUN))
    assert proxy.until_exit(1) == (4, 0)
    assert proxy.end(1) == 5000
    until_gone(pid)


def test_ctrl_c_works_while_a_flood_waits_for_credit(proxy: Proxy) -> None:
    proxy.shell(1, upto=m.INITIAL_CREDIT_BYTES)
    proxy.type(1, b"yes\r")
    proxy.until(lambda: proxy.end(1) == m.INITIAL_CREDIT_BYTES)
    proxy.type(1, b"\x03")
    proxy.send(m.Credit(1, m.FREE_RUN))
    proxy.type(1, b"echo status=$?\r")
    proxy.until_text(1, b"status=130")
    assert proxy.end(1) < m.INITIAL_CREDIT_BYTES + 200_000


def test_a_key_that_stands_for_no_signal_throws_nothing_away(proxy: Proxy, tmp_path: Path) -> None:
    """Ctrl-Space is the character that stands for none."""
    waits = f"until test -e {tmp_path}/go; do sleep 0.01; done"
    sums = f"head -c {LONG + 1} | sha256sum"
    proxy.open(1, "sh", "-c", f"stty -icanon -echo susp undef; echo ready; {waits}; {sums}")
    proxy.until_text(1, b"ready")
    for _ in range(LONG // 50_000):
        proxy.type(1, b"p" * 50_000)
    proxy.type(1, b"\0")
    proxy.barrier()
    (tmp_path / "go").touch()
    proxy.until_text(1, hashlib.sha256(b"p" * LONG + b"\0").hexdigest().encode())


def test_requests_are_read_while_output_is_not(proxy: Proxy) -> None:
    """The proxy reads nothing, every buffer is full, and still Ctrl-C ends the flood and pastes arrive."""
    proxy.shell(1)
    proxy.open(2, "sh", "-c", f"stty raw -echo; echo ready; head -c {LONG} | sha256sum")
    proxy.until_text(2, b"ready")
    proxy.type(1, b"cat /dev/zero\r")
    proxy.until(lambda: proxy.end(1) > LONG)
    for _ in range(LONG // 50_000):
        proxy.type(2, b"p" * 50_000)
    proxy.type(1, b"\x03")
    proxy.type(1, b"echo status=$?\r")
    proxy.until_text(1, b"status=130")
    proxy.until_text(2, hashlib.sha256(b"p" * LONG).hexdigest().encode())


def test_floods_share_the_connection(proxy: Proxy) -> None:
    for channel in (1, 2, 3):
        proxy.open(channel, "cat", "/dev/zero")
    proxy.until(lambda: all(proxy.end(channel) > LONG for channel in (1, 2, 3)))
    before = {channel: proxy.end(channel) for channel in (1, 2, 3)}  # who was opened first had the link for itself
    proxy.until(lambda: all(proxy.end(channel) > begun + LONG for channel, begun in before.items()))
    sent = sorted(proxy.end(channel) - begun for channel, begun in before.items())
    assert sent[0] * 5 > sent[-1]


def test_lost_input_is_said(proxy: Proxy) -> None:
    proxy.open(1, "sh", "-c", "stty raw -echo; echo ready; sleep 1000")
    proxy.until_text(1, b"ready")
    for _ in range(MAX_PENDING_INPUT_BYTES // m.MAX_INPUT_BYTES + 2):
        proxy.type(1, b"x" * m.MAX_INPUT_BYTES)
    proxy.until_text(1, b"is lost")


def test_a_closed_terminal_ends_its_programs_and_says_no_more(proxy: Proxy) -> None:
    shell = proxy.shell(1)
    proxy.send(m.Close(1))
    until_gone(shell)
    stubborn = proxy.open(2, "bash", "-c", "trap '' HUP TERM INT; echo on; while :; do sleep 1000; done")
    proxy.until_text(2, b"on")
    proxy.send(m.Close(2), m.Close(2), m.Input(2, b"x"), m.Resize(2, 1, 1), m.Credit(2, 0), m.Resume(2, 0))
    until_gone(stubborn)
    proxy.barrier()
    assert not proxy.exits


def test_terminals_end_with_the_agent(proxy: Proxy, agent: Agent, installed: Path, tmp_path: Path) -> None:
    other = Proxy(tmp_path / "..")
    second = Agent(installed, other.path)
    try:
        other.accept()
        shell = other.shell(1)
        second.process.terminate()
        assert second.process.wait(timeout=30) == 0
        until_gone(shell)
    finally:
        second.stop()
        other.close()
        os.unlink(other.path)
