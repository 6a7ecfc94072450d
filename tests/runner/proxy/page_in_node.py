"""Pages of terminals, as node has them."""

import json
import subprocess
from pathlib import Path
from typing import Any, Final

from components import terminal as element

NODE: Final = "/usr/bin/node"


class Node:
    """Real Attachments, see attachments_in_node.mjs."""

    def __init__(self) -> None:
        driver = Path(__file__).with_name("attachments_in_node.mjs")
        attachment = Path(element.__file__).with_name("attachment.mjs")
        self._process = subprocess.Popen(
            [NODE, str(driver), str(attachment)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def do(self, viewer: str, act: str, **about: Any) -> list[list[Any]]:
        """-> what happened: [viewer, what, …] each."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"viewer": viewer, "do": act, **about}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the driver ended"
        happened: list[list[Any]] = json.loads(line)
        return happened

    def end(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
