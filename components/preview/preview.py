"""The running program's web page in a frame on a host of its own."""

from collections.abc import Callable, Sequence
from typing import Any

from nicegui.element import Element

from components import BUNDLE


class Preview(Element, component="devex_preview.js", esm=BUNDLE):
    """Shows the first web port by itself; `POST /api/repls/{id}/preview` gives the address.

    Ports are {port, web}: `web` is None until a visit has told, and the visit may be ours.
    """

    def __init__(self, repl_id: str, *, on_close: Callable[[], None]) -> None:
        super().__init__()
        self._props.update(replId=repl_id, ports=[])
        self.on("close", lambda _: on_close())

    @property
    def has_page(self) -> bool:
        """Whether there is a port that answers with web pages."""
        return any(one["web"] for one in self._props["ports"])

    def set_ports(self, ports: Sequence[dict[str, Any]]) -> None:
        """Follow what the REPL's programs listen on."""
        if list(ports) != self._props["ports"]:
            self._props["ports"] = list(ports)
            self.update()

    def reload(self) -> None:
        """Load the page again."""
        self.run_method("show")
