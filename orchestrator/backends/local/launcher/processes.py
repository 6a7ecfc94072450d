"""Facts about processes, read from /proc."""

import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_FREEZE_ROUNDS = 10  # a program that forks faster is caught by the next measurement of the disk, or ended by it


class _Process(NamedTuple):
    parent: int
    started: int  # clock ticks since boot
    cpu: int  # clock ticks, with those of children that have ended


def kernel_uids(pid: int) -> set[int]:
    """Real, effective, saved and file system uid, as the host sees them. Raises OSError: there is no such process."""
    for line in (_PROC / str(pid) / "status").read_bytes().splitlines():
        if line.startswith(b"Uid:"):
            return {int(word) for word in line.split()[1:]}
    raise OSError(f"/proc/{pid}/status names no uid")


def programs_of(first: int) -> list[int]:
    """Everything below `first` (the first process of a sandbox) but its oldest child, the agent."""
    table = _table()
    children = _children(table)
    agent = min(children.get(first, ()), key=lambda pid: (table[pid].started, pid), default=None)
    return [pid for pid in _below(first, children) if pid != agent]


def children_of(pid: int) -> list[int]:
    return _children(_table()).get(pid, [])


def cpu_times(firsts: Mapping[str, int]) -> dict[str, float]:
    """Seconds of CPU that each of these processes has used, with everything below it, ended or not.

    From here rather than from control groups, which are not everywhere: what hides from it loses only its own credit.
    """
    table = _table()
    children = _children(table)
    return {
        name: sum(table[pid].cpu for pid in (first, *_below(first, children))) / _TICKS_PER_S
        for name, first in firsts.items()
        if first in table
    }


def freeze_all(first: int) -> None:
    """Stop every program below `first`, those too that are forked meanwhile."""
    stopped: set[int] = set()
    for _ in range(_FREEZE_ROUNDS):
        running = set(programs_of(first)) - stopped
        if not running:
            return
        signal_all(running, signal.SIGSTOP)
        stopped |= running


def signal_all(pids: Iterable[int], *signals: int) -> None:
    for pid in pids:
        for signum in signals:
            try:
                os.kill(pid, signum)
            except ProcessLookupError:
                break


def _children(table: Mapping[int, _Process]) -> dict[int, list[int]]:
    children: dict[int, list[int]] = {}
    for pid, process in table.items():
        children.setdefault(process.parent, []).append(pid)
    return children


def _below(first: int, children: Mapping[int, list[int]]) -> Iterator[int]:
    unvisited = [first]
    while unvisited:
        below = children.get(unvisited.pop(), [])
        unvisited += below
        yield from below


def _table() -> dict[int, _Process]:
    table = {}
    for name in os.listdir(_PROC):
        if name.isdigit():
            try:
                stat = (_PROC / name / "stat").read_bytes()
            except OSError:
                continue  # it has ended
            words = stat.rpartition(b")")[2].split()  # the name before it is the program's to choose, and any bytes
            cpu = sum(map(int, words[11:15]))  # in user mode and in the kernel, its own and its children's
            table[int(name)] = _Process(parent=int(words[1]), started=int(words[19]), cpu=cpu)
    return table
