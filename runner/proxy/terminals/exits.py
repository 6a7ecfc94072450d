"""How a program ended, of a terminal, a run or a script. Plain data."""

from dataclasses import dataclass
from typing import Any, Final


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
