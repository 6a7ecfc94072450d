"""The outermost ASGI application: which host is asked, from where, and who answers."""

import time

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.addresses import Addresses, behind_proxies
from app.bearer import bearer_token
from app.errors import answer, public_error
from app.gateway.diagnosis import PATH as DIAGNOSE
from app.gateway.diagnosis import SIGNED_IN
from app.gateway.previews import Previews
from app.gateway.runners import PREFIX, Runners
from runner.answers import Answering, json_answer, refuse
from runner.errors import DevexError
from runner.previews.hosts import header

log = structlog.get_logger("devex.access")

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
API, HEALTH = "/api", "/healthz"
HSTS_S = 31_536_000

# For what says nothing itself; pages say more (app/pages/policy.py).
POLICY = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'"


class UnknownHost(DevexError):
    """DNS rebinding: another name that leads here is not ours."""

    def __init__(self) -> None:
        action = "Use the address in DEVEX_PUBLIC_URL, or add this one to DEVEX_ALLOWED_HOSTS."
        super().__init__("host", "DEVEX is not served under this name.", action, status=421)


class ForeignOrigin(DevexError):
    """The origin is not the application's."""

    def __init__(self) -> None:
        action = "Use the pages of DEVEX; scripts send a token or the header Origin."
        super().__init__("origin", "This request does not come from a page of DEVEX.", action, status=403)


class Door:
    """Everything comes in here. `pages` also gets the lifespan."""

    def __init__(
        self,
        *,
        addresses: Addresses,
        pages: ASGIApp,
        api: ASGIApp,
        runners: Runners,
        previews: Previews,
        diagnosis: ASGIApp,
        access_log: bool = False,
    ) -> None:
        self._addresses = addresses
        self._pages = pages
        self._api = api
        self._runners = runners
        self._previews = previews
        self._diagnosis = diagnosis
        self._access_log = access_log
        fixed = [
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"content-security-policy", POLICY),
        ]
        if addresses.scheme == "https":
            fixed.append((b"strict-transport-security", f"max-age={HSTS_S}".encode()))
        self._fixed = fixed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._pages(scope, receive, send)
            return
        scope = behind_proxies(scope, self._addresses.trusted_proxies)
        started_s, path = time.monotonic(), scope["path"]  # mounts below change it in place
        host = header(scope, b"host").lower()
        preview = self._addresses.previews.parse(host)
        answering = Answering(scope, receive, send if preview else self._with_fixed_headers(send))
        try:
            if preview is not None:
                await self._previews.serve(preview, scope, receive, answering.send)
            elif host not in self._addresses.hosts:
                await refuse(scope, receive, answering.send, json_answer(UnknownHost()))
            else:
                self._check_origin(scope)
                await self._application_for(path)(scope, receive, answering.send)
        except Exception as error:  # the outer edge: a fault of ours is logged as it is answered
            await answering.fail(error, public_error, answer)
        finally:
            if self._access_log:
                self._log(scope, path, answering.status, started_s)

    def _check_origin(self, scope: Scope) -> None:
        """Exact, on every socket and whatever changes something; wherever it is sent it must be ours. Scripts that bear
        a token need send none: no page can have a browser do that.
        """
        origin = header(scope, b"origin").lower()
        sent = any(name == b"origin" for name, _ in scope["headers"])
        by_token = (
            self._application_for(scope["path"]) is not self._pages and bearer_token(scope["headers"]) is not None
        )
        needed = (scope["type"] == "websocket" or scope["method"] not in SAFE) and not by_token
        if (needed or sent) and origin not in self._addresses.origins:
            raise ForeignOrigin

    def _application_for(self, path: str) -> ASGIApp:
        if path.startswith(PREFIX):
            return self._runners
        if path.startswith(f"{API}/") or path in (API, HEALTH):
            return self._api
        if path in (DIAGNOSE, SIGNED_IN) or path.startswith(f"{DIAGNOSE}/"):
            return self._diagnosis
        return self._pages

    def _with_fixed_headers(self, send: Send) -> Send:
        async def with_fixed_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                given = message.get("headers", [])
                names = {name.lower() for name, _ in given}
                missing = [(name, value) for name, value in self._fixed if name not in names]
                message = {**message, "headers": [*given, *missing]}
            await send(message)

        return with_fixed_headers

    def _log(self, scope: Scope, path: str, status: int, started_s: float) -> None:
        """Never the query: it may hold a token or NiceGUI's client id."""
        duration_ms = round((time.monotonic() - started_s) * 1000, 1)
        method = scope.get("method", "WS")
        log.info("request", method=method, path=path, status=status, duration_ms=duration_ms)
