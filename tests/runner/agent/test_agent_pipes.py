"""Programs without a terminal: real ones on real pipes."""

import hashlib
import os
import random
import signal
import time
from collections import defaultdict
from pathlib import Path

import pytest

from runner.protocol import messages as m
from runner.protocol.frames import Decoder
from tests.runner.agent.proxy import DEADLINE_S, Agent, Proxy, until_gone

MIB = 1 << 20


def written(proxy: Proxy, channel: int) -> tuple[bytes, bytes]:
    """-> (output, errors) so far"""
    found: defaultdict[int, bytes] = defaultdict(bytes)
    for kind, body in Decoder(m.MAX_OUTPUT_BYTES).feed(proxy.output.get(channel, b"")):
        found[kind] += body
    return found.pop(m.STDOUT, b""), found.pop(m.STDERR, b"")


def until_written(proxy: Proxy, channel: int, text: bytes) -> None:
    proxy.until(lambda: text in written(proxy, channel)[0])


def inputs(channel: int, data: bytes) -> list[m.Input]:
    return [m.Input(channel, data[at : at + m.MAX_INPUT_BYTES]) for at in range(0, len(data), m.MAX_INPUT_BYTES)]


def feed(proxy: Proxy, channel: int, data: bytes) -> None:
    """As a proxy does: no more than a window ahead of what was taken."""
    for number, message in enumerate(inputs(channel, data)):
        proxy.send(message)
        behind = number * m.MAX_INPUT_BYTES - m.INITIAL_CREDIT_BYTES
        if behind > 0:
            proxy.until_message(m.InputTaken, lambda taken, behind=behind: taken.upto >= behind)  # type: ignore[misc]
    proxy.send(m.EndInput(channel))


def test_output_and_errors_are_told_apart_and_every_byte_is_as_it_was(proxy: Proxy) -> None:
    proxy.open(1, "sh", "-c", r"printf 'a\r\n\0\377'; printf 'b\n' >&2; exit 7", piped=True)
    assert proxy.until_exit(1) == (7, 0)
    assert written(proxy, 1) == (b"a\r\n\0\xff", b"b\n")


def test_it_has_no_terminal(proxy: Proxy) -> None:
    proxy.open(1, "sh", "-c", "test -t 0 || test -t 1 || test -t 2 || : </dev/tty", piped=True)
    assert proxy.until_exit(1)[0] != 0
    assert b"/dev/tty" in written(proxy, 1)[1]


def test_large_input_arrives_whole_and_ends(proxy: Proxy) -> None:
    data = random.Random(1).randbytes(3 * MIB)
    proxy.open(1, "sha256sum", piped=True)
    feed(proxy, 1, data)
    assert proxy.until_exit(1) == (0, 0)
    assert written(proxy, 1)[0].split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_input_that_nobody_reads_is_held_and_said_to_be_so(proxy: Proxy) -> None:
    proxy.open(1, "sh", "-c", "trap 'exec cat | wc -c' USR1; echo on; while :; do sleep 0.01; done", piped=True)
    until_written(proxy, 1, b"on")
    for _ in range(4):
        proxy.send(m.Input(1, bytes(m.MAX_INPUT_BYTES)))
    proxy.send(m.EndInput(1))
    proxy.barrier()
    taken = [message.upto for message in proxy.messages if isinstance(message, m.InputTaken)]
    assert taken == [65536], "what a pipe holds"
    proxy.send(m.Signal(1, signal.SIGUSR1))
    until_written(proxy, 1, b"262144")
    proxy.send(m.Signal(1, signal.SIGKILL))
    proxy.until_exit(1)


def test_input_for_who_has_closed_it_is_taken(proxy: Proxy) -> None:
    proxy.open(1, "sh", "-c", "exec <&-; trap 'exit 3' USR1; echo on; while :; do sleep 0.01; done", piped=True)
    until_written(proxy, 1, b"on")
    proxy.send(m.Input(1, b"x" * 1000), m.Input(1, b"x" * 1000))
    proxy.until_message(m.InputTaken, lambda taken: taken.upto == 2000)
    proxy.send(m.Signal(1, signal.SIGUSR1))
    assert proxy.until_exit(1) == (3, 0)


def test_what_is_not_credited_stays_with_the_program(proxy: Proxy) -> None:
    proxy.open(1, "sh", "-c", "head -c 3000000 /dev/zero; echo done >&2", upto=m.INITIAL_CREDIT_BYTES, piped=True)
    proxy.until(lambda: proxy.end(1) > m.INITIAL_CREDIT_BYTES - 100)
    proxy.barrier()
    assert proxy.end(1) <= m.INITIAL_CREDIT_BYTES
    assert written(proxy, 1)[1] == b""
    proxy.send(m.Credit(1, m.FREE_RUN))
    proxy.until_exit(1)
    assert written(proxy, 1) == (bytes(3000000), b"done\n")


@pytest.mark.parametrize("background", ["sleep 1000 &", "yes &", "(trap '' PIPE; yes 2>/dev/null) &"])
def test_what_it_leaves_behind_does_not_hold_up_its_end(proxy: Proxy, background: str) -> None:
    proxy.open(1, "bash", "-c", f"{background} echo pid=$! >&2; exit 4", piped=True)
    assert proxy.until_exit(1) == (4, 0)
    child = int(written(proxy, 1)[1].split(b"=")[1])
    proxy.send(m.Signal(1, signal.SIGKILL))
    proxy.send(m.Close(1))
    until_gone(child)


