"""The few calls to a Kubernetes API server that DEVEX makes, on JSON objects. The one place that knows its client.

Every call has a deadline; what is refused for now (429, 5xx, a lost connection) is tried again, ever more rarely, until
it. Watching is for `watching`.
"""

import asyncio
import json
import random
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, NamedTuple, Self

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from orchestrator.backends.kubernetes.manifests import FIELD_MANAGER, Manifest
from runner.errors import DevexError

CALL_S: Final = 30.0  # with its retries
REQUEST_S: Final = 10.0  # one of them
RETRY_FIRST_S: Final = 0.2
RETRY_MOST_S: Final = 5.0
WATCH_S: Final = 60  # the server ends a watch after that; the next one goes on where it ended
SILENCE_S: Final = 75.0  # so one that says nothing for longer is dead, and nobody is blind for more than this
LINE_BYTES: Final = 4 << 20  # an object in etcd has 1.5 MiB at most
LISTED_AT_ONCE: Final = 500

Object = dict[str, Any]


class ApiError(Exception):
    """The API server refused: `status` is HTTP's, 0 for no answer at all; `reason` is Kubernetes's word for it."""

    def __init__(self, status: int, reason: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}" if status else message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after_s = retry_after_s

    @property
    def retryable(self) -> bool:
        return self.status in (0, 429) or self.status >= 500


class NoCluster(DevexError):
    """It is not known where the API server is, or with which credentials."""

    def __init__(self, kubeconfig: str, why: Exception) -> None:
        of = f"DEVEX_KUBECONFIG ({kubeconfig})" if kubeconfig else "This pod's service account"
        action = "Correct it." if kubeconfig else "Run DEVEX in the cluster, or set DEVEX_KUBECONFIG."
        reason = " ".join(str(why).split()).rstrip(".")
        super().__init__("no_cluster", f"{of} does not tell how to reach the cluster: {reason}.", action, status=500)


@dataclass(frozen=True, slots=True)
class Kind:
    """A resource of a namespace. `group` is its path on the server."""

    group: str
    plural: str


DEPLOYMENTS: Final = Kind("apis/apps/v1", "deployments")
PODS: Final = Kind("api/v1", "pods")
EVENTS: Final = Kind("api/v1", "events")
SERVICES: Final = Kind("api/v1", "services")
SECRETS: Final = Kind("api/v1", "secrets")
CLAIMS: Final = Kind("api/v1", "persistentvolumeclaims")
POLICIES: Final = Kind("apis/networking.k8s.io/v1", "networkpolicies")
INGRESSES: Final = Kind("apis/networking.k8s.io/v1", "ingresses")
LEASES: Final = Kind("apis/coordination.k8s.io/v1", "leases")
METRICS: Final = Kind("apis/metrics.k8s.io/v1beta1", "pods")

KINDS: Final[Mapping[str, Kind]] = {
    "Deployment": DEPLOYMENTS,
    "Service": SERVICES,
    "Secret": SECRETS,
    "PersistentVolumeClaim": CLAIMS,
    "NetworkPolicy": POLICIES,
    "Ingress": INGRESSES,
    "Lease": LEASES,
}


@dataclass(frozen=True, slots=True)
class Listing:
    items: list[Object]
    version: str  # of the list: where a watch goes on


class Right(NamedTuple):
    """In the namespace of the REPLs. `group` is "" for the core's; `resource` may name a part: "deployments/scale"."""

    group: str
    resource: str
    verb: str

    @property
    def named(self) -> str:
        """The resource, as kubectl names it: deployments.apps/scale."""
        resource, slash, part = self.resource.partition("/")
        return f"{resource}.{self.group}".rstrip(".") + slash + part


@dataclass(frozen=True, slots=True)
class Way:
    """Where a WebSocket is opened, with the API's credentials. `proxy` and `tls_name` are None where there is none."""

    url: str
    headers: Mapping[str, str]
    tls: ssl.SSLContext | None
    tls_name: str | None
    proxy: str | None


class _Content(NamedTuple):
    body: Manifest | None = None
    type: str = "application/json"


_NOTHING: Final = _Content()
_MERGE: Final = "application/merge-patch+json"  # RFC 7386


