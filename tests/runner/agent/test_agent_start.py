"""What the agent is before anybody asks for anything: small, limited, the first of its namespace."""

import json
import os
import shutil
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.agent import agent_files, limits
from runner.agent.ports import from_diag, from_tables, merge, parse_table
from runner.protocol import messages as m
from tests.runner.agent.proxy import DEADLINE_S, ENVIRONMENT, PYTHON, Agent, Proxy

HEAVY = {"asyncio", "collections", "dataclasses", "enum", "json", "re", "signal", "socket", "subprocess", "typing"}


def test_it_imports_nothing_that_is_slow_to_import(installed: Path) -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(installed)!r}); import runner.agent.agent; print(*sorted(sys.modules))"
    )
    loaded = subprocess.run([PYTHON, "-I", "-S", "-c", script], capture_output=True, text=True, check=True).stdout
    assert not HEAVY & set(loaded.split())
    assert "runner.agent.terminal" in loaded


def test_it_is_small(proxy: Proxy, agent: Agent) -> None:
    """Its own memory, beside the interpreter's pages that all sandboxes share."""
    proxy.shell(1)
    lines = Path(f"/proc/{agent.process.pid}/smaps_rollup").read_text().splitlines()
    own_kib = sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty:"))
    assert own_kib < 5 * 1024


def test_installed_is_all_it_needs_and_compiled(installed: Path) -> None:
    files = agent_files()
    assert all((installed / relative).read_bytes() == source.read_bytes() for relative, source in files.items())
    assert len(list((installed / "runner" / "agent").glob("__pycache__/*.pyc"))) == len(
        list((installed / "runner" / "agent").glob("*.py"))
    )


def test_limits_are_set_before_any_program_and_unset_in_its_environment(installed: Path, listening: Proxy) -> None:
    wanted = {"nofile": 123, "core": 0, "stack": [1 << 23, 1 << 26], "fsize": -1}
    agent = Agent(installed, listening.path, {limits.VARIABLE: json.dumps(wanted)})
    try:
        listening.accept()
        script = "ulimit -Hn; ulimit -Sn; ulimit -c; ulimit -Ss; ulimit -Hs; umask; env"
        shown = listening.result(1, "bash", "-c", script).decode().split()
        assert shown[:6] == ["123", "123", "0", "8192", "65536", "0022"]
        assert not any("RLIMIT" in word for word in shown)
    finally:
        assert not agent.stop()


def test_without_descriptors_it_refuses_and_lives(installed: Path, listening: Proxy) -> None:
    agent = Agent(installed, listening.path, {limits.VARIABLE: '{"nofile": 24}'})
    try:
        listening.accept()
        for channel in range(m.MAX_TERMINALS):
            listening.send(m.Open(channel, f"t-{channel}", ("cat",), "/", ENVIRONMENT, 80, 24, False))
            listening.send(m.Connect(channel, 1))
        listening.until_message(m.OpenFailed, lambda message: message.channel == m.MAX_TERMINALS - 1)
        opened = sum(isinstance(message, m.Opened) for message in listening.messages)
        assert 0 < opened < 12
        for channel in range(m.MAX_TERMINALS):
            listening.send(m.Close(channel))
        listening.shell(1)
    finally:
        assert not agent.stop()


LIMIT = st.one_of(st.integers(-1, 2**62), st.tuples(st.integers(-1, 2**62), st.integers(-1, 2**62)).map(list))


@given(st.dictionaries(st.sampled_from(["nproc", "nofile", "core", "stack", "fsize", "as"]), LIMIT))
def test_limits_are_read_as_json_reads_them(wanted: dict[str, int | list[int]]) -> None:
    expected = {
        name: (value, value) if isinstance(value, int) else (value[0], value[1]) for name, value in wanted.items()
    }
    assert limits.parse(json.dumps(wanted)) == limits.parse(json.dumps(wanted, indent=2)) == expected


@pytest.mark.parametrize("text", ['{"nofle": 1}', '{"nofile": "many"}', '{"nofile": []}', '{"nofile": [1, 2, 3]}', "7"])
def test_other_limits_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        limits.parse(text)


def test_listening_lines_are_read() -> None:
    header = b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
    four = header + b"".join(
        b"   %d: %s:%04X 00000000:0000 %s 00000000:00000000 00:00000000 00000000  1000 0 1 1 0 100 0 0 10 0\n" % line
        for line in (
            (0, b"0100007F", 5432, b"0A"),
            (1, b"00000000", 8000, b"0A"),
            (2, b"0100007F", 8000, b"0A"),
            (3, b"0100007F", 9999, b"01"),
        )
    )
    six = header + b"   0: 00000000000000000000000001000000:1538 00000000000000000000000000000000:0000 0A 0 0\n"
    assert merge(parse_table(four) + parse_table(six)) == (m.Port(5432, True), m.Port(8000, False))
    assert parse_table(b"") == parse_table(header) == parse_table(b"nonsense\n\n x\n") == []


def test_the_kernel_says_of_listening_sockets_what_its_tables_show() -> None:
    with ExitStack() as stack:
        addresses = [("127.0.0.1", socket.AF_INET), ("", socket.AF_INET), ("::1", socket.AF_INET6)]
        ours = {
            m.Port(listener.getsockname()[1], loopback=bool(host))
            for host, family in addresses * 200  # more than fit in one answer
            for listener in [stack.enter_context(socket.create_server((host, 0), family=family))]
        }
        assert ours <= set(from_diag())
        assert ours <= set(from_tables())


def test_as_first_process_of_a_namespace_it_reaps_orphans_and_heeds_sigterm(installed: Path, listening: Proxy) -> None:
    bubblewrap = shutil.which("bwrap")
    assert bubblewrap, "bubblewrap is part of what DEVEX needs"
    namespace = ("--unshare-user", "--unshare-pid", "--as-pid-1", "--die-with-parent")
    mounts = ("--dev-bind", "/", "/", "--proc", "/proc", "--dev", "/dev")
    agent = Agent(installed, listening.path, wrap=(bubblewrap, *namespace, *mounts, "--"))
    try:
        assert listening.accept().pid == 1
        listening.open(1, "bash", "-c", "for n in 1 2 3 4 5; do (sh -c 'exit 0' & exec true) & done; wait; exit 3")
        assert listening.until_exit(1) == (3, 0)
        listening.shell(2)
        orphan = "(sh -c 'echo $PPID; exec cat /proc/self/stat' & exec true); "
        listening.type(2, orphan.encode() + b"echo en''d\r")
        listening.until_text(2, b"end")
        count = "ps -eo stat= | grep -c ^Z; until ! ps -eo stat= | grep -q ^Z; do :; done; echo cle''an\r"
        listening.type(2, count.encode())
        listening.until_text(2, b"clean")
        listening.send(m.Open(3, "t-3", ("kill", "-TERM", "1"), "/", ENVIRONMENT, 80, 24, False))
        assert agent.process.wait(DEADLINE_S) == 0
    finally:
        agent.stop()
    assert os.path.exists(listening.path)
