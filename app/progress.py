"""Lines that tell somebody in front of a terminal that it goes on."""

import time
from collections.abc import Callable
from typing import Final

TELL_S: Final = 5.0  # between two lines


def teller(name: str) -> Callable[[int, int | None], None]:
    """Prints a line now and then."""
    last = time.monotonic()

    def tell(done: int, of: int | None) -> None:
        nonlocal last
        if time.monotonic() - last > TELL_S:
            last = time.monotonic()
            print(f"      {name} {done}{f' of {of}' if of else ''} objects", flush=True)

    return tell
