"""Terminado, the terminals of JupyterLab, as it comes: a shell of its own for each WebSocket at /terminals/; at / an
empty page for a terminal to be put on.

`python -m tests.bench.terminado_server` prints its port, and serves until standard input ends.
"""

import asyncio
import sys

from terminado.management import UniqueTermManager
from terminado.websocket import TermSocket
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from tests.bench.bare import ENVIRONMENT, SHELL


class EmptyPage(RequestHandler):
    """At /."""

    def get(self) -> None:
        """Nothing yet."""
        self.finish("<!doctype html><body></body>")


async def main() -> None:
    """Until standard input ends."""
    manager = UniqueTermManager(shell_command=list(SHELL), extra_env=ENVIRONMENT)
    application = Application([(r"/", EmptyPage), (r"/terminals/(.*)", TermSocket, {"term_manager": manager})])
    sockets = bind_sockets(0, "127.0.0.1")
    HTTPServer(application).add_sockets(sockets)
    print(sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await manager.kill_all()


if __name__ == "__main__":
    asyncio.run(main())
