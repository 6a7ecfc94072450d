"""From settings to a running server: the one place that chooses where REPLs run."""

import socket
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from app import data_dir, store
from app.egress import rules_of
from app.settings import Settings
from app.storage import database
from components import DIST
from orchestrator.backends.base import Check
from orchestrator.backends.local.backend import LocalBackend
from runner.errors import DevexError

if TYPE_CHECKING:
    from app.server import Server

# The server is imported once nothing is in its way: NiceGUI takes a second, which `devex doctor` and a refusal save.


class PortTaken(DevexError):
    def __init__(self, settings: Settings, reason: str) -> None:
        message = f"DEVEX cannot listen on {settings.host} port {settings.port}: {reason}."
        super().__init__("port", message, "Stop what uses it, or set DEVEX_PORT and DEVEX_HOST.", status=500)


class DidNotStart(DevexError):
    def __init__(self) -> None:
        super().__init__("start", "The server did not start.", "The lines above say why.", status=500)


class NotBuilt(DevexError):
    """A wheel and `make run` bring it; a bare clone has none."""

    def __init__(self) -> None:
        action = "Run `make bundle`, or install DEVEX with pip."
        super().__init__("bundle", "The browser's JavaScript has not been built.", action, status=500)


def serve(settings: Settings) -> None:
    """Serve until told to stop; Ctrl-C stops the REPLs as well. Raises DevexError when it cannot start."""
    if not any(DIST.glob("*.js")):
        raise NotBuilt
    check_port(settings)
    data_dir.prepare(settings.data_dir)
    server = _on_cluster(settings) if settings.backend == "kubernetes" else _on_this_machine(settings)
    try:
        server.run()
    except KeyboardInterrupt:
        return  # raised once everything has ended in order
    except SystemExit:
        raise server.failure or DidNotStart() from None


def _on_cluster(settings: Settings) -> "Server":
    """Ctrl-C ends the server only: pods need none, and other servers may serve them."""
    from app import cluster  # Kubernetes's client takes half a second
    from app.server import Server

    return Server(settings, backend=cluster.backend(settings))


def _on_this_machine(settings: Settings) -> "Server":
    from app.server import Server

    backend = local_backend(settings, settings.data_dir)

    def stop_all() -> None:
        backend.keep_on_exit = False
        server.orchestrator.stop_on_exit = True

    server = Server(settings, backend=backend, on_interrupt=stop_all)
    return server


async def doctor(settings: Settings) -> list[Check]:
    """What there is to say of the settings, the database and the machine."""
    data_dir.prepare(settings.data_dir)
    url = database.url_of(settings.database_url.get_secret_value(), settings.data_dir)
    checks = [Check(name="settings", ok=True, detail=f"It will be at {settings.origin}.")]
    if settings.https and not settings.trusted_proxies:
        detail = "What ends https in front is not believed who comes: attempts of all people count as one address's."
        action = "Set DEVEX_TRUSTED_PROXIES to the address it connects from."
        checks.append(Check(name="proxy", ok=None, detail=detail, action=action))
    try:
        async with database.opened(url):
            kind = "SQLite" if url.startswith("sqlite:") else "PostgreSQL"
            checks.append(Check(name="database", ok=True, detail=f"{kind}, up to date."))
    except DevexError as error:
        checks.append(Check(name="database", ok=False, detail=error.message, action=error.action))
    if settings.backend == "kubernetes":
        from app import cluster

        return checks + await cluster.checks(settings)
    try:
        with data_dir.held(settings.data_dir):
            return checks + await _sandbox_checks(settings, settings.data_dir)
    except data_dir.BadDataDir:  # a server runs, and its launcher answers nobody else: look from a folder beside it
        with TemporaryDirectory(prefix="doctor-", dir=settings.data_dir, ignore_cleanup_errors=True) as beside:
            return checks + await _sandbox_checks(settings, Path(beside))


async def _sandbox_checks(settings: Settings, folder: Path) -> list[Check]:
    backend = local_backend(settings, folder)
    async with backend:
        backend.keep_on_exit = bool(await backend.observe())  # REPLs that wait for their server go on waiting
        return await backend.doctor()


def local_backend(settings: Settings, folder: Path) -> LocalBackend:
    return LocalBackend(
        folder,
        egress=rules_of(settings),
        grace_s=settings.launcher_grace_s,
        store=store.chosen(settings),
        autosave_s=settings.autosave_s,
    )


def check_port(settings: Settings) -> None:
    """Before anything is started that would have to be stopped. Raises PortTaken when it cannot be listened on."""
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.host, settings.port))
    except OSError as error:
        raise PortTaken(settings, (error.strerror or str(error)).lower()) from None