def test_who_closes_its_output_runs_on(proxy: Proxy) -> None:
    proxy.open(1, "bash", "-c", "trap 'exit 5' USR1; echo on; exec >&- 2>&-; while :; do sleep 0.01; done", piped=True)
    until_written(proxy, 1, b"on")
    proxy.barrier()
    assert 1 not in proxy.exits
    proxy.send(m.Signal(1, signal.SIGUSR1))
    assert proxy.until_exit(1) == (5, 0)


def test_its_whole_group_ends_with_it(proxy: Proxy) -> None:
    script = "bash -c 'trap \"\" HUP; echo $$; while :; do sleep 0.1; done' & echo $$; wait"
    proxy.open(1, "bash", "-c", script, piped=True)
    proxy.until(lambda: written(proxy, 1)[0].count(b"\n") == 2)
    proxy.send(m.Close(1))
    for pid in written(proxy, 1)[0].split():
        until_gone(int(pid))


def test_nothing_is_lost_when_the_proxy_is_away(proxy: Proxy, agent: Agent, tmp_path: Path) -> None:
    """Neither what it wrote nor what it was sent: both go on from where the other end is."""
    data = random.Random(2).randbytes(200_000)
    (tmp_path / "data").write_bytes(random.Random(3).randbytes(4_000_000))
    proxy.open(2, "bash", "-c", f"head -c 4000000 {tmp_path}/data; head -c {len(data)} | sha256sum >&2", piped=True)
    proxy.until(lambda: proxy.end(2) > 1_000_000)
    proxy.send(*inputs(2, data))
    seen = bytes(proxy.output[2])
    hello = proxy.accept()
    assert [(state.channel, state.exit_status) for state in hello.terminals] == [(2, None)]
    proxy.first[2], proxy.output[2] = 0, bytearray(seen)
    proxy.send(m.Resume(2, len(seen)), m.Credit(2, m.FREE_RUN))
    taken = proxy.until_message(m.InputTaken).upto
    assert taken < len(data)
    proxy.send(*inputs(2, data[taken:]))
    assert proxy.until_exit(2) == (0, 0)
    output, errors = written(proxy, 2)
    assert output == (tmp_path / "data").read_bytes()
    assert errors.split()[0].decode() == hashlib.sha256(data).hexdigest()


def test_input_whose_end_was_sent_is_whole_over_a_redial(proxy: Proxy) -> None:
    """The end comes again behind what comes again, and not at the first moment in which nothing waits."""
    first, rest = m.MAX_INPUT_BYTES, 3 * m.MAX_INPUT_BYTES  # the first is what a pipe holds
    script = f"trap 'head -c {first} | wc -c; exec wc -c' USR1; echo on; while :; do sleep 0.01; done"
    proxy.open(1, "bash", "-c", script, piped=True)
    until_written(proxy, 1, b"on")
    proxy.send(*inputs(1, bytes(first + rest)), m.EndInput(1))
    proxy.barrier()
    seen = bytes(proxy.output[1])
    proxy.accept()
    proxy.first[1], proxy.output[1] = 0, bytearray(seen)
    proxy.send(m.Resume(1, len(seen)), m.Credit(1, m.FREE_RUN))
    assert proxy.until_message(m.InputTaken).upto == first
    proxy.send(m.Signal(1, signal.SIGUSR1))
    until_written(proxy, 1, b"%d\n" % first)
    proxy.send(*inputs(1, bytes(rest)), m.EndInput(1))
    assert proxy.until_exit(1) == (0, 0)
    assert written(proxy, 1)[0].split() == [b"on", b"%d" % first, b"%d" % rest]


def test_what_is_taken_before_the_resume_is_told_by_it(proxy: Proxy, tmp_path: Path) -> None:
    """A proxy sends again what is behind the first it hears: told sooner, some of it would still wait here as well."""
    size = 4 * m.MAX_INPUT_BYTES
    reads = f"trap 'head -c {size} >/dev/null; touch {tmp_path}/read; exec wc -c' USR1"
    proxy.open(1, "bash", "-c", f"{reads}; echo on; while :; do sleep 0.01; done", piped=True)
    until_written(proxy, 1, b"on")
    proxy.send(*inputs(1, bytes(size)))
    proxy.barrier()
    proxy.accept()
    proxy.send(m.Signal(1, signal.SIGUSR1))
    deadline = time.monotonic() + DEADLINE_S
    while not (tmp_path / "read").exists():
        assert time.monotonic() < deadline
        proxy.barrier()
    assert not [message for message in proxy.messages if isinstance(message, m.InputTaken)]
    proxy.send(m.Resume(1, 0))
    assert proxy.until_message(m.InputTaken).upto == size


def test_no_descriptor_is_left(proxy: Proxy, agent: Agent) -> None:
    before = len(os.listdir(f"/proc/{agent.process.pid}/fd"))
    for channel in range(30):
        proxy.open(channel, "true" if channel % 3 else "cat", piped=True)
        if channel % 3:
            proxy.until_exit(channel)
        proxy.send(m.Close(channel))
    proxy.send(m.Open(99, "t-99", ("/nowhere",), "/tmp", {}, 80, 24, True))
    proxy.until_message(m.OpenFailed)
    proxy.barrier()
    assert len(os.listdir(f"/proc/{agent.process.pid}/fd")) == before
