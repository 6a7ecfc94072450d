"""What Python and JavaScript both say of terminals is the same."""

import json
import subprocess
from typing import Any

import pytest

from components.build import HERE
from components.terminal.terminal import WINDOW_TITLE_CHARACTERS
from runner.proxy.records.rendering import missing_words
from runner.proxy.terminals import wire
from runner.proxy.terminals.titles import NAME_CHARACTERS

COUNTS = [1, 999, 1000, 20_971_520, 1 << 40]
ABOUT = {"who": "ünï"}
TOLD = {  # by the proxy, and how a page reads it
    wire.output(1 << 40, b"\xc3"): {"kind": "output", "from": 1 << 40, "bytes": [0xC3]},
    wire.gap(5, 1 << 40): {"kind": "gap", "from": 5, "to": 1 << 40},
    wire.size(300, 2): {"kind": "size", "cols": 300, "rows": 2},
    wire.pong(7): {"kind": "pong"},
    wire.taken(1 << 40): {"kind": "taken", "count": 1 << 40},
    wire.modes(b"\x1b[?1h"): {"kind": "modes", "bytes": [*b"\x1b[?1h"]},
    wire.ready(ABOUT): {"kind": "ready", "about": ABOUT},
    wire.exited(ABOUT): {"kind": "exited", "about": ABOUT},
    wire.people(ABOUT): {"kind": "people", "about": ABOUT},
    wire.refused(ABOUT): {"kind": "refused", "about": ABOUT},
}
SAID = """
import { missingWords } from "./gap.mjs";
import { NAME_CHARACTERS } from "./renaming.mjs";
import { WINDOW_TITLE_CHARACTERS } from "./window_title.mjs";
import { NO_SUCH_TERMINAL, ack, decode, input, ping, resize, turn } from "./wire.mjs";
const [counts, told] = JSON.parse(process.argv[1]);
const sent = [input(Uint8Array.of(1, 255)), resize(300, 2), ack(2 ** 40), turn(9), ping()];
console.log(JSON.stringify({
  missing: counts.map(missingWords), NO_SUCH_TERMINAL, NAME_CHARACTERS, WINDOW_TITLE_CHARACTERS,
  sent: sent.map((one) => new Uint8Array(one)),
  heard: told.map((one) => decode(Uint8Array.from(one).buffer)),
}, (_, value) => (value instanceof Uint8Array ? [...value] : value)));
"""


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    asked = json.dumps([COUNTS, [[*frame] for frame in TOLD]])
    node = ["/usr/bin/node", "--input-type=module", "-e", SAID, asked]
    answer = subprocess.run(node, cwd=HERE / "terminal", capture_output=True, check=True, timeout=30)
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def test_bytes_that_are_missing_are_told_alike(said: dict[str, Any]) -> None:
    assert said["missing"] == [missing_words(count) for count in COUNTS]


def test_messages_and_bounds_mean_the_same(said: dict[str, Any]) -> None:
    assert said["NO_SUCH_TERMINAL"] == wire.NO_SUCH_TERMINAL
    assert (said["NAME_CHARACTERS"], said["WINDOW_TITLE_CHARACTERS"]) == (NAME_CHARACTERS, WINDOW_TITLE_CHARACTERS)
    assert said["heard"] == [*TOLD.values()]
    kinds, bodies = zip(*((one[0], bytes(one[1:])) for one in said["sent"]), strict=True)
    assert kinds == (wire.INPUT, wire.RESIZE, wire.ACK, wire.TURN, wire.PING)
    typed, resized, acknowledged, given, pinged = bodies
    assert (typed, wire.cells(resized), wire.offset(acknowledged)) == (b"\x01\xff", (300, 2), 1 << 40)
    assert (wire.number(given), wire.number(pinged)) == (9, 1)
