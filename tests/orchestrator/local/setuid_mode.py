"""A sandbox without user namespaces: `setuid_mode.py DATA` prints what a program in it finds, as JSON."""

import asyncio
import sys
from dataclasses import replace
from pathlib import Path
from threading import Event

import httpx

from orchestrator.backends.environment import program_environment
from orchestrator.backends.local.launcher.bubblewrap import Mode
from orchestrator.backends.local.launcher.host import Host, clear, prepare
from orchestrator.backends.local.launcher.supervisor import Supervisor
from orchestrator.backends.local.layout import Layout, layout
from orchestrator.backends.local.workspaces import Workspaces
from runner.proxy.app import ProxyConfig, RunnerProxy
from tests.contracts.backend import BackendContract, make_spec

SCRIPT = b"""
import json, os
def attempt(call, *words):
    try:
        call(*words)
    except OSError:
        return "refused"
    return "done"
status = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
print(json.dumps({
    "uid": os.getuid(),
    "owner": os.stat("/workspace").st_uid,
    "capabilities": status["CapBnd"].strip(),
    "sysctl": attempt(open, "/proc/sys/kernel/core_pattern", "w"),
    "unshare": "refused" if os.system("unshare -U true 2>/dev/null") else "done",
    "name": os.popen("id -un").read().strip(),
    "workspace": os.getcwd(),
}))
"""


async def main(place: Layout, host: Host) -> None:
    workspaces = Workspaces(place)
    workspaces.uids = host.uids
    workspaces.seed("repl1", {"script.py": SCRIPT}, None, Event())
    spec = make_spec()
    sockets = place.sockets("repl1")
    sockets.mkdir(mode=0o755)
    config = ProxyConfig(
        repl_id="repl1", workspace=place.workspace("repl1"), socket_path=sockets / "agent.sock",
        agent_uid=workspaces.uid_of("repl1"), environment=program_environment(spec, way_out=None), quota_bytes=1 << 30,
        quota_entries=1000, records=place.records("repl1"),
    )  # fmt: skip
    supervisor = Supervisor(host, lambda repl_id, epoch, reason: None)
    async with RunnerProxy(config, on_activity=lambda reason: None) as proxy, asyncio.timeout(60):
        await supervisor.start(spec)
        await proxy.ready()
        async with BackendContract().client(proxy) as client:
            fields = {"command": "python3 script.py", "timeout_s": 30}
            answer = await client.post("/exec", json=fields, timeout=httpx.Timeout(60))
        print(answer.json()["output"])
        await supervisor.stop_all()


if __name__ == "__main__":
    place = layout(Path(sys.argv[1]))
    place.make()
    host = replace(prepare(place), mode=Mode.ROOT_SETUID)
    try:
        asyncio.run(main(place, host))
    finally:
        clear(place)
