"""A Kubernetes API server for tests: the parts of its behaviour that a client depends on, and faults on demand.

Written from the API's own documentation (api-concepts, server-side apply, garbage collection): resource versions,
chunked lists, watches with bookmarks and 410 Gone, optimistic locking, merge patches, server-side apply, deletion of
dependents. What controllers and kubelets do is for whoever runs it: see `on_change`.
"""

import asyncio
import copy
import itertools
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from tests.orchestrator.kubernetes.links import listening

Object = dict[str, Any]
TOKEN = "a-service-account's"
BOOKMARK_S = 0.2

Fault = Callable[[Request], Response | None]


@dataclass
class _Change:
    version: int
    what: str
    found: Object


class ClusterApi:
    """`objects` by (plural, name). `faults` are asked first, one after the other, until one answers."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], Object] = {}
        self.applied: dict[tuple[str, str], Object] = {}
        self.requests: list[tuple[str, str]] = []
        self.bookmarked: dict[str, int] = {}  # by kind, as last told
        self.faults: list[Fault] = []
        self.metrics: Callable[[], list[Object]] | None = None  # without a metrics server
        self.allows: Callable[[Object], bool] = lambda asked: True  # a SelfSubjectAccessReview's resourceAttributes
        self.port_of: Callable[[str, int], int] = lambda pod, port: port  # on loopback
        self.on_change: Callable[[str, str, Object], None] = lambda plural, what, found: None
        self.url = ""
        self.answers = asyncio.Event()  # cleared: every request hangs
        self.answers.set()
        self.losing: list[Callable[[Request], bool]] = []  # whose answers are lost after it was done
        self.repeats = 1  # how often each event is told
        self.ahead = timedelta()  # of everybody else's clock
        self._versions = itertools.count(1)
        self._version = 0
        self._history: dict[str, list[_Change]] = {}
        self._forgotten = 0  # versions up to here cannot be watched from
        self._waiting: set[asyncio.Event] = set()
        self._lists: dict[str, tuple[str, list[Object]]] = {}

    # What a test, a controller or a kubelet does

    def put(self, plural: str, found: Object) -> Object:
        """Create or replace it, as it is given but for what the server keeps."""
        key = (plural, found["metadata"]["name"])
        before = self.objects.get(key)
        kept = (
            before["metadata"]
            if before
            else {"uid": secrets.token_hex(8), "creationTimestamp": self.now().isoformat(timespec="seconds")}
        )
        version = self._next()
        meta = {**kept, **found["metadata"], "resourceVersion": str(version)}
        made = {**copy.deepcopy(found), "metadata": meta}
        self.objects[key] = made
        self._tell(plural, "MODIFIED" if before else "ADDED", made)
        return made

    def change(self, plural: str, name: str, **fields: Any) -> Object:
        return self.put(plural, {**self.objects[plural, name], **fields})

    def remove(self, plural: str, name: str) -> None:
        """And what it owns."""
        gone = self.objects.pop((plural, name), None)
        self.applied.pop((plural, name), None)
        if gone is None:
            return
        gone = {**gone, "metadata": {**gone["metadata"], "resourceVersion": str(self._next())}}
        self._tell(plural, "DELETED", gone)
        for kind, dependent in self._owned_by(gone):
            self.end(dependent) if kind == "pods" else self.remove(kind, dependent)
        for (kind, name), owner in list(self.objects.items()):
            is_owner = any(
                one["uid"] == owner["metadata"]["uid"] for one in gone["metadata"].get("ownerReferences", [])
            )
            if is_owner and "deletionTimestamp" in owner["metadata"] and not self._owned_by(owner):
                self.remove(kind, name)

    def end_in_order(self, deployment: str) -> None:
        """In the foreground: it is there until its pods are gone."""
        found = self.objects["deployments", deployment]
        if "deletionTimestamp" in found["metadata"]:
            return
        stamp = self.now().isoformat(timespec="seconds")
        self.put("deployments", {**found, "metadata": {**found["metadata"], "deletionTimestamp": stamp}})
        owned = self._owned_by(found)
        for plural, name in owned:
            self.end(name) if plural == "pods" else self.remove(plural, name)
        if not any(plural == "pods" for plural, _ in owned):
            self.remove("deployments", deployment)

    def _owned_by(self, owner: Object) -> list[tuple[str, str]]:
        uid = owner["metadata"]["uid"]
        return [
            key
            for key, found in self.objects.items()
            if any(one["uid"] == uid for one in found["metadata"].get("ownerReferences", []))
        ]

    def end(self, pod: str) -> None:
        """Ask its kubelet to; the time is that by which it has to be gone."""
        found = self.objects["pods", pod]
        by = self.now() + timedelta(seconds=found["spec"].get("terminationGracePeriodSeconds", 30))
        stamp = by.isoformat(timespec="seconds")
        self.put("pods", {**found, "metadata": {**found["metadata"], "deletionTimestamp": stamp}})

    def forget(self) -> None:
        """Compaction: no watch can go on from what is past."""
        self._forgotten = self._next()
        self._history.clear()

    def compact(self) -> None:
        """Forget what is past; a watch may go on from now."""
        self._forgotten = self._version
        self._history.clear()

    def hang_up(self) -> None:
        """End every watch."""
        for waiting in self._waiting:
            waiting.ended = True  # type: ignore[attr-defined]
            waiting.set()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def hush(self) -> None:
        """Every watch says nothing any more, and does not end."""
        for waiting in self._waiting:
            waiting.hushed = True  # type: ignore[attr-defined]
            waiting.set()

    # The server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._carry(scope, receive, send)
            return
        request = Request(scope, receive)
        self.requests.append((request.method, request.url.path))
        answer = await self._answer(request)
        if any(loses(request) for loses in self.losing):
            answer = refusal(504, "Timeout", "the answer is lost")
        answer.headers["Date"] = format_datetime(self.now(), usegmt=True)
        await answer(scope, receive, send)

    async def _carry(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The proxy sub-resource of a pod: what it answers is passed on, and what it is told, without who told it."""
        request = Request({**scope, "type": "http", "method": "GET"})
        self.requests.append(("GET", request.url.path))
        await receive()
        refused = next((broken for fault in self.faults if (broken := fault(request)) is not None), None)
        if refused is not None or request.headers.get("authorization") != f"Bearer {TOKEN}":
            await send({"type": "websocket.close"})  # 403
            return
        _, _, _, _, _, pod, _, path = request.url.path.split("/", 8)[1:]
        name, port = pod.split(":")
        try:
            url = f"ws://127.0.0.1:{self.port_of(name, int(port))}/{path}"
            async with connect(url, compression=None, max_size=None, proxy=None) as there:
                await send({"type": "websocket.accept"})
                await _pump(there, receive, send)
        except InvalidStatus as error:
            answer = error.response
            headers = [(name.encode(), value.encode()) for name, value in answer.headers.raw_items()]
            await send({"type": "websocket.http.response.start", "status": answer.status_code, "headers": headers})
            await send({"type": "websocket.http.response.body", "body": answer.body or b""})

    async def _answer(self, request: Request) -> Response:
        await self.answers.wait()
        for fault in self.faults:
            if (broken := fault(request)) is not None:
                return broken
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if (scheme.lower(), token) != ("bearer", TOKEN):
            return refusal(401, "Unauthorized", "Unauthorized")
        parts = request.url.path.strip("/").split("/")
        if parts[-1] == "selfsubjectaccessreviews":
            asked = json.loads(await request.body())["spec"]["resourceAttributes"]
            return JSONResponse({"status": {"allowed": self.allows(asked)}}, 201)
        if "namespaces" not in parts:
            return refusal(404, "NotFound", "the server could not find the requested resource")
        if "metrics.k8s.io" in parts:
            if self.metrics is None:
                return refusal(404, "NotFound", "the server could not find the requested resource")
            return JSONResponse({"metadata": {"resourceVersion": ""}, "items": self.metrics()})
        at = parts.index("namespaces")
        plural, name, sub = (*parts[at + 2 :], "", "", "")[:3]
        body: Any = json.loads(await request.body() or b"null")
        match request.method, bool(name):
            case "GET", False if request.query_params.get("watch") == "true":
                return self._watch(request, plural)
            case "GET", False:
                return self._list(request, plural)
            case "GET", True:
                found = self.objects.get((plural, name))
                return JSONResponse(found) if found else not_found(plural, name)
            case "POST", False:
                if (plural, body["metadata"]["name"]) in self.objects:
                    return refusal(409, "AlreadyExists", f'{plural} "{body["metadata"]["name"]}" already exists')
                return JSONResponse(self.put(plural, body), 201)
            case "PATCH", True:
                return self._patch(request, plural, name, sub, body)
            case "DELETE", True:
                return self._delete(plural, name, body or {})
        return refusal(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    def _list(self, request: Request, plural: str) -> Response:
        limit = int(request.query_params.get("limit", "0")) or 10_000
        if token := request.query_params.get("continue"):
            if token not in self._lists:
                return refusal(410, "Expired", "The provided continue parameter is too old")
            version, left = self._lists.pop(token)
        else:
            version = str(self._version)
            left = self._selected(request, plural)
        metadata = {"resourceVersion": version}
        if left[limit:]:
            metadata["continue"] = secrets.token_hex(4)
            self._lists[metadata["continue"]] = version, left[limit:]
        return JSONResponse({"kind": "List", "metadata": metadata, "items": left[:limit]})

    def _watch(self, request: Request, plural: str) -> Response:
        since = int(request.query_params["resourceVersion"])
        if since < self._forgotten:
            gone = {"code": 410, "reason": "Expired", "message": "too old resource version"}
            return StreamingResponse(iter([_line("ERROR", gone)]))
        return StreamingResponse(self._events(request, plural, since))

    async def _events(self, request: Request, plural: str, since: int) -> AsyncIterator[bytes]:
        woken = asyncio.Event()
        self._waiting.add(woken)
        shown = {found["metadata"]["name"] for found in self._selected(request, plural)}
        try:
            while not hasattr(woken, "ended"):
                woken.clear()
                if hasattr(woken, "hushed"):
                    await asyncio.Event().wait()
                told = self._history.get(plural, [])
                for change in [one for one in told for _ in range(self.repeats) if one.version > since]:
                    since = change.version
                    if _matches(request, change.found):
                        shown.add(change.found["metadata"]["name"])
                        yield _line(change.what, change.found)
                    elif change.found["metadata"]["name"] in shown:  # it is selected no more
                        shown.discard(change.found["metadata"]["name"])
                        yield _line("DELETED", change.found)
                try:
                    async with asyncio.timeout(BOOKMARK_S):
                        await woken.wait()
                except TimeoutError:
                    if not woken.is_set():
                        since = self._version  # whatever changed since then was of other kinds
                    yield _line("BOOKMARK", {"metadata": {"resourceVersion": str(since)}})
                    self.bookmarked[plural] = since
        finally:
            self._waiting.discard(woken)

    def _patch(self, request: Request, plural: str, name: str, sub: str, body: Object) -> Response:
        found = self.objects.get((plural, name))
        kind = request.headers["content-type"]
        if kind == "application/apply-patch+yaml":
            if not request.query_params.get("fieldManager"):
                return refusal(400, "BadRequest", "fieldManager is required for apply patch")
            base = copy.deepcopy(found) if found else {}
            replicas = body.get("spec", {}).get("replicas")
            if (
                request.query_params.get("force") != "true"
                and base.get("spec", {}).get("replicas", replicas) != replicas
            ):
                return refusal(409, "Conflict", "Apply failed with 1 conflict: .spec.replicas")
            _take_out(base, self.applied.get((plural, name), {}), body)
            self.applied[plural, name] = copy.deepcopy(body)
            return JSONResponse(self.put(plural, _merged(base, body)), 200 if found else 201)
        if found is None:
            return not_found(plural, name)
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted and wanted != found["metadata"]["resourceVersion"]:
            return refusal(
                409, "Conflict", "the object has been modified; please apply your changes to the latest version"
            )
        if sub not in ("", "scale"):
            return not_found(plural, f"{name}/{sub}")
        return JSONResponse(self.put(plural, _merged(copy.deepcopy(found), body)))

    def _delete(self, plural: str, name: str, options: Object) -> Response:
        found = self.objects.get((plural, name))
        if found is None:
            return not_found(plural, name)
        wanted = options.get("preconditions", {}).get("uid")
        if wanted and wanted != found["metadata"]["uid"]:
            return refusal(409, "Conflict", "the UID in the precondition does not match")
        version = options.get("preconditions", {}).get("resourceVersion")
        if version and version != found["metadata"]["resourceVersion"]:
            return refusal(409, "Conflict", "the ResourceVersion in the precondition does not match")
        if plural == "deployments" and options.get("propagationPolicy") == "Foreground":
            self.end_in_order(name)
        else:
            self.end(name) if plural == "pods" else self.remove(plural, name)
        return JSONResponse(found)

    def _selected(self, request: Request, plural: str) -> list[Object]:
        return [
            found for (kind, _), found in sorted(self.objects.items()) if kind == plural and _matches(request, found)
        ]

    def _next(self) -> int:
        self._version = next(self._versions)
        return self._version

    def _tell(self, plural: str, what: str, found: Object) -> None:
        self._history.setdefault(plural, []).append(_Change(self._version, what, copy.deepcopy(found)))
        for waiting in self._waiting:
            waiting.set()
        self.on_change(plural, what, found)

    def kubeconfig(self, **cluster: Any) -> str:
        """The text of a file that tells of it; `cluster` may have a `certificate-authority`."""
        entries = {
            "clusters": [{"name": "tests", "cluster": {"server": self.url, **cluster}}],
            "users": [{"name": "devex", "user": {"token": TOKEN}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "devex"}}],
        }
        return json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "tests", **entries})


