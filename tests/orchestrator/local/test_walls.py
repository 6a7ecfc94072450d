"""Attacks from inside a sandbox; docs/security.md names the promises they try."""

import asyncio
import errno
import json
import os
import signal
import socket
from pathlib import Path

from starlette.types import Message

from orchestrator.backends.local.backend import LocalBackend
from orchestrator.backends.local.launcher.processes import kernel_uids, programs_of
from orchestrator.backends.local.uids import FIRST_UID
from orchestrator.domain import SandboxPhase, Size
from tests.orchestrator.local.conftest import Box, StartBox, contract, until_gone

MIB = 1 << 20
SYSCTLS = ("core_pattern", "core_pipe_limit", "hostname", "panic", "pid_max")


async def test_nothing_inside_is_root_of_the_host(box: Box) -> None:
    before = [Path("/proc/sys/kernel", name).read_text() for name in SYSCTLS]
    uids = kernel_uids(await box.first_pid())
    assert uids == {box.workspace.stat().st_uid}
    assert min(uids) > FIRST_UID if os.geteuid() == 0 else uids == {os.geteuid()}
    for name in SYSCTLS:
        code, _ = await box.run(f"echo 7 > /proc/sys/kernel/{name}")
        assert code != 0
    assert [Path("/proc/sys/kernel", name).read_text() for name in SYSCTLS] == before


