"""The three ways to a pod, each to a real listener, and two of them by TLS."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from secrets import randbelow

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from websockets.exceptions import InvalidStatus

from orchestrator.backends.kubernetes import reach
from orchestrator.backends.kubernetes.api import PODS, Api, NoCluster
from orchestrator.backends.kubernetes.cluster import Ingress, Peer
from orchestrator.backends.kubernetes.forward import Dial, Forward
from orchestrator.backends.kubernetes.manifests import LINK_PORT, labels, name_of
from runner.forwarding import wire
from runner.forwarding.serving import Links
from tests.orchestrator.kubernetes.cluster_api import TOKEN, ClusterApi, served
from tests.orchestrator.kubernetes.links import KEY, WHO, certificate_in, listening, tls
from tests.orchestrator.kubernetes.rights import Rbac

NAME = name_of(WHO.repl_id, WHO.epoch)
POD = {"metadata": {"name": f"{NAME}-abcde", "labels": labels(WHO.repl_id, WHO.epoch)}}
WAY = f"/api/v1/namespaces/devex-repls/pods/{NAME}-abcde:{LINK_PORT}/proxy{wire.PATH}"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate_in(tmp_path_factory.mktemp("tls"))


def an_address() -> str:
    """On loopback, nobody else's: the port is always the same."""
    return f"127.{1 + randbelow(254)}.{randbelow(255)}.{1 + randbelow(254)}"


async def told_by(dial: Dial) -> str:
    """What the REPL behind it says to somebody who asks through the gateway."""
    forward = Forward(dial, KEY, WHO)
    try:
        async with listening(forward) as port, httpx.AsyncClient(trust_env=False) as browser:
            return (await browser.get(f"http://127.0.0.1:{port}/say")).text
    finally:
        forward.close()


async def repl(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(f"{WHO.repl_id} says {scope['path']}")(scope, receive, send)


@pytest.fixture
async def pod() -> AsyncIterator[int]:
    async with listening(Links(repl, KEY, WHO)) as port:
        yield port


async def test_by_the_address_of_the_pod() -> None:
    host = an_address()
    async with listening(Links(repl, KEY, WHO), host=host, port=LINK_PORT):
        assert await told_by(reach.by_address()({**POD, "status": {"podIP": host}})) == "r1 says /say"


async def test_by_an_ingress_controller(certificate: Path) -> None:
    asked: list[str] = []

    async def controller(scope: Scope, receive: Receive, send: Send) -> None:
        asked.append(scope["path"])
        await Links(repl, KEY, WHO)(scope, receive, send)

    async with listening(controller, **tls(certificate)) as port:
        way = Ingress(
            class_name="any", controller=Peer(), link_url=f"wss://localhost:{port}/{{name}}", ca_file=str(certificate)
        )
        assert await told_by(reach.by_ingress(way)(POD)) == "r1 says /say"
        assert asked == [f"/{NAME}/link"]
        untrusted = Ingress(class_name="any", controller=Peer(), link_url=way.link_url)
        with pytest.raises(OSError, match="certificate"):
            await reach.by_ingress(untrusted)(POD)()


async def test_through_the_api_server(certificate: Path, tmp_path: Path, pod: int) -> None:
    async with served(**tls(certificate)) as cluster:
        cluster.port_of = lambda name, port: pod
        config = tmp_path / "config"
        config.write_text(cluster.kubeconfig(**{"certificate-authority": str(certificate)}))
        async with Api(str(config), "devex-repls") as api:
            assert await told_by(reach.through(api)(POD)) == "r1 says /say"
        assert cluster.requests == [("GET", WAY)]
        config.write_text(cluster.kubeconfig())
        async with Api(str(config), "devex-repls") as api:
            with pytest.raises(OSError, match="certificate"):
                await reach.through(api)(POD)()


async def test_through_the_api_server_takes_a_right(cluster: ClusterApi, tmp_path: Path, pod: int) -> None:
    cluster.port_of = lambda name, port: pod
    cluster.faults.append(Rbac(cluster))
    (tmp_path / "config").write_text(cluster.kubeconfig())
    async with Api(str(tmp_path / "config"), "devex-repls") as api:
        with pytest.raises(InvalidStatus, match="403"):
            await reach.through(api)(POD)()


async def test_what_answers_sends_the_gateway_nowhere_else() -> None:
    """It may be a program of the pod's that took the port."""
    elsewhere: list[str] = []

    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        elsewhere.append(scope["path"])
        await Links(repl, KEY, WHO)(scope, receive, send)

    async with listening(inside) as other:

        async def impostor(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            place = [(b"location", f"ws://127.0.0.1:{other}/link".encode())]
            await send({"type": "websocket.http.response.start", "status": 302, "headers": place})
            await send({"type": "websocket.http.response.body", "body": b""})

        host = an_address()
        async with listening(impostor, host=host, port=LINK_PORT):
            with pytest.raises(InvalidStatus, match="302"):
                await reach.by_address()({**POD, "status": {"podIP": host}})()
    assert elsewhere == []


async def test_a_program_is_asked_for_another_token_before_one_ends(cluster: ClusterApi, tmp_path: Path) -> None:
    given = tmp_path / "given"
    plugin = tmp_path / "plugin"
    kind = '"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential"'
    token = f'"status":{{"token":"{TOKEN}","expirationTimestamp":"2020-01-01T00:00:00Z"}}'
    plugin.write_text(f"#!/bin/sh\necho >>{given}\ncat <<'E'\n{{{kind},{token}}}\nE\n")
    plugin.chmod(0o755)
    told = json.loads(cluster.kubeconfig())
    told["users"][0]["user"] = {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": str(plugin), "interactiveMode": "Never"}
    }
    (tmp_path / "config").write_text(json.dumps(told))
    async with Api(str(tmp_path / "config"), "devex-repls") as api:
        await api.list(PODS)
        await api.list(PODS)
    assert len(given.read_text()) == 3


@pytest.mark.parametrize("text", ["", "clusters: []", "current-context: {"])
async def test_a_kubeconfig_that_tells_nothing_is_one_sentence(text: str, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(NoCluster) as refusal:
        await Api(str(tmp_path / "config"), "devex-repls").__aenter__()
    assert "DEVEX_KUBECONFIG" in refusal.value.message
    assert "\n" not in refusal.value.message


async def test_where_there_is_no_cluster_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(NoCluster, match="This pod's service account") as refusal:
        await Api("", "devex-repls").__aenter__()
    assert "DEVEX_KUBECONFIG" in refusal.value.action
