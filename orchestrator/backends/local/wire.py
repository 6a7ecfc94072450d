"""What server and launcher say to each other: one JSON object a line, both ends of the same release.

server -> launcher  {"n": number, "verb": ..., ...}
                    ping | list | cpu | doctor | shutdown
                    start spec | stop repl_id epoch | freeze repl_id epoch frozen
launcher -> server  {"n": number, "ok": ...}, the answer
                    {"n": number, "error": {"message", "action", "retryable"}}
                    {"event": "ended", "repl_id", "epoch", "reason"}
"""

import json
from dataclasses import asdict
from typing import Any

from orchestrator.backends.base import SandboxSpec
from orchestrator.domain import Egress, Size
from runner.protocol.messages import VERSION as AGENT_VERSION

VERSION = f"3/{AGENT_VERSION}"  # a launcher of another release, or agents of one, cannot be adopted
MAX_LINE_BYTES = 4 << 20  # a list of hundreds of sandboxes with their environments

Message = dict[str, Any]


def line(message: Message) -> bytes:
    return json.dumps(message).encode() + b"\n"


def spec_to_json(spec: SandboxSpec) -> Message:
    return asdict(spec)


def spec_from_json(fields: Message) -> SandboxSpec:
    """Raises TypeError or ValueError: it is not one."""
    return SandboxSpec(**{**fields, "size": Size(**fields["size"]), "egress": Egress(fields["egress"])})
