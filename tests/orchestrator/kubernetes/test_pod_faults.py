"""Whatever goes wrong between the control plane and its cluster: once it has passed, all is as it is wanted.

Nothing is made twice, nothing is lost, nothing is left behind.
"""

import asyncio
import copy
import itertools
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from orchestrator.backends.kubernetes import acts, api, backend, election, watching
from orchestrator.domain import Goal, Phase
from orchestrator.records import MemoryRecords
from orchestrator.service import Orchestrator
from runner.errors import DevexError
from runner.snapshots.stores.s3 import S3Config
from tests.contracts.records import make_repl
from tests.orchestrator.kubernetes.cluster_api import ClusterApi, refusal
from tests.orchestrator.kubernetes.kubelet import RUNNING, Nodes
from tests.orchestrator.kubernetes.planes import DEADLINE_S, LIMITS, controlled, deployments, pods, reaches
from tests.waiting import until

Plane = Callable[[], AbstractAsyncContextManager[Orchestrator]]
LEASE = {("leases", "devex-leader")}
WRITES = ("PATCH", "POST", "DELETE")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes as seconds."""
    monkeypatch.setattr(api, "REQUEST_S", 1.0)
    monkeypatch.setattr(api, "CALL_S", 2.0)
    monkeypatch.setattr(api, "RETRY_FIRST_S", 0.02)
    monkeypatch.setattr(api, "SILENCE_S", 1.0)
    monkeypatch.setattr(watching, "RETRY_MOST_S", 0.2)
    monkeypatch.setattr(election, "LEASE_S", 2)
    monkeypatch.setattr(election, "RENEW_WITHIN_S", 1.5)
    monkeypatch.setattr(election, "TRY_S", 0.5)
    monkeypatch.setattr(election, "RETRY_S", 0.1)
    monkeypatch.setattr(acts, "AGAIN_S", 0.05)
    monkeypatch.setattr(backend, "LOOK_S", 0.1)


@pytest.fixture
async def records() -> MemoryRecords:
    records = MemoryRecords()
    for number in (1, 2, 3):
        await records.insert(make_repl(number))
    return records


@pytest.fixture
def plane(cluster: ClusterApi, nodes: Nodes, records: MemoryRecords, bucket: S3Config) -> Plane:
    return lambda: controlled(cluster, nodes, records, bucket)


def is_one_of_each(cluster: ClusterApi, repl_id: str, epoch: int) -> bool:
    """And nothing else of it."""
    of = [
        name for name in cluster.objects if name[1].startswith(f"repl-{repl_id}-") and name[0] not in ("pods", "events")
    ]
    name = f"repl-{repl_id}-{epoch}"
    return len(pods(cluster, repl_id)) == 1 and sorted(of) == [
        (plural, name) for plural in ("deployments", "networkpolicies", "secrets", "services")
    ]


def uid_of(cluster: ClusterApi, repl_id: str) -> str:
    (pod,) = pods(cluster, repl_id)
    return str(pod["metadata"]["uid"])


def unreliable(code: int, chance: random.Random, **headers: str) -> Callable[[Request], Response | None]:
    return lambda request: refusal(code, "Broken", "on purpose", **headers) if chance.random() < 0.3 else None


async def _refuses(cluster: ClusterApi) -> None:
    cluster.faults += [unreliable(code, random.Random(code)) for code in (500, 503)]


async def _conflicts(cluster: ClusterApi) -> None:
    cluster.faults.append(unreliable(409, random.Random(409)))


async def _is_busy(cluster: ClusterApi) -> None:
    cluster.faults.append(unreliable(429, random.Random(429), Retry_After="1"))


async def _loses_answers(cluster: ClusterApi) -> None:
    chance = random.Random(7)
    cluster.losing.append(lambda request: request.method in WRITES and chance.random() < 0.5)


async def _forgets(cluster: ClusterApi) -> None:
    chance = random.Random(410)

    def forget(_: Request) -> None:
        if chance.random() < 0.3:
            cluster.forget()
            cluster.hang_up()

    cluster.faults.append(forget)


async def _repeats(cluster: ClusterApi) -> None:
    cluster.repeats = 3


async def _hushes(cluster: ClusterApi) -> None:
    cluster.hush()


async def _is_away(cluster: ClusterApi) -> None:
    cluster.hang_up()
    cluster.answers.clear()


FAULTS = [_refuses, _conflicts, _is_busy, _loses_answers, _forgets, _repeats, _hushes, _is_away]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__.strip("_"))
async def test_after_a_fault_all_is_as_it_is_wanted(
    cluster: ClusterApi, nodes: Nodes, plane: Plane, fault: Any
) -> None:
    async with plane() as control:
        await control.open("repl1")
        await control.open("repl2")
        await fault(cluster)
        await control.start("repl3")
        await control.stop("repl1")
        with suppress(TimeoutError):  # some faults let it come true, and some do not
            async with asyncio.timeout(1.5):
                await reaches(control, "repl3", Phase.RUNNING)
                await reaches(control, "repl1", Phase.STOPPED)
        assert control.backend.runner_app("repl2") is not None  # and is served all along
        cluster.answers.set()
        cluster.faults.clear()
        cluster.losing.clear()
        cluster.repeats = 1
        third = await reaches(control, "repl3", Phase.RUNNING)  # perhaps anew, by who leads by then
        assert (await reaches(control, "repl1", Phase.STOPPED)).saved_version == "1-1"
        assert (await control.get("repl2")).epoch == 1
        await until(lambda: is_one_of_each(cluster, "repl2", 1) and is_one_of_each(cluster, "repl3", third.epoch))
        assert not [name for _, name in cluster.objects if name.startswith("repl-repl1-")]


async def test_a_server_that_ends_in_a_start_is_gone_on_from_by_the_next(
    cluster: ClusterApi, nodes: Nodes, plane: Plane, records: MemoryRecords
) -> None:
    for step in (1, 4, 5):  # made are the Deployment, its dependents too, and all but the claim
        left = itertools.count(step, -1)
        stuck = asyncio.Event()

        def hang(request: Request, left: Any = left, stuck: asyncio.Event = stuck) -> None:
            if request.method in WRITES and next(left) <= 0:
                stuck.set()
                cluster.answers.clear()

        async with plane() as control:
            cluster.faults.append(hang)
            await control.start("repl1")
            async with asyncio.timeout(DEADLINE_S):
                await stuck.wait()
        cluster.faults.clear()
        cluster.answers.set()
        async with plane() as control:
            repl = await reaches(control, "repl1", Phase.RUNNING)
            assert is_one_of_each(cluster, "repl1", repl.epoch)
            await control.stop("repl1")
            await reaches(control, "repl1", Phase.STOPPED)
            assert cluster.objects.keys() <= LEASE


async def test_a_start_that_is_not_wanted_any_more_leaves_nothing(cluster: ClusterApi, plane: Plane) -> None:
    cluster.faults.append(lambda request: refusal(403, "Forbidden", "no") if "/secrets/" in request.url.path else None)
    async with plane() as control:
        with pytest.raises(DevexError, match="The cluster refused it: no"):
            await control.open("repl1")
        await until(lambda: cluster.objects.keys() <= LEASE)


async def test_what_is_idle_is_saved_and_gone(
    cluster: ClusterApi, nodes: Nodes, records: MemoryRecords, bucket: S3Config
) -> None:
    async with controlled(cluster, nodes, records, bucket, replace(LIMITS, idle_stop_s=0.5)) as control:
        await control.open("repl1")
        stopped = await reaches(control, "repl1", Phase.STOPPED)
        assert str(stopped.stop_reason).startswith("It was idle:")
        assert (stopped.goal, stopped.saved_version, nodes.saved) == (Goal.STOP, "1-1", [("repl1", 1)])
        await until(lambda: cluster.objects.keys() <= LEASE)


async def test_clocks_that_differ_do_not_end_what_saves(cluster: ClusterApi, nodes: Nodes, plane: Plane) -> None:
    cluster.ahead = timedelta(hours=-1)
    async with plane() as control:
        await control.open("repl1")
        first = uid_of(cluster, "repl1")
        nodes.held[first] = asyncio.Event()
        cluster.end(pods(cluster, "repl1")[0]["metadata"]["name"])
        await reaches(control, "repl1", Phase.STOPPING)
        await until(lambda: not deployments(cluster))
        assert (await control.backend.observe())["repl1"].epoch == 1  # it is waited for
        nodes.held[first].set()
        await until(lambda: is_one_of_each(cluster, "repl1", 2))
        repl = await reaches(control, "repl1", Phase.RUNNING)
        assert repl.epoch == 2
        assert uid_of(cluster, "repl1") != first


async def test_a_machine_that_is_gone_is_not_waited_for(cluster: ClusterApi, nodes: Nodes, plane: Plane) -> None:
    async with plane() as control:
        await control.open("repl1")
        lost = uid_of(cluster, "repl1")
        nodes.held[lost] = asyncio.Event()
        nodes.lose(lost)
        pod = pods(cluster, "repl1")[0]
        pod["spec"]["terminationGracePeriodSeconds"] = -60  # it is a minute later
        cluster.end(pod["metadata"]["name"])
        await until(lambda: ("deployments", "repl-repl1-2") in cluster.objects)
        assert (await reaches(control, "repl1", Phase.RUNNING)).epoch == 2
        assert lost in [pod["metadata"]["uid"] for pod in pods(cluster, "repl1")]


async def test_what_is_deleted_behind_its_back_starts_again_or_says_so(
    cluster: ClusterApi, nodes: Nodes, plane: Plane
) -> None:
    async with plane() as control:
        await control.open("repl1")
        for epoch in (1, 2):
            pod = pods(cluster, "repl1")[0]["metadata"]
            ending = nodes.held[pod["uid"]] = asyncio.Event()
            if epoch == 1:
                cluster.end(pod["name"])
            else:
                cluster.remove("deployments", "repl-repl1-2")
            await reaches(control, "repl1", Phase.STOPPING)
            ending.set()
            await until(partial(is_one_of_each, cluster, "repl1", epoch + 1))
            again = await reaches(control, "repl1", Phase.RUNNING)
            assert again.stop_reason == "The machine it ran on asked it to stop."
        cluster.remove("pods", pods(cluster, "repl1")[0]["metadata"]["name"])  # --force
        failed = await reaches(control, "repl1", Phase.FAILED)
        assert failed.failure == "The machine it ran on is gone. Start it again."
        await until(lambda: not pods(cluster))
        assert (await control.open("repl1")).epoch == 4
        await until(lambda: is_one_of_each(cluster, "repl1", 4))


def ended(name: str = "runner", **how: Any) -> dict[str, Any]:
    last = {"terminated": how}
    return {"name": name, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": last}


def waits(reason: str, message: str) -> dict[str, Any]:
    return {"name": "runner", "state": {"waiting": {"reason": reason, "message": message}}}


ENDINGS: list[tuple[dict[str, Any], str]] = [
    (
        {"containerStatuses": [ended(reason="OOMKilled", exitCode=137)]},
        "Its programs used more memory than it has, and were ended. Stop some, or ask for a larger size.",
    ),
    (
        {"containerStatuses": [ended(reason="Error", exitCode=127)]},
        "Its image ends as soon as it starts, with exit code 127. Tell the operator.",
    ),
    (
        {"containerStatuses": [waits("ErrImageNeverPull", "no such image.")]},
        "The image of its runner cannot be used: no such image. Tell the operator.",
    ),
    ({"phase": "Failed", "reason": "NodeLost"}, "The machine it ran on is gone. Start it again."),
    ({"phase": "Failed", "reason": "Evicted"}, "The machine it ran on had no room left and ended it. Start it again."),
]


async def test_what_ended_it_is_told_and_nothing_of_it_runs_on(cluster: ClusterApi, nodes: Nodes, plane: Plane) -> None:
    async with plane() as control:
        for epoch, (status, sentence) in enumerate(ENDINGS, 1):
            assert (await control.open("repl1")).epoch == epoch
            await until(partial(is_one_of_each, cluster, "repl1", epoch))
            nodes.show(uid_of(cluster, "repl1"), **status)
            assert (await reaches(control, "repl1", Phase.FAILED)).failure == sentence
            await until(lambda: all(pod["status"]["phase"] == "Failed" for pod in pods(cluster)))
    async with plane() as control:  # and by another server
        assert (await control.get("repl1")).failure == ENDINGS[-1][1]
        assert (await control.open("repl1")).epoch == len(ENDINGS) + 1
        await until(lambda: is_one_of_each(cluster, "repl1", len(ENDINGS) + 1))


async def test_who_waits_is_told_what_for(cluster: ClusterApi, nodes: Nodes, plane: Plane) -> None:
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
    nodes.status = {"phase": "Pending", "conditions": [unschedulable]}
    async with plane() as control:
        await control.start("repl1")
        async with asyncio.timeout(30):
            while not (repl := await control.get("repl1")).failure:
                await asyncio.sleep(0.01)
        assert repl.phase is Phase.STARTING
        assert repl.failure == (
            "There is no machine with room for it at the moment. It starts when there is; or stop another REPL."
        )
        nodes.show(uid_of(cluster, "repl1"), **RUNNING, conditions=[])
        assert (await reaches(control, "repl1", Phase.RUNNING)).failure is None


async def test_an_image_that_cannot_be_pulled_is_tried_until_the_start_is_late(
    cluster: ClusterApi, nodes: Nodes, records: MemoryRecords, bucket: S3Config
) -> None:
    away = {"containerStatuses": [waits("ErrImagePull", "the registry is away.")]}
    told = "The image of its runner cannot be pulled: the registry is away. It is tried again while it starts;"
    nodes.status = {"phase": "Pending", **away}
    async with controlled(cluster, nodes, records, bucket, replace(LIMITS, start_deadline_s=1.0)) as control:
        await control.start("repl1")
        failed = await reaches(control, "repl1", Phase.FAILED)
        assert failed.failure == f"It did not start within 1 seconds. {told} tell the operator."
        await until(lambda: not pods(cluster))
    async with controlled(cluster, nodes, records, bucket) as control:
        await control.start("repl1")
        async with asyncio.timeout(DEADLINE_S):
            while not str((await control.get("repl1")).failure).startswith(told):
                await asyncio.sleep(0.01)
        nodes.show(uid_of(cluster, "repl1"), **RUNNING)
        assert (await reaches(control, "repl1", Phase.RUNNING)).epoch == 2


async def test_a_quota_that_is_used_up_is_told(cluster: ClusterApi, nodes: Nodes, plane: Plane) -> None:
    nodes.paused = True
    async with plane() as control:
        await control.start("repl1")
        await until(lambda: deployments(cluster) and deployments(cluster)[0]["spec"]["replicas"])
        message = 'pods "x" is forbidden: exceeded quota: repls, requested: pods=1, used: pods=9, limited: pods=9'
        condition = {"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": message}
        cluster.change("deployments", "repl-repl1-1", status={"conditions": [condition]})
        failed = await reaches(control, "repl1", Phase.FAILED)
        assert failed.failure == "All REPLs together have used up what the operator set aside. Stop another one."
        nodes.paused = False
        assert (await control.open("repl1")).epoch == 2


async def test_an_earlier_epoch_is_removed_and_not_spoken_to(cluster: ClusterApi, nodes: Nodes, plane: Plane) -> None:
    async with plane() as control:
        await control.open("repl1")
        await control.stop("repl1")
        await reaches(control, "repl1", Phase.STOPPED)
        await control.open("repl1")
    for plural in ("secrets", "deployments"):
        left: Any = copy.deepcopy(cluster.objects[plural, "repl-repl1-2"])
        left["metadata"] |= {"name": "repl-repl1-1", "labels": {**left["metadata"]["labels"], "devex.dev/epoch": "1"}}
        left["metadata"] |= {"uid": f"left {plural}", "annotations": {}}
        if plural == "deployments":
            left["spec"]["template"]["metadata"]["labels"]["devex.dev/epoch"] = "1"
        else:
            left["metadata"]["ownerReferences"] = [{"uid": "left deployments"}]
        cluster.put(plural, left)
    assert len(pods(cluster)) == 2
    asked = len(cluster.requests)
    async with plane() as control:
        await until(lambda: is_one_of_each(cluster, "repl1", 2))
        assert (await reaches(control, "repl1", Phase.RUNNING)).epoch == 2
    assert not [path for method, path in cluster.requests[asked:] if method == "PATCH" and path.endswith("repl1-1")]


@pytest.mark.parametrize("code", [404, 503])
async def test_without_metrics_nothing_is_disturbed(cluster: ClusterApi, plane: Plane, code: int) -> None:
    cluster.faults.append(
        lambda request: refusal(code, "No", "no metrics") if "metrics.k8s.io" in request.url.path else None
    )
    async with plane() as control:
        await control.open("repl1")
        asked = len(cluster.requests)
        assert await control.backend.cpu_times() == {}
        assert len([path for _, path in cluster.requests[asked:] if "metrics" in path]) == 1
