"""The command that lets out of a cluster what its REPLs may reach."""

import asyncio
import resource
import signal
from ipaddress import ip_network

from app.settings import Settings
from orchestrator.backends.egress.listening import EgressServer
from orchestrator.backends.egress.proxy import Resolver
from orchestrator.backends.egress.rules import EgressRules
from runner.errors import DevexError


def rules_of(settings: Settings) -> EgressRules:
    private = tuple(map(ip_network, settings.egress_private))
    return EgressRules(allow=settings.egress_allow, exceptions=frozenset(settings.egress_except), private=private)


async def serve(settings: Settings, host: str, port: int) -> None:
    """Until SIGTERM or Ctrl-C. Raises DevexError when it cannot listen there."""
    _, files_most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (files_most, files_most))  # each connection has two
    told_to_stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told_to_stop.set)
    resolver = Resolver()
    try:
        async with EgressServer(host, port, rules_of(settings), resolver) as server:
            print(f"What is allowed is let out at port {server.port}", flush=True)
            await told_to_stop.wait()
    except OSError as error:
        message = f"The way out cannot listen on {host} port {port}: {(error.strerror or str(error)).lower()}."
        raise DevexError("port", message, "Stop what uses it, or give other ones.", status=500) from None
    finally:
        resolver.close()
