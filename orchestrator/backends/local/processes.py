"""Facts about processes, read from /proc."""

import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_FREEZE_ROUNDS = 10  # a program that forks faster is caught by the next measurement of the disk, or ended by it


class _Process(NamedTuple):
    parent: int
    started: int  # clock ticks since boot


def kernel_uids(pid: int) -> set[int]:
    """Real, effective, saved and file system uid, as the host sees them. OSError: there is no such process."""
    for line in (_PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith("Uid:"):
            return {int(word) for word in line.split()[1:]}
    raise OSError(f"/proc/{pid}/status names no uid")


def programs_of(first: int) -> list[int]:
    """Everything below `first` (the first process of a sandbox) but its oldest child, the agent."""
    table = _table()
    children: dict[int, list[int]] = {}
    for pid, process in table.items():
        children.setdefault(process.parent, []).append(pid)
    agent = min(children.get(first, ()), key=lambda pid: (table[pid].started, pid), default=None)
    found, unvisited = [], [first]
    while unvisited:
        below = children.get(unvisited.pop(), [])
        unvisited += below
        found += [pid for pid in below if pid != agent]
    return found


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


def _table() -> dict[int, _Process]:
    table = {}
    for name in os.listdir(_PROC):
        if name.isdigit():
            try:
                stat = (_PROC / name / "stat").read_text()
            except OSError:
                continue  # it has ended
            words = stat.rpartition(")")[2].split()  # the name before it is the program's own to choose
            table[int(name)] = _Process(parent=int(words[1]), started=int(words[19]))
    return table
