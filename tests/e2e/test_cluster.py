"""What a cluster takes away from a person, who is told why and goes on with the files.

On the cluster that is given (see `tests.given`), otherwise on the tests' own API server and kubelet.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.backends.kubernetes.api import PODS, Api
from orchestrator.backends.kubernetes.observe import DRAINED
from tests import given
from tests.app.commands import administrator, new_repl, serving, sign_in, stop, until
from tests.orchestrator.kubernetes.test_server import on_a_thread, settings_of
from tests.ports import free_port
from tests.stores import moto

Settings = dict[str, Any]
Evict = Callable[[httpx.Client, str], None]
DISK_MIB = 16  # twice of it is what a node bears
FILL = f"dd if=/dev/zero of=/workspace/large bs=1M count={3 * DISK_MIB}"


@contextmanager
def given_cluster() -> Iterator[tuple[Settings, Evict]]:
    def evict(browser: httpx.Client, repl: str) -> None:
        browser.post(f"/repls/{repl}/exec", json={"command": FILL})

    given.free_namespace()
    yield {**given.settings(), "port": free_port()}, evict


@contextmanager
def own_cluster(folder: Path) -> Iterator[tuple[Settings, Evict]]:
    with ExitStack() as stack:
        s3 = stack.enter_context(moto(folder))
        portal, cluster, kubelet = stack.enter_context(on_a_thread())

        def evict(browser: httpx.Client, repl: str) -> None:
            (pod,) = pods_of(settings, repl)
            portal.call(kubelet.evict, pod["metadata"]["uid"])

        settings = settings_of(cluster, s3, folder)
        yield settings, evict


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[Settings, Evict]]:
    with given_cluster() if given.settings() else own_cluster(tmp_path) as found:
        yield found


def pods_of(settings: Settings, repl: str) -> list[dict[str, Any]]:
    async def look() -> list[dict[str, Any]]:
        async with Api(str(settings["kubeconfig"]), settings.get("k8s_namespace", "devex-repls")) as api:
            return (await api.list(PODS, f"devex.dev/repl={repl}")).items

    return given.aside(look())


def delete_pods_of(settings: Settings, repl: str) -> None:
    async def delete() -> None:
        async with Api(str(settings["kubeconfig"]), settings.get("k8s_namespace", "devex-repls")) as api:
            for pod in (await api.list(PODS, f"devex.dev/repl={repl}")).items:
                await api.delete(PODS, pod["metadata"]["name"])

    given.aside(delete())


def test_what_a_cluster_takes_away(tmp_path: Path, cluster: tuple[Settings, Evict]) -> None:
    settings, evict = cluster
    with (
        serving(tmp_path, **settings, disk_mib=DISK_MIB) as (_, origin, link),
        administrator(origin, link) as browser,
    ):
        repl = new_repl(browser, "taken away")
        browser.put(f"/repls/{repl}/files/kept.txt", content=b"kept")
    with serving(tmp_path, second=True, **settings, disk_mib=DISK_MIB) as (_, origin, _), sign_in(origin) as browser:

        def is_now(phase: str, epoch: int) -> bool:
            seen = browser.get(f"/api/repls/{repl}").json()
            return bool((seen["phase"], seen["epoch"]) == (phase, epoch))

        until(lambda: is_now("running", 1))  # the pod ran on without its server
        until(lambda: browser.get(f"/repls/{repl}/files/kept.txt").text == "kept")
        delete_pods_of(settings, repl)  # as a drain does: what was written is saved, and it starts elsewhere
        until(lambda: is_now("running", 2))
        assert browser.get(f"/repls/{repl}/files/kept.txt").text == "kept"
        assert browser.get(f"/api/repls/{repl}").json()["stop_reason"] == DRAINED

        browser.put(f"/repls/{repl}/files/kept.txt", content=b"and changed")
        assert browser.post(f"/repls/{repl}/snapshots", json={}).status_code == 201
        evict(browser, repl)
        until(lambda: is_now("failed", 2))
        assert "no room left" in browser.get(f"/api/repls/{repl}").json()["failure"]
        assert browser.post(f"/api/repls/{repl}/start", params={"wait": True}).json()["phase"] == "running"
        assert browser.get(f"/repls/{repl}/files/kept.txt").text == "and changed"
        stop(browser, repl)
        until(lambda: pods_of(settings, repl) == [])
