"""The running program's web page in a frame on a host of its own."""

from collections.abc import Callable, Sequence

from nicegui.element import Element

from components import BUNDLE


class Preview(Element, component="devex_preview.js", esm=BUNDLE):
    """Shows the first of `ports` by itself; `POST /api/repls/{id}/preview` gives the address."""

    def __init__(self, repl_id: str, *, on_close: Callable[[], None]) -> None:
        super().__init__()
        self._props.update(replId=repl_id, ports=[])
        self.on("close", lambda _: on_close())

    @property
    def ports(self) -> list[int]:
        """The ports on which programs listen."""
        return list(self._props["ports"])

    def set_ports(self, ports: Sequence[int]) -> None:
        """Follow what the REPL's programs listen on."""
        if list(ports) != self.ports:
            self._props["ports"] = list(ports)
            self.update()

    def reload(self) -> None:
        """Load the page again."""
        self.run_method("show")
