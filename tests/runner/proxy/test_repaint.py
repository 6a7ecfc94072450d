"""A viewer who missed output of a full-screen program."""

from runner.protocol.ring import RING_BYTES
from tests.runner.proxy.stage import MODES, Stage

FULL_SCREEN = r"""
import os, signal, sys
def draw(*_):
    cols = os.get_terminal_size().columns
    sys.stdout.write(f"\x1b[H\x1b[2Jdrawn in {cols} columns.")
    sys.stdout.flush()
signal.signal(signal.SIGWINCH, draw)
sys.stdout.write("\x1b[?1049h\x1b[?1h" + "\x1b[Hfull" * 300_000 + "\x1b[2J")
sys.stdout.flush()
print("flood is over", flush=True)
while True: signal.pause()
"""


async def test_a_slow_viewer_gets_the_modes_and_the_program_draws_everything_again(stage: Stage) -> None:
    (stage.workspace / "full.py").write_text(FULL_SCREEN)
    terminal = await stage.open_terminal(cols=80, rows=24)
    async with stage.attached(terminal) as fast, stage.attached(terminal) as slow:
        slow.acknowledges = False
        await slow.until("$ ")
        await fast.type("python3 full.py\n")
        await fast.until("flood is over")
        assert len(fast.text) > RING_BYTES
        assert b"drawn" not in fast.text
        slow.acknowledges = True
        await slow.acknowledge()
        await slow.until_kind(MODES)
        assert slow.gaps
        assert slow.modes == b"\x1b[?1049h\x1b[?1h"
        await slow.until("drawn in 79 columns.")
        await slow.until("drawn in 80 columns.")
        await fast.until("drawn in 80 columns.")
        assert fast.size is None, "no screen has another size"
        assert fast.text.count(b"drawn") == 2


async def test_a_shell_is_not_asked_to_draw(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    async with stage.attached(terminal) as tab:
        await tab.type("stty -echo; PS1=; trap 'echo drawn' WINCH; seq 300000; cat\n")
        await tab.until("300000\r\n")
    async with stage.attached(terminal, after=10) as again:
        await again.until("300000\r\n")
        await again.type("still here\n")
        await again.until("still here\r\n")
        assert again.gaps
        assert again.modes == b""
        assert b"drawn" not in again.text
