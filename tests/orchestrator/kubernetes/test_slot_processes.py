"""A pod that waits for whom it will be: its two programs as processes, and the control plane's end of its links."""

import asyncio
import base64
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest

from orchestrator.backends.kubernetes.control import PodControl
from orchestrator.backends.kubernetes.forward import Forward
from orchestrator.domain import Size
from runner.agent import install
from runner.forwarding.keys import Impostor, Incarnation
from runner.snapshots.stores.asking import answered
from runner.snapshots.stores.s3 import S3Store
from runner.snapshots.stores.signing import S3Signer
from runner.viewer import CONTROL_PLANE
from tests.orchestrator.kubernetes.kubelet import PodProcesses
from tests.orchestrator.kubernetes.links import as_ada, listening
from tests.runner.proxy.stage import PYTHON

DEADLINE_S = 60.0
OWN_KEY, KEY = b"s" * 32, b"k" * 32
SLOT, WHO = Incarnation("slot1", 0, "pod-uid"), Incarnation("abc", 3, "pod-uid")
SPEC = {
    "environment": {"PATH": os.defpath, "TERM": "xterm", "GREETING": "of the REPL"},
    "run_command": "echo ran",
    "size": asdict(Size()),
    "autosave_s": 30.0,
    "previews": None,
}
WHOSE = {"repl": "abc", "epoch": 3, "key": base64.b64encode(KEY).decode(), "spec": SPEC}


@pytest.fixture
def slot() -> Iterator[PodProcesses]:
    with tempfile.TemporaryDirectory(prefix="slot-") as folder:  # short: sockets lie below it
        install(Path(folder, "opt"), PYTHON)
        identity = {"DEVEX_SLOT": SLOT.repl_id, "DEVEX_POD_UID": SLOT.instance}
        slot = PodProcesses.start(Path(folder, "pod"), Path(folder, "opt"), {"key": OWN_KEY}, identity)
        try:
            yield slot
        finally:
            slot.kill()


async def told(slot: PodProcesses, *tellings: dict[str, Any], key: bytes = OWN_KEY) -> list[int]:
    """By one server of a control plane, over one link; -> what is answered. Raises Impostor."""
    forward = Forward(slot.dial, key, SLOT)
    try:
        async with asyncio.timeout(DEADLINE_S), _client(forward) as client:
            return [(await client.post("/assume", json=whose)).status_code for whose in tellings]
    finally:
        forward.close()


def _client(forward: Forward) -> httpx.AsyncClient:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await forward({**scope, "devex.viewer": CONTROL_PLANE}, receive, send)

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://slot", timeout=DEADLINE_S)


@asynccontextmanager
async def controlled(slot: PodProcesses, store: S3Store) -> AsyncIterator[httpx.AsyncClient]:
    """As the REPL that it is, to Ada, once the agent is there."""
    forward, ready = Forward(slot.dial, KEY, WHO), asyncio.Event()
    signer = S3Signer(store, "abc/", WHO.epoch)

    async def answer(question: dict[str, Any]) -> dict[str, Any]:
        return await answered(signer, question)

    control = PodControl(
        forward,
        answer=answer,
        on_ready=lambda there: ready.set() if there else ready.clear(),
        on_activity=lambda reason: None,
    )
    controlling = asyncio.create_task(control.run())
    try:
        async with asyncio.timeout(DEADLINE_S):
            await ready.wait()
        async with (
            listening(as_ada(forward)) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=DEADLINE_S) as client,
        ):
            yield client
    finally:
        controlling.cancel()
        await asyncio.wait([controlling])
        forward.close()


async def test_it_is_whose_it_is_told_once_and_for_all(slot: PodProcesses, store: S3Store) -> None:
    await slot.listens()
    with pytest.raises(Impostor):
        await told(slot, WHOSE, key=KEY)
    answers = await told(slot, {**WHOSE, "spec": "none"}, WHOSE, WHOSE, {**WHOSE, "repl": "another"})
    assert answers == [400, 200, 200, 409]
    async with controlled(slot, store) as repl:
        ran = (await repl.post("/exec", json={"command": "echo $GREETING"})).json()
        assert "of the REPL" in str(ran)
        assert (await repl.put("/files/kept.txt", content="kept")).status_code == 201
        assert (await repl.post("/snapshots", json={})).status_code == 201
    with pytest.raises(Impostor):  # nobody comes in by what it was
        await told(slot, WHOSE)


async def test_a_proxy_that_is_started_again_is_what_it_was(slot: PodProcesses, store: S3Store) -> None:
    await slot.listens()
    assert await told(slot, WHOSE) == [200]
    slot.restart_proxy()
    await slot.listens()
    async with controlled(slot, store) as repl:
        assert (await repl.get("/tree")).status_code == 200


async def test_before_it_is_anybodys_it_ends_at_once(slot: PodProcesses) -> None:
    await slot.listens()
    slot.proxy.terminate()
    assert await asyncio.to_thread(slot.proxy.wait, DEADLINE_S) == 0
