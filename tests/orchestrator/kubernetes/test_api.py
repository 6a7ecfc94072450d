"""How DEVEX speaks to an API server that answers well, late, wrongly, or not at all."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from orchestrator.backends.kubernetes import api as ours
from orchestrator.backends.kubernetes.api import DEPLOYMENTS, PODS, Api, ApiError
from orchestrator.backends.kubernetes.watching import View
from tests.orchestrator.kubernetes.cluster_api import ClusterApi, refusal
from tests.orchestrator.kubernetes.conftest import client_of
from tests.waiting import until

DEADLINE_S = 30.0
SELECTOR = "app=devex"


def thing(name: str, kind: str = "Deployment", labels: dict[str, str] | None = None, **fields: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": name, "labels": labels or {"app": "devex"}},
        **fields,
    }


@pytest.fixture
async def api(cluster: ClusterApi, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    monkeypatch.setattr(ours, "CALL_S", 3.0)
    async with Api(client_of(cluster), "devex-repls") as api:
        yield api


def failing(times: int, code: int, **headers: str) -> Any:
    left = itertools.count(times, -1)

    def fault(_: Request) -> Response | None:
        return refusal(code, "Broken", "on purpose", **headers) if next(left) > 0 else None

    return fault


async def test_what_is_applied_is_there_and_is_changed_by_the_next(api: Api, cluster: ClusterApi) -> None:
    made = await api.apply(thing("a", spec={"replicas": 0, "paused": True}))
    assert made["metadata"]["uid"]
    again = await api.apply(thing("a", spec={"replicas": 1}))
    assert again["spec"] == {"replicas": 1}
    assert again["metadata"]["uid"] == made["metadata"]["uid"]
    assert (await api.get(DEPLOYMENTS, "a") or {})["spec"] == {"replicas": 1}
    assert await api.get(DEPLOYMENTS, "b") is None


async def test_lists_come_in_pieces(api: Api, cluster: ClusterApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "LISTED_AT_ONCE", 3)
    for number in range(8):
        cluster.put("pods", thing(f"p{number}", "Pod"))
    cluster.put("pods", thing("other", "Pod", {"app": "other"}))
    listing = await api.list(PODS, SELECTOR)
    assert [one["metadata"]["name"] for one in listing.items] == [f"p{number}" for number in range(8)]


async def test_whoever_is_slower_is_refused(api: Api) -> None:
    made = await api.create(thing("a"))
    with pytest.raises(ApiError) as there:
        await api.create(thing("a"))
    assert there.value.status == 409
    version = made["metadata"]["resourceVersion"]
    await api.patch(DEPLOYMENTS, "a", {"metadata": {"resourceVersion": version, "annotations": {"by": "me"}}})
    with pytest.raises(ApiError) as late:
        await api.patch(DEPLOYMENTS, "a", {"metadata": {"resourceVersion": version, "annotations": {"by": "you"}}})
    assert late.value.status == 409
    assert not late.value.retryable


async def test_scaling_and_deleting(api: Api, cluster: ClusterApi) -> None:
    made = await api.create(thing("a", spec={"replicas": 0}))
    assert (await api.scale(DEPLOYMENTS, "a", 1))["spec"]["replicas"] == 1
    await api.delete(DEPLOYMENTS, "a", "another uid")
    assert ("deployments", "a") in cluster.objects
    await api.delete(DEPLOYMENTS, "a", made["metadata"]["uid"])
    assert ("deployments", "a") not in cluster.objects
    await api.delete(DEPLOYMENTS, "not there")


@pytest.mark.parametrize("code", [429, 500, 503, 504])
async def test_what_is_refused_for_now_is_tried_again(api: Api, cluster: ClusterApi, code: int) -> None:
    cluster.faults.append(failing(2, code))
    await api.apply(thing("a"))
    assert len(cluster.requests) == 3


async def test_it_waits_as_long_as_it_is_told(api: Api, cluster: ClusterApi) -> None:
    cluster.faults.append(failing(1, 429, Retry_After="1"))
    begun = asyncio.get_running_loop().time()
    await api.apply(thing("a"))
    assert asyncio.get_running_loop().time() - begun >= 1


@pytest.mark.parametrize("code", [400, 403, 404, 409, 422])
async def test_what_is_refused_for_good_is_not_tried_again(api: Api, cluster: ClusterApi, code: int) -> None:
    cluster.faults.append(failing(9, code))
    with pytest.raises(ApiError) as refused:
        await api.apply(thing("a"))
    assert (refused.value.status, refused.value.message) == (code, "on purpose")
    assert len(cluster.requests) == 1


async def test_it_gives_up_in_time(api: Api, cluster: ClusterApi) -> None:
    cluster.faults.append(failing(10_000, 503))
    with pytest.raises(ApiError):
        await api.apply(thing("a"))


async def test_answers_that_are_no_json(api: Api, cluster: ClusterApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "CALL_S", 0.1)
    cluster.faults.append(lambda _: Response(b"<html>", 200))
    with pytest.raises(ApiError):
        await api.get(PODS, "a")
    cluster.faults[:] = [lambda _: Response(b"<html>", 403)]
    with pytest.raises(ApiError) as refused:
        await api.get(PODS, "a")
    assert refused.value.status == 403


async def test_a_server_that_hangs(api: Api, cluster: ClusterApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "REQUEST_S", 0.2)
    monkeypatch.setattr(ours, "CALL_S", 0.3)
    cluster.answers.clear()
    with pytest.raises(ApiError) as lost:
        await api.get(PODS, "a")
    assert (lost.value.status, lost.value.message) == (0, "The API server does not answer in time.")


class Watching:
    def __init__(self, api: Api) -> None:
        self.told: list[str] = []
        self.view = View(api, PODS, SELECTOR, lambda found: self.told.append(found["metadata"]["name"]))
        self._task = asyncio.create_task(self.view.run())

    async def __aenter__(self) -> "Watching":
        async with asyncio.timeout(DEADLINE_S):
            await self.view.listed.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    def names(self) -> list[str]:
        return sorted(self.view.objects)

    async def until_named(self, name: str) -> None:
        await until(lambda: name in self.view.objects)


async def test_a_view_follows(api: Api, cluster: ClusterApi) -> None:
    cluster.put("pods", thing("a", "Pod"))
    async with Watching(api) as watching:
        assert watching.names() == ["a"]
        cluster.put("pods", thing("b", "Pod"))
        cluster.put("pods", thing("not ours", "Pod", {"app": "other"}))
        cluster.put("pods", thing("a", "Pod", status={"phase": "Running"}))
        await until(lambda: watching.view.objects["a"].get("status") and "b" in watching.view.objects)
        cluster.remove("pods", "a")
        await until(lambda: watching.names() == ["b"])
        assert watching.told == ["a", "b", "a", "a"]
    assert sum(path.endswith("/pods") for _, path in cluster.requests) == 2  # one list, one watch


async def test_a_watch_that_ends_goes_on_where_it_was(api: Api, cluster: ClusterApi) -> None:
    cluster.put("pods", thing("a", "Pod"))
    async with Watching(api) as watching:
        for number in range(5):
            cluster.hang_up()
            cluster.put("pods", thing(f"b{number}", "Pod"))
            await watching.until_named(f"b{number}")
        lists = [path for _, path in cluster.requests if path.endswith("/pods")]
        assert watching.told == ["a", "b0", "b1", "b2", "b3", "b4"]
        assert len(lists) <= 12


async def test_a_watch_that_is_too_far_behind_lists_anew(api: Api, cluster: ClusterApi) -> None:
    for name in "abc":
        cluster.put("pods", thing(name, "Pod"))
    async with Watching(api) as watching:
        cluster.faults.append(lambda request: refusal(503, "Down", "down"))
        cluster.hang_up()
        await until(lambda: len(cluster.requests) > 2)
        cluster.remove("pods", "a")
        cluster.put("pods", thing("b", "Pod", status={"phase": "Failed"}))
        cluster.put("pods", thing("d", "Pod"))
        cluster.forget()
        cluster.faults.clear()
        await until(lambda: watching.names() == ["b", "c", "d"])
        assert watching.view.objects["b"]["status"] == {"phase": "Failed"}
        assert sorted(watching.told[3:]) == ["a", "b", "d"]  # c is as it was


async def test_a_watch_that_was_told_nothing_but_how_far_it_is_goes_on_from_there(
    api: Api, cluster: ClusterApi
) -> None:
    lists: list[str] = []
    cluster.faults.append(lambda request: lists.append(request.query_params.get("watch", "list")))
    async with Watching(api) as watching:
        other = int(cluster.put("deployments", thing("other"))["metadata"]["resourceVersion"])
        await until(lambda: cluster.bookmarked.get("pods", 0) >= other)
        cluster.compact()
        cluster.hang_up()
        await until(lambda: lists.count("true") == 2)
        cluster.put("pods", thing("b", "Pod"))
        await until(lambda: watching.names() == ["b"])
    assert lists.count("list") == 1


async def test_half_a_line_is_no_object(api: Api, cluster: ClusterApi) -> None:
    cluster.put("pods", thing("a", "Pod"))
    spoiled = itertools.count()

    def cut(request: Request) -> Response | None:
        watched = request.query_params.get("watch") == "true"
        return Response(b'{"type": "ADDED", "obj') if watched and next(spoiled) < 2 else None

    cluster.faults.append(cut)
    async with Watching(api) as watching:
        cluster.put("pods", thing("b", "Pod"))
        await until(lambda: watching.names() == ["a", "b"])


async def test_who_may_not_list_is_told_and_asks_again(api: Api, cluster: ClusterApi) -> None:
    cluster.faults.append(failing(2, 403))
    async with Watching(api) as watching:
        assert watching.names() == []
