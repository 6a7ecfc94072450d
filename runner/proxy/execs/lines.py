"""What a program writes, as lines of JSON: text where it is UTF-8, base64 where it is not. Pure."""

import codecs
import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final

from runner.protocol.messages import STDERR, STDOUT

NAMES: Final = {STDOUT: "stdout", STDERR: "stderr"}


def line(about: Mapping[str, Any]) -> bytes:
    return json.dumps(about, separators=(",", ":")).encode() + b"\n"


class Lines:
    """`of` a piece gives the line for it, or none: a character that was cut in two waits for its other half."""

    def __init__(self) -> None:
        self._decoders = {kind: codecs.getincrementaldecoder("utf-8")() for kind in NAMES}

    def of(self, kind: int, data: bytes) -> bytes:
        return self._line(kind, data, final=False)

    def rest(self) -> bytes:
        """Halves whose other half never came."""
        return b"".join(self._line(kind, b"", final=True) for kind in NAMES)

    def _line(self, kind: int, data: bytes, *, final: bool) -> bytes:
        decoder = self._decoders[kind]
        waiting, _ = decoder.getstate()
        try:
            text = decoder.decode(data, final)
        except UnicodeDecodeError:
            decoder.reset()
            return line({f"{NAMES[kind]}_base64": b64encode(waiting + data).decode()})
        return line({NAMES[kind]: text}) if text else b""
