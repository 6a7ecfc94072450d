"""A WebSocket's messages without a task between: a key waits only for what is done with it.

ASGI has an application ask for each message, so one that comes wakes a task, and so does each answer. A server may
offer a way around that, as an extension of the scope; what it leaves comes and goes by `receive` and `send`, in order.
"""

from collections.abc import Callable
from typing import Final, Protocol

EXTENSION: Final = "devex.direct"  # in scope["extensions"]


class Direct(Protocol):
    on_message: Callable[[bytes], bool] | None
    """Called with a binary message that comes while the application waits in `receive`: whether it has been dealt with;
    otherwise `receive` returns it."""

    @property
    def is_writable(self) -> bool:
        """Whether `send_now` may be called, as far as the server knows: what was sent before is on its way."""

    def send_now(self, message: bytes) -> None:
        """A binary message. Only while nothing that was given to `send` waits there."""
