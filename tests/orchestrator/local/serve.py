"""A server for tests to kill: `serve.py DATA GRACE_S` runs a program in "repl1", says "running" and waits."""

import asyncio
import sys
from pathlib import Path

from orchestrator.backends.local.backend import LocalBackend
from tests.contracts.backend import make_spec, until_running
from tests.orchestrator.local.conftest import Box


async def main(data: Path, grace_s: float) -> None:
    async with LocalBackend(data, grace_s=grace_s) as backend:
        await backend.seed("repl1", {}, copy_of=None)
        await backend.ensure(make_spec(run_command="echo $$ > pid; exec sleep 1000"))
        await until_running(backend, "repl1")
        box = Box(backend, "repl1", data / "workspaces" / "repl1")
        await box.post("/run")
        print("running", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2])))