class Api:
    """`async with`. Of one namespace. `client` is one, or the kubeconfig file that tells of it; "": as a pod of the
    cluster. Entering it raises NoCluster."""

    def __init__(self, client: ApiClient | str, namespace: str) -> None:
        self._given = client
        self._namespace = namespace
        self._ahead = timedelta()  # of us

    async def __aenter__(self) -> Self:
        self._client = await _client(self._given) if isinstance(self._given, str) else self._given
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]

    def now(self) -> datetime:
        """By the API server's clock, whose stamps are compared with this."""
        return datetime.now(UTC) + self._ahead

    async def get(self, kind: Kind, name: str) -> Object | None:
        try:
            return await self._call("GET", self._path(kind, name))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def list(self, kind: Kind, selector: str = "", *, patient: bool = True) -> Listing:
        """In pieces, of one moment; `patient`: what is refused for now is tried again. Raises ApiError."""
        items: list[Object] = []
        more: dict[str, str] = {}
        while True:
            query = {"labelSelector": selector, "limit": str(LISTED_AT_ONCE), **more}
            ask = self._call if patient else self._call_once
            answer = await ask("GET", self._path(kind), query)
            items += answer["items"] or []  # Go's empty list may be null
            going_on = answer["metadata"].get("continue")
            if not going_on:
                return Listing(items, answer["metadata"]["resourceVersion"])
            more = {"continue": going_on}

    async def apply(self, manifest: Manifest, *, force: bool = True) -> Object:
        """Server-side: create it, or make its fields as the manifest says.

        Raises ApiError: without `force` 409 when somebody else, or `scale`, has set one of them otherwise.
        """
        path = self._path(KINDS[manifest["kind"]], manifest["metadata"]["name"])
        query = {"fieldManager": FIELD_MANAGER, "force": "true" if force else ""}
        return await self._call("PATCH", path, query, _Content(manifest, "application/apply-patch+yaml"))

    async def create(self, manifest: Manifest) -> Object:
        """Raises ApiError: 409 when it is there."""
        path = self._path(KINDS[manifest["kind"]])
        return await self._call("POST", path, {"fieldManager": FIELD_MANAGER}, _Content(manifest))

    async def patch(self, kind: Kind, name: str, change: Manifest) -> Object:
        """Merge. With `metadata.resourceVersion` in it: ApiError 409 when somebody was faster."""
        query = {"fieldManager": FIELD_MANAGER}
        return await self._call("PATCH", self._path(kind, name), query, _Content(change, _MERGE))

    async def scale(self, kind: Kind, name: str, replicas: int) -> Object:
        path = f"{self._path(kind, name)}/scale"
        change = {"spec": {"replicas": replicas}}
        return await self._call("PATCH", path, {"fieldManager": FIELD_MANAGER}, _Content(change, _MERGE))

    async def delete(self, kind: Kind, name: str, uid: str = "", *, version: str = "", is_last: bool = False) -> None:
        """With all that it owns; only the one of this `uid`, and as it is in this `version`: another one is left as
        it is. `is_last`: it is shown as leaving until its pods are gone. What is not there is deleted. Raises ApiError.
        """
        policy = "Foreground" if is_last else "Background"
        options: Manifest = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy}
        if uid:
            options["preconditions"] = {"uid": uid, **({"resourceVersion": version} if version else {})}
        try:
            await self._call("DELETE", self._path(kind, name), {}, _Content(options))
        except ApiError as error:
            if error.status != 404 and not (error.status == 409 and uid):
                raise

    async def watch(self, kind: Kind, version: str, selector: str = "") -> AsyncIterator[tuple[str, Object]]:
        """(type, object) of what changes after `version`, BOOKMARK among them, until the server ends it.

        Raises ApiError: 410 when `version` is too old, 0 when the connection is lost.
        """
        query = {
            "watch": "true",
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "labelSelector": selector,
            "timeoutSeconds": str(WATCH_S),
        }
        timeout = aiohttp.ClientTimeout(total=None, connect=REQUEST_S, sock_read=SILENCE_S)
        try:
            answer = await self._request("GET", self._path(kind), query, _NOTHING, timeout)
            async with answer:
                if answer.status >= 400:
                    raise await _refusal(answer)
                async for line in _lines(answer.content):
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        status = event["object"]
                        raise ApiError(status.get("code", 500), status.get("reason", ""), status.get("message", ""))
                    yield event["type"], event["object"]
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise ApiError(0, "", f"The watch of {kind.plural} was lost: {error}") from error

    async def may(self, right: Right) -> bool:
        """Raises ApiError."""
        resource, _, sub = right.resource.partition("/")
        asked = {"group": right.group, "resource": resource, "subresource": sub, "verb": right.verb}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {"namespace": self._namespace, **asked}},
        }
        answer = await self._call(
            "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", {}, _Content(review)
        )
        return bool(answer["status"]["allowed"])

    async def way_to_pod(self, name: str, port: int, path: str) -> Way:
        """Through the API server: its proxy sub-resource of a pod."""
        target = f"/api/v1/namespaces/{self._namespace}/pods/{name}:{port}/proxy{path}"
        _, url, headers, *_ = await self._client.param_serialize("GET", target, auth_settings=["BearerToken"])
        chosen = self._client.configuration
        return Way(
            url=f"ws{url.removeprefix('http')}",
            headers=headers,
            tls=self._client.rest_client.ssl_context if url.startswith("https:") else None,
            tls_name=chosen.tls_server_name,
            proxy=chosen.proxy,
        )

    # Parts

    def _path(self, kind: Kind, name: str = "") -> str:
        path = f"/{kind.group}/namespaces/{self._namespace}/{kind.plural}"
        return f"{path}/{name}" if name else path

    async def _call(
        self, method: str, path: str, query: Mapping[str, str] | None = None, content: _Content = _NOTHING
    ) -> Object:
        pause_s = RETRY_FIRST_S
        ends_at = asyncio.get_running_loop().time() + CALL_S
        while True:
            try:
                return await self._call_once(method, path, query or {}, content)
            except ApiError as error:
                wait_s = max(error.retry_after_s or 0.0, pause_s * random.uniform(0.5, 1.0))  # noqa: S311
                late = asyncio.get_running_loop().time() + wait_s > ends_at
                if not error.retryable or late:
                    raise
            await asyncio.sleep(wait_s)
            pause_s = min(2 * pause_s, RETRY_MOST_S)

    async def _call_once(
        self, method: str, path: str, query: Mapping[str, str], content: _Content = _NOTHING
    ) -> Object:
        timeout = aiohttp.ClientTimeout(total=REQUEST_S)
        try:
            answer = await self._request(method, path, query, content, timeout)
            async with answer:
                if answer.status >= 400:
                    raise await _refusal(answer)
                found: Object = json.loads(await answer.read())
                return found
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            why = f": {error}" if str(error) else " in time."
            raise ApiError(0, "", f"The API server does not answer{why}") from error

    async def _request(
        self, method: str, path: str, query: Mapping[str, str], content: _Content, timeout: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """The client gives connections, certificates and tokens; its models would take a millisecond an object."""
        method, url, headers, body, _ = await self._client.param_serialize(
            method,
            path,
            query_params=[(name, value) for name, value in query.items() if value],
            header_params={"Accept": "application/json", "Content-Type": content.type},
            body=content.body,
            auth_settings=["BearerToken"],
        )
        ask = self._client.rest_client.request
        answer = await ask(method, url, headers, body, _request_timeout=timeout)  # type: ignore[no-untyped-call]
        response: aiohttp.ClientResponse = answer.response
        with suppress(KeyError, ValueError):
            self._ahead = parsedate_to_datetime(response.headers["Date"]) - datetime.now(UTC)
        return response


async def _client(kubeconfig: str) -> ApiClient:
    chosen = Configuration()
    try:
        if kubeconfig:
            loader = await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=kubeconfig, client_configuration=chosen, persist_config=False
            )
            if hasattr(loader, "exec_plugin_expiry"):
                chosen.refresh_api_key_hook = _renewing(loader)  # type: ignore[assignment]  # as it may be
        else:
            config.load_incluster_config(client_configuration=chosen)  # type: ignore[no-untyped-call]
        return ApiClient(chosen)
    except Exception as error:  # whatever its parsers raise
        raise NoCluster(kubeconfig, error) from error


def _renewing(loader: Any) -> Callable[[Configuration], Coroutine[Any, Any, None]]:
    """A token that a program gives out, as clouds do, lasts some minutes: it is asked again before they end."""
    asking = asyncio.Lock()

    async def renew(chosen: Configuration) -> None:
        async with asking:
            if await loader.load_from_exec_plugin():  # says the same until then
                chosen.api_key["BearerToken"] = loader.token

    return renew


async def _refusal(answer: aiohttp.ClientResponse) -> ApiError:
    try:
        status = json.loads(await answer.read())
        reason, message = str(status.get("reason", "")), str(status.get("message", ""))
    except (ValueError, AttributeError):
        reason, message = "", answer.reason or ""
    after = answer.headers.get("Retry-After", "")
    return ApiError(answer.status, reason, message, float(after) if after.isdecimal() else None)


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Raises ValueError for one that is longer than any object."""
    held = bytearray()
    async for piece in content.iter_any():
        held += piece
        *lines, rest = held.split(b"\n")
        for line in lines:
            if line:
                yield bytes(line)
        held = bytearray(rest)
        if len(held) > LINE_BYTES:
            raise ValueError("a line is too long")
