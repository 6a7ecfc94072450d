"""What the programs listen on, as the agent says and as visits find out, told to browsers."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Final

from runner.protocol.messages import Port
from runner.proxy.ports.ports import LOWEST_PORT

PORTS_S: Final = 0.1  # an agent may report other ports as often as it likes


class Listening:
    """`tell` gets the listing: at most every PORTS_S, the last always. `own` are ports of no program, never in it."""

    def __init__(self, tell: Callable[[list[dict[str, Any]]], None], own: frozenset[int]) -> None:
        self._tell = tell
        self._own = own
        self._ports: tuple[Port, ...] = ()
        self._web: dict[int, bool] = {}  # of the ports that were visited, whether HTTP is spoken there
        self._told: list[dict[str, Any]] = []
        self._timer: asyncio.TimerHandle | None = None

    def listing(self) -> list[dict[str, Any]]:
        """[{port, loopback, web}], `web` None until a visit has found out."""
        return [{"port": one.port, "loopback": one.loopback, "web": self._web.get(one.port)} for one in self._ports]

    def reported(self, ports: Iterable[Port]) -> None:
        """By the agent."""
        now = tuple(port for port in ports if port.port >= LOWEST_PORT and port.port not in self._own)
        if now != self._ports:
            self._ports = now
            self._web = {port.port: self._web[port.port] for port in now if port.port in self._web}
            self._tell_soon()

    def answered(self, port: int, is_web: bool) -> None:
        """To a visit. A port that ever spoke HTTP does so, however it fails afterwards."""
        known = self._web.get(port)
        if known is not (known or is_web) and any(one.port == port for one in self._ports):
            self._web[port] = is_web
            self._tell_soon()

    def close(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _tell_soon(self) -> None:
        if self._timer is None:
            self._told = self.listing()
            self._tell(self._told)
            self._timer = asyncio.get_running_loop().call_later(PORTS_S, self._tell_again)

    def _tell_again(self) -> None:
        self._timer = None
        if self.listing() != self._told:
            self._tell_soon()
