"""Resource limits, which bound each process of a sandbox, everywhere. The agent sets them on itself."""

import json

from orchestrator.domain import Size

OPEN_FILES = 4096  # Vite, watchers and databases open thousands; kernel memory for them stays below 10 MiB
STACK_BYTES = (8 << 20, 64 << 20)  # soft, hard


def rlimits(size: Size) -> str:
    """-> the agent's DEVEX_RLIMITS. No address-space limit: it bounds no total, and breaks node, the JVM and wasm."""
    return json.dumps(
        {
            "nproc": size.pids,  # counted per user namespace, so per sandbox
            "fsize": size.disk_bytes,
            "nofile": OPEN_FILES,
            "core": 0,
            "memlock": 64 << 10,
            "stack": list(STACK_BYTES),
        }
    )
