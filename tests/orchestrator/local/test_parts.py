"""The parts a launcher is made of, one by one."""

import errno
import json
import os
import platform
import signal
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backends.base import SandboxSpec
from orchestrator.backends.environment import program_environment
from orchestrator.backends.local import doctor, wire
from orchestrator.backends.local.launcher import cgroups, etc, modes, seccomp, system
from orchestrator.backends.local.launcher.bubblewrap import Descriptors, Jail, Mode, arguments, command, packed
from orchestrator.backends.local.launcher.rlimits import rlimits
from orchestrator.backends.local.launcher.spawn import WrongUid, check, first_pid
from orchestrator.backends.local.layout import checked, layout
from orchestrator.domain import Egress, Size
from runner.agent.limits import parse
from tests.contracts.backend import make_spec

JAIL = Jail(
    mode=Mode.USER, uid=1234, root=("--ro-bind", "/usr", "/usr"), etc=Path("/e"), agent=Path("/a"), sockets=Path("/s"),
    workspace=Path("/w"), tmp=None, environment={"A": "b"}, command=("agent",),
)  # fmt: skip
DESCRIPTORS = Descriptors(seccomp=7, status=8, block=9)


# seccomp, run by an interpreter of classic BPF


def judged(code: bytes, arch: int, number: int, *arguments: int) -> int:
    """What the kernel would make of the filter: its return value."""
    data = struct.pack("<IIQ6Q", number, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    steps = list(struct.iter_unpack("=HBBI", code))
    at = accumulator = 0
    while True:
        kind, yes, no, value = steps[at]
        at += 1
        if kind == 0x20:
            accumulator = struct.unpack_from("<I", data, value)[0]
        elif kind == 0x06:
            return int(value)
        else:
            holds = {0x15: accumulator == value, 0x35: accumulator >= value, 0x45: bool(accumulator & value)}[kind]
            at += yes if holds else no


ALLOWED, KILLED = 0x7FFF0000, 0x80000000
ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def refused(error: int) -> int:
    return 0x00050000 | error


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_on_both_machines(machine: str) -> None:
    code, arch, number = seccomp.program(machine), ARCH[machine], seccomp.numbers(machine)
    assert len(code) % 8 == 0
    assert judged(code, arch, number["mount"]) == refused(errno.EPERM)
    assert judged(code, arch, number["clone3"]) == refused(errno.ENOSYS)
    assert judged(code, arch, number["clone"], 0x10000011) == refused(errno.EPERM)
    assert judged(code, arch, number["clone"], 0x003D0F00) == ALLOWED  # a thread
    assert judged(code, arch, number["ioctl"], 0, 0x5412) == refused(errno.EPERM)
    assert judged(code, arch, number["ioctl"], 0, 1 << 32 | 0x5412) == refused(errno.EPERM)
    assert judged(code, arch, number["ioctl"], 0, 0x5401) == ALLOWED
    assert judged(code, arch, number["socket"], 1) == ALLOWED
    assert judged(code, arch, number["socket"], 38) == refused(errno.EAFNOSUPPORT)
    assert judged(code, arch, number["personality"], 0x0400000) == refused(errno.EPERM)
    assert judged(code, arch, number["personality"], 0xFFFFFFFF) == ALLOWED
    assert judged(code, 0x40000003, 20) == KILLED


@given(st.integers(0, 600), st.lists(st.integers(0, 2**64 - 1), max_size=6))
def test_the_filter_ends_for_every_call(number: int, given_arguments: list[int]) -> None:
    assert judged(seccomp.program("x86_64"), ARCH["x86_64"], number, *given_arguments) in {
        *(ALLOWED, refused(errno.EPERM), refused(errno.ENOSYS), refused(errno.EAFNOSUPPORT))
    }


def test_the_x32_abi_is_not_there() -> None:
    code = seccomp.program("x86_64")
    assert judged(code, ARCH["x86_64"], 0x40000000 + 39) == refused(errno.ENOSYS)


def test_an_unknown_machine_gets_no_filter_and_so_no_sandbox() -> None:
    with pytest.raises(seccomp.UnknownMachine):
        seccomp.program("vax")
    assert seccomp.program(platform.machine())


# bubblewrap


def test_the_writable_places_are_the_workspace_and_tmp() -> None:
    words = arguments(JAIL, DESCRIPTORS)
    assert [words[at + 2] for at, word in enumerate(words) if word == "--bind"] == ["/workspace"]
    assert [words[at + 1] for at, word in enumerate(words) if word == "--remount-ro"] == ["/dev", "/run", "/"]
    assert words.index("--remount-ro") > max(at for at, word in enumerate(words) if word in {"--tmpfs", "--bind"})
    for must in ("--unshare-net", "--unshare-pid", "--disable-userns", "--die-with-parent", "--new-session"):
        assert must in words
    assert "--cap-add" not in words


def test_without_user_namespaces_root_is_dropped_inside() -> None:
    jail = replace(JAIL, mode=Mode.ROOT_SETUID)
    words = arguments(jail, replace(DESCRIPTORS, passwd=5))
    assert "--unshare-user" not in words
    assert "--no-new-privs" in command(jail)
    assert command(jail)[-1] == "agent"
    assert str(JAIL.workspace) not in command(jail)
    assert packed(["a", "b"]) == b"a\0b\0"


@pytest.mark.parametrize("mode", [Mode.USER, Mode.ROOT])
def test_a_sandbox_of_the_wrong_uid_is_not_let_run(mode: Mode) -> None:
    jail = replace(JAIL, mode=mode)
    check({1234}, jail)
    for uids in ({0}, {1234, 0}, {1000}):
        with pytest.raises(WrongUid):
            check(uids, jail)
    with pytest.raises(WrongUid):
        check({0}, replace(jail, uid=0))
    line = json.dumps({"child-pid": os.getpid(), "net-namespace": 1}).encode()
    assert first_pid(line, replace(jail, mode=Mode.ROOT_SETUID)) == os.getpid()
    with pytest.raises(WrongUid):
        first_pid(line, replace(jail, uid=os.getuid() + 1))


def test_root_has_two_ways_and_others_one() -> None:
    assert modes.modes_for(0) == (Mode.ROOT, Mode.ROOT_SETUID)
    assert modes.modes_for(1000) == (Mode.USER,)


def test_each_complaint_has_its_advice() -> None:
    assert "--privileged" in modes.advice("Can't mount proc on /newroot/proc", by_apparmor=False)
    assert "max_user_namespaces" in modes.advice("setting up uid map: Permission denied", by_apparmor=False)
    assert "apparmor" in modes.advice("setting up uid map: Permission denied", by_apparmor=True)


# the system


def test_a_merged_usr_is_linked_and_a_split_one_bound(tmp_path: Path) -> None:
    (tmp_path / "usr" / "bin").mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "lib").mkdir()
    words = system.root_arguments(system.Interpreter("/usr/bin/python3"), tmp_path)
    assert words == (
        *("--ro-bind", f"{tmp_path}/usr", "/usr", "--symlink", "usr/bin", "/bin"),
        *("--ro-bind", f"{tmp_path}/lib", "/lib"),
    )


