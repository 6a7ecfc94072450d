"""The sandboxes of a launcher: started, watched, stopped. Runs on the loop of the process's main thread only."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field

from orchestrator.backends.base import SandboxSpec
from orchestrator.backends.local.launcher.bubblewrap import Jail
from orchestrator.backends.local.launcher.cgroups import Group
from orchestrator.backends.local.launcher.host import Host
from orchestrator.backends.local.launcher.processes import freeze_all, programs_of, signal_all
from orchestrator.backends.local.launcher.spawn import Spawned, WrongUid, drained, first_pid, spawn
from orchestrator.backends.local.wire import Running

FIRST_LINE_S = 15.0  # bubblewrap's first word takes 0.01 s; a machine under load some tenths
PROGRAMS_END_S = 5.0  # what programs get to end by themselves
GROUP_REMOVAL_S = 5.0  # the kernel lets go of the last process within 0.1 s
GROUP_RETRY_S = 0.02
ERRORS_BYTES = 4096  # of what a sandbox says on its standard error; then nobody reads on


class Refused(Exception):
    """A request that cannot be fulfilled."""

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


@dataclass(slots=True)
class _Sandbox:
    spec: SandboxSpec
    jail: Jail
    spawned: Spawned
    ended: int  # pidfd of bubblewrap, which ends with its first process, or when programs make it
    group: Group | None
    status: "asyncio.Future[bytes]"  # bubblewrap's first line; empty when it ended without one
    first: int = 0  # the first process inside, 0 until it is known
    first_fd: int = -1
    stopping: bool = False
    errors: bytearray = field(default_factory=bytearray)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    def kill(self) -> None:
        """Everything inside, whatever it ignores."""
        try:
            if self.first_fd >= 0:
                signal.pidfd_send_signal(self.first_fd, signal.SIGKILL)
            else:
                self.spawned.process.kill()
        except ProcessLookupError:
            pass  # it has ended already


class Supervisor:
    """`on_ended(repl_id, epoch, reason)`: a sandbox is gone and nobody had asked for that."""

    def __init__(self, host: Host, on_ended: Callable[[str, int, str], None]) -> None:
        self._host = host
        self._on_ended = on_ended
        self._loop = asyncio.get_running_loop()
        self._sandboxes: dict[str, _Sandbox] = {}
        self._removals: set[asyncio.Task[None]] = set()

    async def start(self, spec: SandboxSpec) -> None:
        """Returns when the agent has been let run. Raises Refused."""
        present = self._sandboxes.get(spec.repl_id)
        if present:
            if present.spec.epoch == spec.epoch and not present.stopping:
                return
            raise Refused("Another run of it is still there.", retryable=True)
        sandbox = self._spawn(spec)
        try:
            if sandbox.group:  # the kernel waits 10 ms before a first move (RCU): bubblewrap prepares meanwhile
                sandbox.group.add(sandbox.spawned.process.pid)
            async with asyncio.timeout(FIRST_LINE_S):
                line = await asyncio.shield(sandbox.status)
            if not line:
                await sandbox.gone.wait()
                raise Refused(_complaint(sandbox))
            sandbox.first = first_pid(line, sandbox.jail)
            sandbox.first_fd = os.pidfd_open(sandbox.first)
            if sandbox.group:
                sandbox.group.add(sandbox.first)
            sandbox.spawned.release()
        except (WrongUid, OSError, TimeoutError) as error:  # a TimeoutError is an OSError without words
            raise Refused(f"The sandbox did not start: {str(error) or 'it took too long'}.", retryable=True) from error
        finally:
            if sandbox.spawned.block >= 0:  # not released
                sandbox.stopping = True
                sandbox.kill()

    async def stop(self, repl_id: str, epoch: int) -> None:
        """Returns when nothing of it runs any more. Another epoch's is left alone."""
        sandbox = self._sandboxes.get(repl_id)
        if sandbox is None or sandbox.spec.epoch != epoch:
            return
        if not sandbox.stopping:
            sandbox.stopping = True
            try:
                programs = programs_of(sandbox.first) if sandbox.first else []
                signal_all(programs, signal.SIGHUP, signal.SIGTERM, signal.SIGCONT)
                await self._until_ended(programs)
            finally:  # whatever went wrong with asking nicely
                sandbox.kill()
        await sandbox.gone.wait()

    async def stop_all(self) -> None:
        """Also waits until their groups are removed."""
        await asyncio.gather(*(self.stop(repl_id, box.spec.epoch) for repl_id, box in self._sandboxes.items()))
        await asyncio.gather(*self._removals)

    def freeze(self, repl_id: str, epoch: int, frozen: bool) -> None:
        """Stop its programs where they are, or let them go on; the agent keeps answering."""
        sandbox = self._sandboxes.get(repl_id)
        if sandbox and sandbox.spec.epoch == epoch and sandbox.first:
            if frozen:
                freeze_all(sandbox.first)
            else:
                signal_all(programs_of(sandbox.first), signal.SIGCONT)

    def running(self) -> list[Running]:
        return [
            Running(box.spec, box.jail.uid, box.first)
            for box in self._sandboxes.values()
            if not box.stopping and box.first
        ]

    def _spawn(self, spec: SandboxSpec) -> _Sandbox:
        group = None
        try:
            jail = self._host.jail(spec.repl_id, spec.size, spec.egress)
            if cgroups := self._host.cgroups:
                group = cgroups.create(f"{spec.repl_id}-{spec.epoch}", spec.size)
            spawned = spawn(self._host.bubblewrap, jail)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            if group:
                group.remove()
            raise Refused(f"The sandbox cannot be started: {error}.") from error
        ended = os.pidfd_open(spawned.process.pid)
        sandbox = _Sandbox(spec, jail, spawned, ended, group, status=self._loop.create_future())
        self._sandboxes[spec.repl_id] = sandbox
        self._loop.add_reader(sandbox.ended, self._on_ended_process, sandbox)
        self._loop.add_reader(spawned.errors, self._on_errors, sandbox)
        self._loop.add_reader(spawned.status, self._on_status, sandbox, bytearray())
        return sandbox

    def _on_status(self, sandbox: _Sandbox, line: bytearray) -> None:
        """Written in pieces."""
        piece = drained(sandbox.spawned.status)
        line += piece or b""
        if b"\n" in line or piece == b"":
            self._loop.remove_reader(sandbox.spawned.status)
            if not sandbox.status.done():
                sandbox.status.set_result(bytes(line.partition(b"\n")[0]))

    def _on_errors(self, sandbox: _Sandbox) -> None:
        piece = drained(sandbox.spawned.errors)
        sandbox.errors += piece or b""
        if piece == b"" or len(sandbox.errors) >= ERRORS_BYTES:
            self._loop.remove_reader(sandbox.spawned.errors)

    def _on_ended_process(self, sandbox: _Sandbox) -> None:
        """Programs can make bubblewrap end and outlive it (docs/security.md): nothing is over before the first is."""
        self._loop.remove_reader(sandbox.ended)
        sandbox.kill()
        if sandbox.first_fd >= 0:
            self._loop.add_reader(sandbox.first_fd, self._on_gone, sandbox)
        else:
            self._on_gone(sandbox)

    def _on_gone(self, sandbox: _Sandbox) -> None:
        if sandbox.first_fd >= 0:
            self._loop.remove_reader(sandbox.first_fd)
        self._loop.remove_reader(sandbox.spawned.errors)
        self._loop.remove_reader(sandbox.spawned.status)
        self._on_errors(sandbox)
        if not sandbox.status.done():
            sandbox.status.set_result(b"")
        code = sandbox.spawned.process.wait()
        kills = sandbox.group.oom_kills() if sandbox.group else 0
        for descriptor in (sandbox.ended, sandbox.first_fd):
            if descriptor >= 0:
                os.close(descriptor)
        sandbox.spawned.close()
        sandbox.first_fd = -1
        if sandbox.group:
            removal = asyncio.create_task(_remove(sandbox.group), name=f"remove group {sandbox.spec.repl_id}")
            self._removals.add(removal)
            removal.add_done_callback(self._removals.discard)
        del self._sandboxes[sandbox.spec.repl_id]
        sandbox.gone.set()
        if sandbox.first and not sandbox.stopping:
            self._on_ended(sandbox.spec.repl_id, sandbox.spec.epoch, _reason(sandbox, code, kills))

    async def _until_ended(self, pids: list[int]) -> None:
        """At most PROGRAMS_END_S."""
        running: dict[int, asyncio.Event] = {}
        for pid in pids:
            try:
                descriptor = os.pidfd_open(pid)
            except ProcessLookupError:
                continue
            running[descriptor] = asyncio.Event()
            self._loop.add_reader(descriptor, running[descriptor].set)
        try:
            async with asyncio.timeout(PROGRAMS_END_S):
                for ended in running.values():
                    await ended.wait()
        except TimeoutError:
            pass  # what still runs is killed next
        finally:
            for descriptor in running:
                self._loop.remove_reader(descriptor)
                os.close(descriptor)


async def _remove(group: Group) -> None:
    try:
        async with asyncio.timeout(GROUP_REMOVAL_S):
            while not group.remove():  # noqa: ASYNC110 (the kernel tells nobody)
                await asyncio.sleep(GROUP_RETRY_S)
    except TimeoutError:
        pass  # swept when the next launcher starts


def _complaint(sandbox: _Sandbox) -> str:
    said = sandbox.errors.decode(errors="replace").strip().splitlines()
    return f"The sandbox did not start: {said[-1] if said else 'bubblewrap ended without a word'}."


def _reason(sandbox: _Sandbox, code: int, oom_kills: int) -> str:
    if oom_kills:
        return f"It used more memory than its {sandbox.spec.size.memory_bytes >> 20} MiB."
    return f"Its sandbox ended by itself (exit code {code})."
