"""Pods that wait for whom they will be: who gets one, what becomes of it, and that there are as many as are wanted."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.responses import Response

from orchestrator.backends.base import Backend, BackendError
from orchestrator.backends.kubernetes import acts, slots
from orchestrator.backends.kubernetes.api import Api
from orchestrator.backends.kubernetes.backend import KubernetesBackend
from orchestrator.backends.kubernetes.cluster import Cluster, Warm
from orchestrator.backends.kubernetes.manifests import ASSUMED, CLAIMED, EPOCH, REPL, SLOT, name_of
from orchestrator.backends.kubernetes.observe import is_up
from orchestrator.backends.kubernetes.slots import MADE_AS, TEMPLATE, Wanted, plan
from orchestrator.backends.kubernetes.versions import Versions
from orchestrator.domain import Egress, Size
from runner.snapshots.stores.opening import spec_of
from runner.snapshots.stores.s3 import S3Config
from runner.snapshots.worker.workers import Workers
from tests.contracts.backend import SIZE, BackendContract, make_spec, until_running
from tests.orchestrator.kubernetes.cluster_api import ClusterApi, Object, refusal
from tests.orchestrator.kubernetes.conftest import CLUSTER, SECRET, client_of
from tests.orchestrator.kubernetes.kubelet import Kubelet, Nodes
from tests.orchestrator.kubernetes.rights import Rbac
from tests.waiting import until

ONE = replace(CLUSTER, warm=Warm(slots={"blank": 1}, size=Size(pids=99), sizes={"blank": SIZE}))
Serve = Callable[..., AbstractAsyncContextManager[KubernetesBackend]]


# The plan


def slot_of(template: str, made_as: str, age: int, replicas: int, *, leaving: bool) -> Object:
    stamp = {"deletionTimestamp": "2026-01-01T00:00:00Z"} if leaving else {}
    told = {"annotations": {TEMPLATE: template, MADE_AS: made_as}, "creationTimestamp": f"2026-01-01T00:00:{age:02}Z"}
    return {"metadata": {**told, **stamp}, "spec": {"replicas": replicas}}


FOUND = st.builds(
    slot_of,
    st.sampled_from(["go", "python"]),
    st.sampled_from(["now", "before"]),
    st.integers(0, 59),
    st.integers(0, 1),
    leaving=st.booleans(),
)


@given(st.lists(FOUND, max_size=12), st.dictionaries(st.sampled_from(["go", "python"]), st.integers(0, 4)))
def test_when_it_is_done_there_are_as_many_as_are_wanted(found: list[Object], counts: dict[str, int]) -> None:
    for number, one in enumerate(found):
        one["metadata"]["name"] = f"slot-{number}"
    done = plan(found, {template: Wanted(count, "now") for template, count in counts.items()})
    there = [one for one in found if "deletionTimestamp" not in one["metadata"] and one not in done.remove]
    left = [one["metadata"]["annotations"] for one in there]
    for template in ("go", "python"):
        kept = left.count({TEMPLATE: template, MADE_AS: "now"})
        assert kept + done.make.count(template) == counts.get(template, 0)
    assert all(told[MADE_AS] == "now" for told in left)
    assert all(one in there for one in done.finish)


# A REPL in one, with its programs


class TestOfProcesses:
    @pytest.fixture
    def wishes(self) -> Cluster:
        return ONE

    async def test_a_repl_is_in_the_one_that_waits_and_takes_it_along(
        self, backend: KubernetesBackend, cluster: ClusterApi, kubelet: Kubelet, rbac: Rbac
    ) -> None:
        contract = BackendContract()
        async with leading(backend):
            await until(lambda: is_ready(cluster))
            await seen_by(backend)
            (uid,) = kubelet.pods
            pod = kubelet.pods[uid]
            assert [path.name for path in (pod.volumes / "key").iterdir()] == ["key"]
            assert await backend.observe() == {}
            await backend.seed("repl1", {"main.py": b"print(1)\n"}, copy_of=None)
            await backend.ensure(make_spec(environment={"GREETING": "of the REPL"}))
            await until_running(backend, "repl1")
            assert uid in kubelet.pods
            assert ("deployments", name_of("repl1", 1)) not in cluster.objects
            async with contract.client(backend.runner_app("repl1")) as client:
                ran = await client.post("/exec", json={"command": "echo $GREETING; cat main.py"})
                assert "of the REPL" in ran.text
                assert "print(1)" in ran.text
                assert (await client.put("/files/new.txt", content=b"kept")).status_code == 201
            await until(lambda: len(kubelet.pods) == 2)  # the next one
            await backend.save("repl1", 1, "by a test")
            await backend.stop("repl1", 1)
            assert uid not in kubelet.pods
            await backend.ensure(make_spec(epoch=2))
            await until_running(backend, "repl1")
            assert await contract.read(backend.runner_app("repl1"), "new.txt") == b"kept"
            await backend.stop("repl1", 2)
        assert rbac.refused == []


# All else, with pods that are told apart by their links


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "PACE_S", 0.02)
    monkeypatch.setattr(slots, "RETRY_MOST_S", 0.05)
    monkeypatch.setattr(slots, "GIVES_WAY_S", 0.2)
    monkeypatch.setattr(acts, "AGAIN_S", 0.02)


@pytest.fixture
def serve(cluster: ClusterApi, nodes: Nodes, bucket: S3Config) -> Serve:
    def serving(wishes: Cluster = ONE, secret: bytes = SECRET) -> KubernetesBackend:
        api, versions = Api(client_of(cluster), wishes.namespace), Versions(Workers(), spec_of(bucket))
        return KubernetesBackend(api, wishes, versions, dial_of=nodes.dial_of, secret=secret)

    return serving


@asynccontextmanager
async def leading(backend: Backend) -> AsyncIterator[None]:
    assert backend.election
    candidate = asyncio.create_task(backend.election.run(asyncio.Event().wait))  # type: ignore[arg-type]
    try:
        yield
    finally:
        candidate.cancel()
        await asyncio.wait([candidate])


def deployments(cluster: ClusterApi) -> list[Object]:
    return [found for (plural, _), found in sorted(cluster.objects.items()) if plural == "deployments"]


def free(cluster: ClusterApi) -> list[Object]:
    found = [one for one in deployments(cluster) if "deletionTimestamp" not in one["metadata"]]
    return [one for one in found if SLOT in one["metadata"]["labels"] and REPL not in one["metadata"]["labels"]]


def is_ready(cluster: ClusterApi, count: int = 1) -> bool:
    """As many are free, and each has a pod that is up."""
    up = [one for (plural, _), one in cluster.objects.items() if plural == "pods" and "podIP" in one["status"]]
    slots = {one["metadata"]["labels"][SLOT] for one in free(cluster)}
    return len(slots) == count and slots <= {one["metadata"]["labels"].get(SLOT) for one in up}


async def seen_by(backend: KubernetesBackend, count: int = 1) -> None:
    """As those that it may claim: as they are, and not as they were before they were scaled."""

    def shown() -> int:
        free = [known for known in backend._known.free if known.deployment and known.deployment["spec"]["replicas"]]
        return sum(any(map(is_up, known.pods.values())) for known in free)

    await until(lambda: shown() == count)


async def test_of_two_servers_that_claim_at_once_one_gets_it(serve: Serve, cluster: ClusterApi, nodes: Nodes) -> None:
    async with serve() as first, serve() as second:
        async with leading(first):
            await until(lambda: is_ready(cluster))
        await seen_by(first)
        await seen_by(second)
        await asyncio.gather(first.ensure(make_spec("one")), second.ensure(make_spec("two")))
        for backend in (first, second):
            await until_running(backend, "one")
            await until_running(backend, "two")
        ((_, taken, _),) = nodes.assumed
        other = "two" if taken == "one" else "one"
        names = [one["metadata"]["name"] for one in deployments(cluster)]
        assert names[0] == name_of(other, 1)
        (slot,) = (one["metadata"] for one in deployments(cluster)[1:])
        assert (slot["labels"][REPL], slot["labels"][EPOCH]) == (taken, "1")
        pod = next(one for (plural, _), one in cluster.objects.items() if plural == "pods" and SLOT in labels_of(one))
        assert slot["annotations"][CLAIMED] == pod["metadata"]["uid"]
        assert REPL not in labels_of(pod)


def labels_of(found: Object) -> dict[str, str]:
    labels: dict[str, str] = found["metadata"]["labels"]
    return labels


async def test_two_servers_that_start_one_epoch_start_it_once(serve: Serve, cluster: ClusterApi) -> None:
    two = replace(ONE, warm=replace(ONE.warm, slots={"blank": 2}))
    async with serve(two) as first, serve(two) as second:
        async with leading(first):
            await until(lambda: is_ready(cluster, 2))
        await seen_by(first, 2)
        await seen_by(second, 2)
        await asyncio.gather(first.ensure(make_spec()), second.ensure(make_spec()), return_exceptions=True)
        await until_running(first, "repl1")
        await until(lambda: sum(REPL in labels_of(one) for one in deployments(cluster)) == 1)
        await until_running(second, "repl1")


@pytest.mark.parametrize("is_told", [True, False])
async def test_a_claim_that_was_cut_off_is_gone_on_with(
    serve: Serve, cluster: ClusterApi, nodes: Nodes, monkeypatch: pytest.MonkeyPatch, is_told: bool
) -> None:
    async with serve() as first, leading(first):
        await until(lambda: is_ready(cluster))
        await seen_by(first)
        with monkeypatch.context() as patched:
            cut = "patch" if is_told else "_tell"
            whole = getattr(slots.Slots, "_tell")  # noqa: B009

            async def cut_off(*arguments: Any) -> None:
                if is_told:
                    await whole(*arguments)
                raise BackendError(f"this server dies before {cut}", retryable=True)

            patched.setattr(slots.Slots, "_tell", cut_off)
            with pytest.raises(BackendError):
                await first.ensure(make_spec())
    async with serve() as second:
        await second.ensure(make_spec())
        await until_running(second, "repl1")
        assert [told[1:] for told in nodes.assumed] == [("repl1", 1)]
        (slot,) = (one for one in deployments(cluster) if REPL in labels_of(one))
        assert ASSUMED in slot["metadata"]["annotations"]


async def test_a_pod_that_dies_between_is_no_epochs(serve: Serve, cluster: ClusterApi, nodes: Nodes) -> None:
    async with serve() as backend, leading(backend):
        await until(lambda: is_ready(cluster))
        await seen_by(backend)
        pod = next(one for (plural, _), one in cluster.objects.items() if plural == "pods")
        nodes.lose(pod["metadata"]["uid"])
        with pytest.raises(BackendError):
            await backend.ensure(make_spec())
        nodes.fail(pod["metadata"]["uid"])
        await until(lambda: shown(backend) == "failed")
        assert nodes.assumed == []
        await backend.stop("repl1", 1)
        assert not [one for one in deployments(cluster) if REPL in labels_of(one)]


def shown(backend: KubernetesBackend) -> str:
    seen = backend._shown.get("repl1")
    return str(seen.phase.value) if seen else ""


async def test_one_is_removed_whose_claim_no_view_shows_yet(serve: Serve, cluster: ClusterApi) -> None:
    async with serve() as backend, leading(backend):
        await until(lambda: is_ready(cluster))
        await seen_by(backend)
        cluster.hush()
        await backend.ensure(make_spec())
        await backend.stop("repl1", 1)
        taken = [one["metadata"] for one in deployments(cluster) if REPL in labels_of(one)]
        assert all("deletionTimestamp" in one for one in taken)


async def test_one_that_is_claimed_while_we_look_is_not_claimed_again(serve: Serve, cluster: ClusterApi) -> None:
    async with serve() as backend, leading(backend):
        await until(lambda: is_ready(cluster))
        await seen_by(backend)
        (slot,) = free(cluster)
        claimed = {**labels_of(slot), REPL: "another", EPOCH: "1"}

        def is_claimed(request: Request) -> Response | None:
            if REPL not in request.query_params.get("labelSelector", "").replace(f"!{REPL}", ""):
                return None
            found = cluster.objects["deployments", slot["metadata"]["name"]]
            if labels_of(found) != claimed:
                cluster.put("deployments", {**found, "metadata": {**found["metadata"], "labels": claimed}})
            is_shown = backend._known.get("another", 1) is not None
            return None if is_shown else refusal(503, "ServiceUnavailable", "not before the view shows it")

        cluster.faults.append(is_claimed)
        await backend.ensure(make_spec())
        assert labels_of(cluster.objects["deployments", slot["metadata"]["name"]]) == claimed


async def test_a_repl_that_is_to_reach_something_else_gets_none(serve: Serve, cluster: ClusterApi) -> None:
    async with serve() as backend, leading(backend):
        await until(lambda: is_ready(cluster))
        await seen_by(backend)
        await backend.ensure(make_spec(egress=Egress.PUBLIC))
        await until_running(backend, "repl1")
        assert ("deployments", name_of("repl1", 1)) in cluster.objects


async def test_there_are_as_many_as_are_wanted_and_as_they_are_wanted(serve: Serve, cluster: ClusterApi) -> None:
    def made() -> set[str]:
        return {one["metadata"]["name"] for one in free(cluster)}

    two = replace(ONE, warm=replace(ONE.warm, slots={"blank": 2}))
    async with serve(two) as backend:
        await seen_by(backend, 0)
        assert not made()  # by who does not lead
        async with leading(backend):
            await until(lambda: is_ready(cluster, 2))
            before = made()
            cluster.remove("deployments", min(before))
            await until(lambda: is_ready(cluster, 2))
            assert max(before) in made()
            before = made()
    async with serve() as backend, leading(backend):
        await until(lambda: is_ready(cluster))
        assert made() < before
        before = made()
    async with serve(replace(ONE, image="runner:2")) as backend, leading(backend):
        await until(lambda: is_ready(cluster) and not made() & before)
        before = made()
    async with serve(replace(ONE, image="runner:2"), b"another secret") as backend, leading(backend):
        await until(lambda: is_ready(cluster) and not made() & before)
    async with serve(CLUSTER) as backend, leading(backend):
        await until(lambda: not cluster.objects or not deployments(cluster))


async def test_one_that_is_claimed_meanwhile_is_not_removed(serve: Serve, cluster: ClusterApi) -> None:
    async with serve() as backend, leading(backend):
        await until(lambda: is_ready(cluster))
    asked = asyncio.Event()

    def claimed_meanwhile(request: Request) -> Response | None:
        if request.method == "DELETE" and not asked.is_set():
            asked.set()
            (slot,) = free(cluster)
            cluster.put("deployments", {"metadata": {**slot["metadata"], "labels": {
                **labels_of(slot), REPL: "repl1", EPOCH: "1"}}, "spec": slot["spec"]})  # fmt: skip
        return None

    cluster.faults.append(claimed_meanwhile)
    async with serve(CLUSTER) as backend, leading(backend):
        await asked.wait()
        await until(lambda: "repl1" in backend._shown)
        assert ["deletionTimestamp" in one["metadata"] for one in deployments(cluster)] == [False]


@pytest.mark.parametrize("of_pods", [True, False])
async def test_a_repl_goes_before_a_slot(serve: Serve, cluster: ClusterApi, nodes: Nodes, of_pods: bool) -> None:
    def is_used_up(request: Request) -> Response | None:
        name = request.url.path.rpartition("/")[2]
        is_one_more = request.method == "PATCH" and ("deployments", name) not in cluster.objects
        if is_one_more and name == name_of("repl1", 1) and deployments(cluster):
            return refusal(403, "Forbidden", "exceeded quota: count/deployments.apps")
        return None

    async with serve() as backend, leading(backend):
        await until(lambda: is_ready(cluster))
        await seen_by(backend)
        if of_pods:
            nodes.most = 1
        else:
            cluster.faults.append(is_used_up)
        async with asyncio.timeout(20):
            while shown(backend) != "running":  # as a reconciler does
                with suppress(BackendError):
                    await backend.ensure(make_spec(template="go"))
                await asyncio.sleep(0.01)


async def test_while_a_slot_leaves_slowly_a_repl_is_not_made_again_and_again(
    serve: Serve, cluster: ClusterApi, nodes: Nodes
) -> None:
    async with serve() as backend, leading(backend):
        await until(lambda: is_ready(cluster))
        await seen_by(backend)
        nodes.most = 1
        (uid,) = (one["metadata"]["uid"] for (plural, _), one in cluster.objects.items() if plural == "pods")
        nodes.held[uid] = asyncio.Event()
        removed = ("DELETE", f"/apis/apps/v1/namespaces/{ONE.namespace}/deployments/{name_of('repl1', 1)}")
        async with asyncio.timeout(20):
            for tried in itertools.count():
                if tried == 50:
                    assert removed not in cluster.requests
                    nodes.held[uid].set()
                if shown(backend) == "running":
                    break
                with suppress(BackendError):
                    await backend.ensure(make_spec(template="go"))
                await asyncio.sleep(0.01)


async def test_why_there_is_no_room_is_said_whatever_becomes_of_the_slots(serve: Serve, cluster: ClusterApi) -> None:
    def refused(request: Request) -> Response | None:
        if request.method == "PATCH":
            return refusal(403, "Forbidden", "exceeded quota: count/deployments.apps")
        if request.query_params.get("labelSelector") == slots.FREE:
            return refusal(403, "Forbidden", "you may not")
        return None

    cluster.faults.append(refused)
    async with serve() as backend:
        with pytest.raises(BackendError, match="used up"):
            await backend.ensure(make_spec())


async def test_why_there_are_none_is_said_once(
    serve: Serve, cluster: ClusterApi, caplog: pytest.LogCaptureFixture
) -> None:
    refused: list[str] = []

    def is_used_up(request: Request) -> Response | None:
        if request.method == "PATCH" and "/deployments/slot-" in request.url.path:
            refused.append(request.url.path)
            return refusal(403, "Forbidden", "exceeded quota: count/deployments.apps")
        return None

    cluster.faults.append(is_used_up)
    with caplog.at_level(logging.WARNING, "orchestrator.backends.kubernetes.slots"):
        async with serve() as backend, leading(backend):
            await until(lambda: len(refused) > 4)
            cluster.faults.remove(is_used_up)
            await until(lambda: is_ready(cluster))
    assert [record.getMessage() for record in caplog.records].count(
        "not all slots are there: 403 Forbidden: exceeded quota: count/deployments.apps"
    ) == 1
