"""Who leads, by a Lease on an API server that may be slow, wrong or lost; candidates that live and die."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from orchestrator.backends.kubernetes import election
from orchestrator.backends.kubernetes.api import Api
from orchestrator.backends.kubernetes.election import LeaseElection
from tests.orchestrator.kubernetes.cluster_api import ClusterApi, refusal
from tests.orchestrator.kubernetes.conftest import client_of
from tests.waiting import until

NAME = "devex"


PATIENT = {"LEASE_S": 1000, "RENEW_WITHIN_S": 900.0, "TRY_S": 30.0, "RETRY_S": 0.05}  # on a slow machine, too
SHORT = {"LEASE_S": 2, "RENEW_WITHIN_S": 1.0, "TRY_S": 0.5}


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in PATIENT.items():
        monkeypatch.setattr(election, name, value)


class Candidate:
    """`said` is shared: who leads and who has stopped to, in order."""

    def __init__(self, name: str, api: Api, said: list[str]) -> None:
        self.name = name
        self.leads = False
        self._said = said
        self.election = LeaseElection(api, NAME)

    async def work(self) -> None:
        self.leads = True
        self._said.append(f"{self.name} leads")
        try:
            await asyncio.Event().wait()
        finally:
            self.leads = False
            self._said.append(f"{self.name} stopped")


@asynccontextmanager
async def candidate(cluster: ClusterApi, name: str, said: list[str]) -> AsyncIterator[Candidate]:
    """A server of this name, also to the API server."""
    client = client_of(cluster)
    client.user_agent = name
    async with Api(client, "devex-repls") as api:
        one = Candidate(name, api, said)
        running = asyncio.create_task(one.election.run(one.work))
        try:
            yield one
        finally:
            running.cancel()
            await asyncio.wait([running])


def lease(cluster: ClusterApi) -> dict[str, Any]:
    found: dict[str, Any] = cluster.objects["leases", NAME]["spec"]
    return found


async def test_one_leads_and_whoever_waits_is_next_when_it_leaves(cluster: ClusterApi) -> None:
    said: list[str] = []
    async with AsyncExitStack() as stack:
        a = await stack.enter_async_context(candidate(cluster, "a", said))
        await until(lambda: a.leads)
        async with candidate(cluster, "b", said) as b:
            seen = len(cluster.requests)
            await until(lambda: len(cluster.requests) > seen + 10)
            assert said == ["a leads"]
            await stack.aclose()
            await until(lambda: b.leads)
            assert said == ["a leads", "a stopped", "b leads"]
            assert lease(cluster)["leaseTransitions"] == 1


async def test_who_cannot_renew_stops_before_another_one_leads(
    cluster: ClusterApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SHORT.items():
        monkeypatch.setattr(election, name, value)
    said: list[str] = []
    async with candidate(cluster, "a", said) as a:
        await until(lambda: a.leads)
        async with candidate(cluster, "b", said) as b:
            cluster.faults.append(lambda request: cut_off(request, "a"))
            await until(lambda: b.leads)
            cluster.faults.clear()
    for leads, stopped in zip(said[::2], said[1::2], strict=True):  # a slow machine may change its mind in between
        assert (leads, stopped) in {("a leads", "a stopped"), ("b leads", "b stopped")}


async def test_a_leader_bears_faults_that_pass_and_changes_by_others(cluster: ClusterApi) -> None:
    said: list[str] = []
    async with candidate(cluster, "a", said) as a:
        await until(lambda: a.leads)
        async with candidate(cluster, "b", said):
            for number in range(5):
                found = cluster.objects["leases", NAME]
                metadata = {**found["metadata"], "annotations": {"looked-at": str(number)}}
                cluster.change("leases", NAME, metadata=metadata)
                left = [refusal(500, "Broken", "on purpose")] * 2
                cluster.faults[:] = [lambda request: left.pop() if left and request.method == "PATCH" else None]  # noqa: B023
                before = lease(cluster)["renewTime"]
                await until(lambda: lease(cluster)["renewTime"] != before)  # noqa: B023
            assert said == ["a leads"]


async def test_who_finds_another_ones_name_stops_at_once(cluster: ClusterApi) -> None:
    said: list[str] = []
    async with candidate(cluster, "a", said) as a:
        await until(lambda: a.leads)
        cluster.change("leases", NAME, spec={**lease(cluster), "holderIdentity": "b", "leaseDurationSeconds": 1000})
        await until(lambda: not a.leads)
        assert said == ["a leads", "a stopped"]
    assert lease(cluster)["holderIdentity"] == "b"


@pytest.mark.parametrize("renewed", ["2001-01-01T00:00:00.000000Z", "2101-01-01T00:00:00.000000Z"])
async def test_clocks_of_others_mean_nothing(cluster: ClusterApi, renewed: str) -> None:
    spec = {"holderIdentity": "far", "leaseDurationSeconds": 1, "renewTime": renewed, "leaseTransitions": 7}
    cluster.put("leases", {"metadata": {"name": NAME}, "spec": spec})
    loop = asyncio.get_running_loop()
    said: list[str] = []
    async with candidate(cluster, "a", said) as a:
        renewed_until_s = loop.time() + 1.5
        while loop.time() < renewed_until_s:
            cluster.change("leases", NAME)  # renewed, by a clock that stands still
            asked = len(cluster.requests)
            await until(lambda: len(cluster.requests) > asked)  # noqa: B023
        assert said == []
        await until(lambda: a.leads)
        assert loop.time() >= renewed_until_s
    assert lease(cluster).get("holderIdentity") is None
    assert lease(cluster)["leaseTransitions"] == 8


async def test_work_that_fails_leaves_the_lead_to_another_one(cluster: ClusterApi) -> None:
    async def broken() -> None:
        raise RuntimeError("a bug")

    async with Api(client_of(cluster), "devex-repls") as api:
        with pytest.raises(RuntimeError, match="a bug"):
            await LeaseElection(api, NAME).run(broken)
    assert "holderIdentity" not in lease(cluster)


def cut_off(request: Request, name: str) -> Response | None:
    return refusal(503, "Down", "down") if request.headers["user-agent"] == name else None
