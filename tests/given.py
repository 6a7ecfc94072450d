"""A real cluster for the tests of the whole, where one is given: see CONTRIBUTING.md.

DEVEX_TEST_KUBECONFIG, and any other setting of the server's with DEVEX_TEST_ before its name.
"""

import asyncio
import os
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from orchestrator.backends.kubernetes.api import LEASES, Api
from orchestrator.backends.kubernetes.backend import LEASE

PREFIX = "DEVEX_TEST_"
T = TypeVar("T")


def settings() -> dict[str, str]:
    """By name, as tests pass them on; {} when there is none."""
    given = {name.removeprefix(PREFIX).lower(): value for name, value in os.environ.items() if name.startswith(PREFIX)}
    return {"backend": "kubernetes", "k8s_reach": "api", **given} if given else {}


def aside(work: Coroutine[Any, Any, T]) -> T:
    """What `asyncio.run` would give, on a thread of its own: a browser that is open has a loop in the test's."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def free_namespace() -> None:
    """Before a server with a database of its own: the one before it had another, and is gone."""

    async def free() -> None:
        async with Api(settings()["kubeconfig"], settings().get("k8s_namespace", "devex-repls")) as api:
            await api.delete(LEASES, LEASE)

    aside(free())