def test_an_interpreter_elsewhere_is_bound_where_it_believes_to_be(tmp_path: Path) -> None:
    elsewhere = system.Interpreter("/a/b/py/bin/python3.12", (Path("/neutral"), Path("/a/b/py")))
    words = system.root_arguments(elsewhere, tmp_path)
    assert words[3:] == ("--dir", "/a", "--dir", "/a/b", "--ro-bind", "/neutral", "/a/b/py")


def test_etc_holds_nothing_secret(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for name in ("shadow", "machine-id", "ssl/certs/ca.pem", "ssl/private/key.pem", "ssl/certs/mine.key", "passwd"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(f"the host's {name}")
        (source / name).chmod(0o600)
    etc.build(tmp_path / "etc", source=source)
    made = {str(path.relative_to(tmp_path / "etc")) for path in (tmp_path / "etc").rglob("*") if path.is_file()}
    assert made == {"ssl/certs/ca.pem", "passwd", "group", "hosts", "hostname", "resolv.conf"}
    assert "runner:x:1000" in (tmp_path / "etc" / "passwd").read_text()
    assert (tmp_path / "etc" / "ssl" / "certs" / "ca.pem").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a\0b", "x" * 65, "-a", ".new-a"])
def test_an_id_is_a_file_name_or_refused(name: str) -> None:
    with pytest.raises(ValueError):
        checked(name)


def test_socket_paths_are_short_wherever_the_data_is(tmp_path: Path) -> None:
    deep = layout(tmp_path / ("d" * 200))
    assert len(str(deep.sockets("r" * 32) / "agent.sock")) < 108
    assert deep.runtime != layout(tmp_path).runtime


# limits


def test_rlimits_are_what_the_agent_reads() -> None:
    read = parse(rlimits(Size(pids=64, disk_bytes=100)))
    assert read["nproc"] == (64, 64)
    assert read["fsize"] == (100, 100)
    assert read["core"] == (0, 0)


FILES = {
    1: ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "pids.max", "cpu.cfs_period_us", "cpu.cfs_quota_us"),
    2: ("memory.max", "memory.swap.max", "pids.max", "cpu.max"),
}


def hierarchy(root: Path, version: int, *groups: str) -> Path:
    """A tree as the kernel would show it, with the groups' files already there."""
    for group in groups:
        (root / group).mkdir(parents=True)
        for name in (*FILES[version], "cgroup.procs"):
            (root / group / name).write_text("")
    if version == 2:
        (root / "cgroup.controllers").write_text("cpu memory pids io")
        (root / "cgroup.subtree_control").write_text("")
    return root


def test_control_groups_version_2_are_written(tmp_path: Path) -> None:
    root = hierarchy(tmp_path, 2, "devex-probe", "devex-repl1-1")
    found = cgroups.find("devex-", own="0::/", mounts=f"cgroup2 {root} cgroup2 rw 0 0")
    assert found is not None
    assert found.version == 2
    assert (root / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    group = found.create("repl1-1", Size(memory_bytes=1 << 30, cpus=1.5, pids=77))
    group.add(4242)
    folder = root / "devex-repl1-1"
    read = {name: (folder / name).read_text() for name in FILES[2]}
    assert read == {
        "memory.max": str(1 << 30), "memory.swap.max": "0", "pids.max": "77", "cpu.max": "150000 100000",
    }  # fmt: skip
    assert (folder / "cgroup.procs").read_text() == "4242"
    (folder / "memory.events").write_text("low 0\nhigh 0\noom 1\noom_kill 3\n")
    assert group.oom_kills() == 3


def test_control_groups_version_1_are_written_below_our_own(tmp_path: Path) -> None:
    hierarchy(tmp_path / "memory", 1, "own/devex-probe", "own/devex-r-1")
    hierarchy(tmp_path / "pids", 1, "devex-probe", "devex-r-1")
    mounts = f"x {tmp_path}/memory cgroup rw,memory 0 0\nx {tmp_path}/pids cgroup rw,pids 0 0"
    found = cgroups.find("devex-", own="4:memory:/own\n8:pids:/", mounts=mounts)
    assert found is not None
    assert set(found.parents) == {"memory", "pids"}
    found.create("r-1", Size(memory_bytes=4096, pids=5))
    assert (tmp_path / "memory" / "own" / "devex-r-1" / "memory.limit_in_bytes").read_text() == "4096"
    assert (tmp_path / "pids" / "devex-r-1" / "pids.max").read_text() == "5"


def test_where_groups_cannot_be_made_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()  # no kernel behind it: no files appear in a new folder
    mounts = f"x {tmp_path}/memory cgroup rw,memory 0 0\nproc /proc proc rw 0 0"
    assert cgroups.find("devex-", own="4:memory:/", mounts=mounts) is None
    assert cgroups.find("devex-", own="", mounts="") is None
    assert list((tmp_path / "memory").iterdir()) == []


def test_what_a_killed_launcher_has_left_in_its_groups_is_ended(tmp_path: Path) -> None:
    hierarchy(tmp_path, 1, "devex-a-probe", "devex-a-r-1", "devex-b-r-1")
    found = cgroups.find("devex-a-", own="8:pids:/", mounts=f"x {tmp_path} cgroup rw,pids 0 0")
    assert found
    with subprocess.Popen(["sleep", "1000"]) as ours, subprocess.Popen(["sleep", "1000"]) as anothers:
        (tmp_path / "devex-a-r-1" / "cgroup.procs").write_text(f"{ours.pid}\n")
        (tmp_path / "devex-b-r-1" / "cgroup.procs").write_text(f"{anothers.pid}\n")
        found.sweep()
        assert ours.wait(30) == -signal.SIGKILL
        assert anothers.poll() is None
        anothers.kill()


# the rest


@given(
    environment=st.dictionaries(st.text(), st.text()), egress=st.sampled_from(Egress), epoch=st.integers(0, 2**40),
    run_command=st.none() | st.text(),
)  # fmt: skip
def test_a_spec_survives_the_wire(
    environment: dict[str, str], egress: Egress, epoch: int, run_command: str | None
) -> None:
    spec: SandboxSpec = make_spec(environment=environment, egress=egress, epoch=epoch, run_command=run_command)
    line = wire.request_line(7, wire.Start(spec))
    assert line.count(b"\n") == 1
    assert wire.request_of(json.loads(line)) == wire.Start(spec)
    listed = json.loads(wire.line({"ok": [wire.Running(spec, 1000, 4711)]}))["ok"]
    assert wire.List().answer(listed) == [wire.Running(spec, 1000, 4711)]


def test_programs_know_the_way_out_only_when_there_is_one() -> None:
    assert program_environment(make_spec(), way_out="http://10.0.0.5:3128")["https_proxy"] == "http://10.0.0.5:3128"
    assert "https_proxy" not in program_environment(make_spec(), way_out=None)
    assert program_environment(make_spec(environment={"PORT": "9"}), way_out=None)["PORT"] == "9"


def test_the_doctor_says_what_is_missing_and_what_helps(tmp_path: Path) -> None:
    facts = wire.Facts(
        uids=(1000, 1001), mode="user", bubblewrap="/usr/bin/bwrap", python="/usr/bin/python3", cgroups=None,
        controllers=(), bounds_memory=False, failed=("root with x: y",),
    )  # fmt: skip
    found = {check.name: check for check in doctor.checks(facts, {"mount": "OK"}, layout(tmp_path))}
    assert found["sandbox"].ok
    assert "root with x: y" in found["sandbox"].detail
    assert found["system calls"].ok is False
    assert found["memory"].ok is False
    assert "Delegate" in found["memory"].action
    assert {"memory", "processes", "CPU"} <= found.keys()
    assert "GiB free" in found["disk"].detail
