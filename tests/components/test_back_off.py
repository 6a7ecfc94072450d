"""How pages come back: soon, ever more slowly, and not all at the same moment."""

import json
import subprocess
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from components.build import HERE

LOOK_MS, LOOK_SLOWLY_MS, QUICK_MS = 250, 2000, 5 * 60_000  # as lines.mjs has it
FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 400, 10_000
LOOKED_MS, DIALLED_MS = (0.7, 1.3), (0.5, 1.5)  # of the pause: how much less and more it is
BACK_WITHIN_MS = 500  # as is promised
TOGETHER_MS = 50  # for which a question waits that follows another one
DIAL_MS = 1  # until it fails


def pages(count: int, *, away_ms: int, refused_ms: int, **more: Any) -> list[dict[str, Any]]:
    driver, lines = Path(__file__).with_name("pages_in_node.mjs"), HERE / "repl" / "lines.mjs"
    asked = {"pages": count, "awayMs": away_ms, "refusedMs": refused_ms, "hidden": False, **more}
    command = ["/usr/bin/node", str(driver), str(lines), json.dumps(asked)]
    said = subprocess.run(command, check=True, capture_output=True, timeout=120).stdout
    found: list[dict[str, Any]] = json.loads(said)
    return found


def pauses(at_ms: list[float]) -> list[float]:
    return [round(later - sooner, 6) for sooner, later in pairwise(at_ms)]


def test_where_something_answers_for_the_server_the_pauses_grow_to_one_and_are_spread() -> None:
    (page,) = pages(1, away_ms=60 * 60_000, refused_ms=0, status=503)
    least, most = LOOKED_MS
    quick = [pause for pause, at_ms in zip(pauses(page["asked"]), page["asked"], strict=False) if at_ms < QUICK_MS]
    assert all(least * LOOK_MS <= pause <= most * LOOK_MS for pause in quick[1:])
    assert min(quick[1:]) < 0.8 * LOOK_MS
    assert max(quick) > 1.2 * LOOK_MS
    slow = pauses(page["asked"])[-100:]
    assert all(least * LOOK_SLOWLY_MS <= pause <= most * LOOK_SLOWLY_MS for pause in slow)
    assert min(slow) < 0.8 * LOOK_SLOWLY_MS
    assert max(slow) > 1.2 * LOOK_SLOWLY_MS


def test_a_network_is_found_again_within_half_a_second_however_long_it_was_away() -> None:
    away_ms = 2 * 60 * 60_000
    told = pages(5, away_ms=away_ms, refused_ms=2_000)
    back = [next(at_ms for at_ms in page["dialled"] if at_ms >= away_ms) - away_ms for page in told]
    assert max(back) <= LOOKED_MS[1] * LOOK_MS < BACK_WITHIN_MS


@pytest.mark.parametrize("wakes", ["online", "pageshow", "visibilitychange", "resume"])
def test_what_wakes_a_page_has_it_ask_at_once_and_look_after_what_is_up(wakes: str) -> None:
    away_ms, wakes_at_ms = 60_000, 60_500  # between two questions of one that is hidden
    (page,) = pages(1, away_ms=away_ms, refused_ms=10_000, hidden=True, wakes=wakes, wakesAtMs=wakes_at_ms)
    assert len([at_ms for at_ms in page["asked"] if at_ms < away_ms]) < 10
    assert not [at_ms for at_ms in page["dialled"] if away_ms <= at_ms < wakes_at_ms]
    assert wakes_at_ms in page["asked"]
    assert wakes_at_ms in page["dialled"]
    assert wakes_at_ms in page["checked"]


def test_pages_that_lost_their_server_together_come_back_one_after_the_other_and_soon() -> None:
    count, away_ms = 100, 10_000
    told = pages(count, away_ms=away_ms, refused_ms=60_000)
    at_once = Counter(at_ms // 25 for page in told for at_ms in page["asked"] if at_ms > 2_000)
    assert max(at_once.values()) < count / 3
    back = [next(at_ms for at_ms in page["dialled"] if at_ms >= away_ms) - away_ms for page in told]
    assert max(back) <= LOOKED_MS[1] * LOOK_MS
    assert max(Counter(at_ms // 25 for at_ms in back).values()) < count / 3


def test_a_line_that_is_refused_dials_after_pauses_that_double_and_are_spread() -> None:
    told = pages(100, away_ms=1_000, refused_ms=60_000)
    tries = list(zip(*(pauses(page["dialled"])[:8] for page in told), strict=True))
    least, most = DIALLED_MS
    for number, waited in enumerate(tries):
        pause_ms = min(FIRST_PAUSE_MS * 2 ** (number - 1), LONGEST_PAUSE_MS) if number else 0
        assert least * pause_ms <= min(waited) - DIAL_MS
        assert max(waited) - DIAL_MS <= most * pause_ms + TOGETHER_MS
        assert max(waited) - min(waited) >= 0.5 * pause_ms
