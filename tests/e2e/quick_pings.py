"""`python -m tests.e2e.quick_pings python main.py`: the server, with as many pings a second as otherwise in twenty."""

import runpy
import sys

import components.repl
from components.repl import network

EVERY_S = 0.5

if __name__ == "__main__":
    network.PING_EVERY_S = components.repl.PING_EVERY_S = EVERY_S  # type: ignore[misc]
    sys.argv = sys.argv[-1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
