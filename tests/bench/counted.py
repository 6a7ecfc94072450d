"""`python -m tests.bench.counted FILE`: serves as main.py does; at SIGUSR2 writes into FILE how many tasks it has."""

import asyncio
import runpy
import signal
import sys
from pathlib import Path

from nicegui import core

from tests.bench.server import ROOT


def main() -> None:
    told = Path(sys.argv.pop())

    def tell(*_: object) -> None:
        assert core.loop
        counted = told.with_suffix(".new")
        counted.write_text(str(len(asyncio.all_tasks(core.loop))))
        counted.rename(told)

    signal.signal(signal.SIGUSR2, tell)
    runpy.run_path(str(ROOT / "main.py"), run_name="__main__")


if __name__ == "__main__":
    main()