async def _pump(there: ClientConnection, receive: Receive, send: Send) -> None:
    """Both ways, until either end leaves."""

    async def to_pod() -> None:
        while (message := await receive())["type"] == "websocket.receive":
            await there.send(message["bytes"])
        await there.close()

    async def from_pod() -> None:
        async for data in there:
            await send({"type": "websocket.send", "bytes": data})
        await send({"type": "websocket.close", "code": there.close_code or 1011})

    both = [asyncio.create_task(to_pod()), asyncio.create_task(from_pod())]
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in both:
            one.cancel()
        await asyncio.gather(*both, return_exceptions=True)


@asynccontextmanager
async def served(**tls: str) -> AsyncIterator[ClusterApi]:
    """`tls` as uvicorn has it: ssl_certfile, ssl_keyfile."""
    api = ClusterApi()
    async with listening(api, **tls) as port:
        api.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        yield api
        api.answers.set()
        api.hang_up()


def refusal(code: int, reason: str, message: str, **headers: str) -> Response:
    status = {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}
    return JSONResponse(status, code, headers={name.replace("_", "-"): value for name, value in headers.items()})


def not_found(plural: str, name: str) -> Response:
    return refusal(404, "NotFound", f'{plural} "{name}" not found')


def _matches(request: Request, found: Object) -> bool:
    labels = found["metadata"].get("labels", {})
    wanted = [part.partition("=") for part in request.query_params.get("labelSelector", "").split(",") if part]
    return all(
        labels.get(name) == value if equals else (name.lstrip("!") in labels) is not name.startswith("!")
        for name, equals, value in wanted
    )


def _merged(base: Object, change: Object) -> Object:
    """RFC 7386."""
    for name, value in change.items():
        if value is None:
            base.pop(name, None)
        elif isinstance(value, dict):
            inner = base.get(name)
            base[name] = _merged(inner if isinstance(inner, dict) else {}, value)
        else:
            base[name] = copy.deepcopy(value)
    return base


def _take_out(base: Object, before: Object, now: Object) -> None:
    """What its manager applied before and does not any more."""
    for name, value in before.items():
        if name not in now:
            base.pop(name, None)
        elif isinstance(value, dict) and isinstance(now[name], dict) and isinstance(base.get(name), dict):
            _take_out(base[name], value, now[name])


def _line(what: str, found: Object) -> bytes:
    return json.dumps({"type": what, "object": found}).encode() + b"\n"