async def test_programs_have_no_capabilities_and_may_gain_none(box: Box) -> None:
    _, status = await box.run("cat /proc/self/status; id -un")
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    assert {int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert fields["NoNewPrivs"].strip() == "1"
    assert fields["Seccomp"].strip() == "2"
    assert status.splitlines()[-1] == "runner"


async def test_the_filter_refuses_what_it_must(backend: LocalBackend) -> None:
    """TIOCSTI in both spellings, namespaces, keys, io_uring, bpf, AF_ALG, AF_VSOCK, foreign ABIs."""
    checks = {check.name: check for check in await backend.doctor()}
    assert checks["system calls"].ok, checks["system calls"]
    assert checks["sandbox"].ok, checks["sandbox"]


async def test_the_first_process_holds_nothing_that_programs_lack(box: Box) -> None:
    """bubblewrap's inner half has the programs' uid, so they can trace it and make it do what they like."""
    inside = await box.python(
        "import os\n"
        "def of(pid):\n"
        "    status = dict(line.split(':', 1) for line in open(f'/proc/{pid}/status'))\n"
        "    names = ('Uid', 'CapPrm', 'CapEff', 'CapBnd', 'NoNewPrivs', 'Seccomp', 'Seccomp_filters')\n"
        "    root = os.stat(f'/proc/{pid}/root')\n"
        "    spaces = [os.readlink(f'/proc/{pid}/ns/{name}') for name in os.listdir('/proc/self/ns')]\n"
        "    return [status[name] for name in names], (root.st_dev, root.st_ino), spaces\n"
        "print(of(1) == of('self'))\n"
        "print(*sorted(os.readlink(f'/proc/1/fd/{fd}').partition(':')[0] for fd in os.listdir('/proc/1/fd')))\n"
    )
    assert inside.splitlines() == ["True", "/dev/null /dev/null anon_inode pipe"]  # its errors; how it says its end


async def test_programs_that_make_bubblewrap_end_end_with_it(box: Box) -> None:
    first = await box.first_pid()
    (box.workspace / "seize.py").write_text(Path(__file__).with_name("seize_first.py").read_text())
    (box.workspace / ".devex.toml").write_text('run = "python3 seize.py"\n')
    await box.post("/run")
    seen = await box.until(lambda seen: seen is not None and seen.phase is SandboxPhase.FAILED)
    assert (box.workspace / "seized").exists()
    assert seen is not None
    assert seen.reason == "Its sandbox ended by itself (exit code 7)."
    await until_gone(first)


async def test_no_descriptor_leaks_in(tmp_path: Path, start: StartBox) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary")
    with secret.open() as held:
        os.set_inheritable(held.fileno(), True)
        box = await start()
        found = await box.python(
            "import glob, os\n"
            "for fd in glob.glob('/proc/[0-9]*/fd/*'):\n"
            "    try: print(os.readlink(fd))\n"
            "    except OSError: pass\n"
            "print(sorted(map(int, os.listdir('/proc/self/fd'))))\n"
        )
    *targets, own = found.splitlines()
    assert own == "[0, 1, 2, 3]"  # 3 is the listing itself
    assert not [target for target in targets if str(tmp_path) in target or "secret" in target]


async def test_the_host_is_not_reachable(box: Box) -> None:
    abstract = f"\0devex-test-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as unix:
        unix.bind(abstract)
        unix.listen()
        port = listener.getsockname()[1]
        answer = await box.python(
            "import socket\n"
            f"print(socket.socket().connect_ex(('127.0.0.1', {port})))\n"
            f"print(socket.socket(socket.AF_UNIX).connect_ex({abstract!r}))\n"
            "print(sorted(name for _, name in socket.if_nameindex()))\n"
        )
    refused = str(errno.ECONNREFUSED)
    assert answer.splitlines() == [refused, refused, "['lo']"]


async def test_what_is_not_theirs_is_read_only(box: Box) -> None:
    places = "/ /usr /usr/bin /etc /var /dev /run /run/devex /opt/runner /proc/sys/kernel"
    code, output = await box.run(f"for place in {places}; do touch $place/x && echo wrote $place; done")
    assert code != 0
    assert "wrote" not in output


async def test_the_agents_socket_cannot_be_replaced(box: Box) -> None:
    for attack in ("rm /run/devex/agent.sock", "ln -sf /tmp/x /run/devex/agent.sock", "mv /run/devex /tmp/"):
        code, output = await box.run(attack)
        assert code != 0, output
    assert (await box.get("/health"))["agent"] is True


async def test_the_hosts_files_are_not_there(box: Box) -> None:
    code, _ = await box.run("ls /root /home /work /etc/shadow /etc/ssh /etc/machine-id /sys /etc/ssl/private")
    assert code != 0
    _, output = await box.run("ls -d /root /home /sys /etc/shadow /etc/machine-id 2>/dev/null | wc -l")
    assert output.strip() == "0"


async def test_no_hard_link_leads_out(box: Box) -> None:
    code, output = await box.run("ln /usr/bin/env /workspace/env")
    assert code != 0
    assert os.strerror(errno.EXDEV) in output


async def test_a_command_line_shows_no_host_path(box: Box) -> None:
    _, output = await box.run("cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert str(box.workspace) not in output


async def test_a_fork_bomb_stays_inside(start: StartBox) -> None:
    box = await start(size=Size(pids=64))
    other = await start("repl2")
    forked = await box.python(
        "import os, signal\n"
        "children = []\n"
        "try:\n"
        "    while len(children) < 1000:\n"
        "        pid = os.fork()\n"
        "        if pid == 0: signal.pause()\n"
        "        children.append(pid)\n"
        "except BlockingIOError: pass\n"
        "for pid in children: os.kill(pid, 9); os.waitpid(pid, 0)\n"
        "print(len(children))\n"
    )
    assert 30 < int(forked) < 64
    await box.post("/terminals", cols=80, rows=24)
    await box.run("bomb() { bomb | bomb & }; bomb; sleep 1")
    assert await other.run("echo fine") == (0, "fine\n")
    first = await box.first_pid()
    await box.backend.stop("repl1", 1)
    await until_gone(first)


async def test_memory_is_bounded_for_all_of_a_sandbox(start: StartBox, backend: LocalBackend) -> None:
    box = await start(size=Size(memory_bytes=96 * MIB))
    other = await start("repl2")
    checks = {check.name: check for check in await backend.doctor()}
    greedy = "python3 -c 'x = bytearray(512 << 20); print(len(x))'"
    code, output = await box.run(greedy)
    if checks["memory"].ok:
        assert code == 137, output
        code, output = await box.run("for n in $(seq 40); do head -c 8M /dev/zero > /tmp/$n || exit 9; done")
        assert code != 0, output
    else:  # not promised without control groups, and said so
        assert "memory" in checks["memory"].detail
    assert await other.run("echo fine") == (0, "fine\n")


async def test_taking_every_inotify_instance_harms_nobody_else(start: StartBox) -> None:
    box = await start()
    taken = await box.python(
        "import ctypes\n"
        "libc = ctypes.CDLL(None)\n"
        "count = 0\n"
        "while libc.inotify_init() >= 0: count += 1\n"
        "print(count)\n"
        "import sys; sys.stdout.flush()\n"
        "import subprocess; subprocess.Popen(['sleep', '1000'])\n"
    )
    assert int(taken) > 0
    other = await start("repl2")
    assert await other.run("echo fine") == (0, "fine\n")


async def test_a_huge_sparse_file_is_refused(box: Box) -> None:
    code, _ = await box.run("truncate -s 1T big")
    assert code != 0
    assert not (box.workspace / "big").exists() or (box.workspace / "big").stat().st_size == 0


async def test_programs_that_fill_the_disk_are_paused_until_there_is_room(start: StartBox) -> None:
    box = await start(size=Size(disk_bytes=16 * MIB))
    command = "for n in 1 2 3; do head -c 7M /dev/urandom > $n; done; while true; do sleep 0.1; date > tick; done"
    (box.workspace / ".devex.toml").write_text(f'run = "{command}"\n')
    await box.post("/run")
    first = await box.first_pid()
    async with asyncio.timeout(60):
        while not _stopped(first):
            await asyncio.sleep(0.1)
    async with asyncio.timeout(60):
        (box.workspace / "1").unlink()
        while _stopped(first):
            await asyncio.sleep(0.1)


async def test_what_is_in_locked_folders_counts(start: StartBox) -> None:
    box = await start(size=Size(disk_bytes=16 * MIB))
    fill = "mkdir -p a/b && for n in 1 2; do head -c 10M /dev/urandom > a/b/$n; done; chmod 000 a/b; chmod 000 a"
    (box.workspace / ".devex.toml").write_text(f'run = "{fill}; while true; do sleep 0.1; date > tick; done"\n')
    await box.post("/run")
    first = await box.first_pid()
    async with asyncio.timeout(60):
        while not _stopped(first) or (box.workspace / "a").stat().st_mode & 0o777:
            await asyncio.sleep(0.1)


def _stopped(first: int) -> bool:
    """None of them computes. Z: ended, its parent is stopped; D: it waits for the stopped child that it has vforked."""
    programs = programs_of(first)
    states = []
    for pid in programs:
        try:
            states.append(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0])
        except OSError:
            continue
    return "T" in states and set(states) <= {"T", "Z", "D"}


async def test_ever_more_on_the_disk_ends_the_sandbox(start: StartBox) -> None:
    box = await start(size=Size(disk_bytes=4 * MIB))
    await box.run("for n in 1 2 3; do head -c 4M /dev/urandom > $n; done")
    seen = await box.until(lambda seen: seen is not None and seen.phase is SandboxPhase.FAILED)
    assert seen is not None
    assert seen.reason == "It used more than 2 times its disk space of 4 MiB or 200,000 files."


FLOOD = """
import itertools, os, sys, time
folder, fast = sys.argv[1], int(sys.argv[2])
os.makedirs(folder, exist_ok=True)
for n in itertools.count():
    os.close(os.open(f"{folder}/{n}", os.O_CREAT))
    if n > fast: time.sleep(0.1)
"""


async def test_a_flood_of_empty_files_is_paused_and_the_repl_says_so(start: StartBox) -> None:
    """They fill no block: their number is bounded as well."""
    box = await start(size=Size(disk_entries=1000))
    (box.workspace / "flood.py").write_text(FLOOD)
    (box.workspace / ".devex.toml").write_text('run = "python3 flood.py many 1500"\n')
    first = await box.first_pid()
    async with box.websocket("/events") as heard, asyncio.timeout(60):
        await box.post("/run")
        assert await paused_told(heard) == {
            "message": "The disk is full: 2048 MiB or 1,000 files. Programs are paused, shells too.",
            "action": "Delete files you no longer need in the file tree.",
        }
        while not _stopped(first):
            await asyncio.sleep(0.1)
        assert len(os.listdir(box.workspace / "many")) < 2000
        async with contract.client(box.backend.runner_app("repl1")) as client:
            assert (await client.delete("/files/many", timeout=60)).status_code == 204
        assert await paused_told(heard) is None


async def test_empty_files_in_tmp_are_bounded(start: StartBox, backend: LocalBackend) -> None:
    """Each costs the kernel a kilobyte that no size of a tmpfs counts: a control group does, or /tmp is on a disk."""
    box = await start(size=Size(memory_bytes=96 * MIB, disk_entries=1000))
    other = await start("repl2")
    (box.workspace / "flood.py").write_text(FLOOD)
    in_memory = {check.name: check for check in await backend.doctor()}["memory"].ok
    fast = 400_000 if in_memory else 20_000
    (box.workspace / ".devex.toml").write_text(f'run = "python3 flood.py /tmp/many {fast}"\n')
    await box.post("/run")
    if in_memory:
        async with asyncio.timeout(60):
            while (run := await box.get("/run"))["running"]:
                await asyncio.sleep(0.1)
        assert run["exit_code"] == 128 + signal.SIGKILL
    else:  # paused, or ended when they came too fast for that
        first = await box.first_pid()
        async with asyncio.timeout(60):
            while (await backend.observe())["repl1"].phase is SandboxPhase.RUNNING and not _stopped(first):
                await asyncio.sleep(0.1)
    assert await other.run("echo fine") == (0, "fine\n")


async def paused_told(heard: asyncio.Queue[Message]) -> dict[str, str] | None:
    while True:
        event = json.loads((await heard.get()).get("text") or "{}")
        if event.get("type") == "quota":
            paused: dict[str, str] | None = event["paused"]
            return paused


async def test_what_programs_have_locked_is_deleted_all_the_same(box: Box) -> None:
    for mode in ("500", "000"):
        await box.run(f"mkdir -p {mode}/a/b/c {mode}/d && touch {mode}/a/file {mode}/a/b/c/file {mode}/d/file")
        code, output = await box.run(f"find {mode} -depth -type d -exec chmod {mode} {{}} +")
        assert code == 0, output
    assert await box.run("chmod 000 .") == (0, "")
    await box.backend.stop("repl1", 1)
    await box.backend.delete_workspace("repl1")
    assert not box.workspace.exists()


async def test_a_name_that_is_no_text_keeps_nobody_running(start: StartBox) -> None:
    """A program's name is any bytes, and the host reads it of every process."""
    box, other = await start(), await start("repl2")
    name = "import ctypes; ctypes.CDLL(None).prctl(15, bytes([255, 41, 10, 32]), 0, 0, 0)"
    program = f'{name}; open("named", "w").close(); import time; time.sleep(1000)'
    await box.run(f"setsid python3 -c '{program}' >/dev/null 2>&1 & until test -e named; do sleep 0.02; done")
    assert await box.backend.cpu_times()
    for one in (other, box):
        first = await one.first_pid()
        await one.backend.stop(one.repl_id, 1)
        await until_gone(first)


async def test_nothing_survives_a_stop(box: Box) -> None:
    daemon = "trap '' TERM HUP INT; touch up; while true; do sleep 1; done"
    await box.run(f'setsid nohup bash -c "{daemon}" >/dev/null 2>&1 & until test -e up; do sleep 0.02; done')
    survivors = programs_of(await box.first_pid())
    assert survivors
    await box.backend.stop("repl1", 1)
    for pid in survivors:
        await until_gone(pid)
