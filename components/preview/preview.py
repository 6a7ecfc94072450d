"""The running program's web page in a frame on a host of its own."""

from collections.abc import Callable, Sequence
from dataclasses import asdict

from nicegui.element import Element

from components import BUNDLE
from components.repl import Port


class Preview(Element, component="devex_preview.js", esm=BUNDLE):
    """Shows the first web port by itself; `POST /api/repls/{id}/preview` gives the address.

    The visit that tells what a port answers with may be ours.
    """

    def __init__(self, repl_id: str, *, on_close: Callable[[], None]) -> None:
        super().__init__()
        self._ports: tuple[Port, ...] = ()
        self._props.update(replId=repl_id, ports=[])
        self.on("close", lambda _: on_close())

    @property
    def has_page(self) -> bool:
        """Whether there is a port that answers with web pages."""
        return any(one.web for one in self._ports)

    def set_ports(self, ports: Sequence[Port]) -> None:
        """Follow what the REPL's programs listen on."""
        if tuple(ports) != self._ports:
            self._ports = tuple(ports)
            self._props["ports"] = [asdict(one) for one in ports]
            self.update()

    def reload(self) -> None:
        """Load the page again."""
        self.run_method("show")
