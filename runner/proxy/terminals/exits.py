"""How a program is ended, and how it ended, of a terminal, a run or a script. Plain data."""

import signal
from dataclasses import dataclass
from typing import Any, Final

TERM_S: Final = 5.0  # for a program to end by itself, before it is killed
KILL_S: Final = 3.0  # for the agent to report the end of a killed one

# That people may send to a program: those that end it.
SIGNALS: Final = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL})
SIGNALS_OF_SCRIPTS: Final = SIGNALS | {signal.SIGUSR1, signal.SIGUSR2}


@dataclass(frozen=True, slots=True)
class Exit:
    """`status` as a shell says it; `lost`: nobody knows, the agent ended. `peak_bytes`: as in `Exited`, if known."""

    status: int
    signal: int = 0
    lost: bool = False
    peak_bytes: int | None = None

    def how(self) -> dict[str, Any]:
        """{status, signal, lost?}: as records have it."""
        lost = {"lost": True} if self.lost else {}
        return {"status": self.status, "signal": self.signal, **lost}

    def json(self) -> dict[str, Any]:
        """With the memory: as `GET terminals` and EXITED have it."""
        return {**self.how(), "peak_bytes": self.peak_bytes}


LOST: Final = Exit(-1, lost=True)
