"""The hosts of a REPL's ports: getting in with a ticket, staying in with a pass, and who may call whom.

The gateway serves them, and so does the proxy in a pod to which an Ingress leads. What differs is a `Keeper`.
"""

import time
from collections.abc import Callable, Sequence
from itertools import product
from typing import Final, Protocol
from urllib.parse import parse_qs, urlencode

from starlette.responses import RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from runner.answers import Answering, json_answer, page_answer, wants_page
from runner.cookies import set_cookie, values_of
from runner.errors import DevexError
from runner.previews.hosts import Headers, PreviewDomain, PreviewHost, header, local_path
from runner.previews.tickets import (
    PASS_LASTS_S,
    Pass,
    Spent,
    Ticket,
    seal_pass,
    seal_ticket,
    unseal_pass,
    unseal_ticket,
)
from runner.viewer import Viewer, runner_scope

ENTER: Final = "/__devex/enter"
WAY_IN: Final = "/preview"  # at the application: /preview/{slug}/{port}?path=… issues a ticket to who may
PREFLIGHT_LASTS_S: Final = 600
UNSAFE: Final = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class NoPass(DevexError):
    def __init__(self) -> None:
        action = "Open the preview again from the REPL."
        super().__init__("no_pass", "Only people who are signed in see this preview.", action, status=401)


class NoCookies(DevexError):
    """The pass that was given a moment ago did not come back: to give another one would go on for ever."""

    def __init__(self) -> None:
        message = "Your browser keeps no cookies of this preview's address, so it cannot be shown."
        super().__init__("no_cookies", message, "Allow cookies for it and open the preview again.", status=401)


class NotASibling(DevexError):
    """The origin is no port of the same REPL."""

    def __init__(self) -> None:
        action = "Open the preview itself and try there."
        super().__init__("origin", "Another site may not send this.", action, status=403)


class NoPath(DevexError):
    def __init__(self) -> None:
        super().__init__("bad_request", "This is the path of nothing.", "Check the address.", status=400)


class Keeper(Protocol):
    async def keys(self, slug: str) -> Sequence[bytes]:
        """What may have sealed tickets and passes of this REPL, first of all what seals new ones; none of no REPL."""

    async def show(self, host: PreviewHost, granted: Pass, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the port to whoever has this pass, if its session is still good. Raises NoPass, DevexError."""


class Entrance:
    """`origin` is the application's. `public` says what may be told of an error, and logs what may not."""

    def __init__(
        self,
        domain: PreviewDomain,
        keeper: Keeper,
        *,
        origin: str,
        public: Callable[[Exception], DevexError],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._domain = domain
        self._keeper = keeper
        self._origin = origin
        self._public = public
        self._now = now
        self._spent = Spent()

    def address(self, key: bytes, ticket: Ticket) -> str:
        """Where a browser gets in with this ticket, once, within a minute."""
        query = urlencode({"ticket": seal_ticket(key, ticket, self._now())})
        return f"{self._domain.url(ticket.ports[0], ticket.slug)}{ENTER}?{query}"

    def cookie(self, key: bytes, granted: Pass) -> str:
        """A Set-Cookie header for the host of this pass."""
        secure = self._domain.cookies_are_secure
        sealed = seal_pass(key, granted, self._now())
        return set_cookie(self._domain.cookie, sealed, secure=secure, max_age_s=PASS_LASTS_S, partitioned=secure)

    async def serve(self, host: PreviewHost, scope: Scope, receive: Receive, send: Send) -> None:
        """Errors are answered here: a page for who looks, JSON that the calling page can read for its scripts."""
        answering = Answering(scope, receive, self._with_cors(host, scope, send))
        try:
            if not scope["path"].startswith("/"):  # a digit would make another port of it
                raise NoPath
            if _is_preflight(scope) and self._is_sibling(host, header(scope, b"origin")):
                await Response(status_code=204)(scope, receive, answering.send)
            elif scope["type"] == "http" and scope["path"] == ENTER:
                await (await self._enter(host, scope))(scope, receive, answering.send)
            else:
                await self._show(host, scope, receive, answering.send)
        except Exception as error:  # the outer edge of this host
            await answering.fail(error, self._public, self._refusal)

    async def _show(self, host: PreviewHost, scope: Scope, receive: Receive, send: Send) -> None:
        self._check_origin(host, scope)
        try:
            granted = await self._granted(host, values_of(scope["headers"], self._domain.cookie))
            await self._keeper.show(host, granted, scope, receive, send)
        except NoPass:
            if not _fills_a_window(scope):
                raise
            back = f"{ENTER}?{urlencode({'then': local_path(_target(scope))})}"
            away = f"{self._origin}{WAY_IN}/{host.slug}/{host.port}?{urlencode({'path': back})}"
            await _redirect(away)(scope, receive, send)

    async def _granted(self, host: PreviewHost, sealed: Sequence[str]) -> Pass:
        """Of the values of its cookie, one of which may have been planted."""
        keys = await self._keeper.keys(host.slug) if sealed else ()
        for value, key in product(sealed, keys):
            granted = unseal_pass(key, value, self._now())
            if granted is not None and (granted.port, granted.slug) == host:
                return granted
        raise NoPass

    async def _enter(self, host: PreviewHost, scope: Scope) -> Response:
        """Exchange the ticket for a pass in this host's cookie; then on to the next of its ports, or to the page.

        Who was sent away for a ticket comes by here once more with his pass, or without.
        """
        asked = parse_qs(scope["query_string"].decode("latin-1"))
        if "then" in asked:
            return await self._come_back(host, scope, asked["then"][0])
        token = asked.get("ticket", [""])[0]
        keys = await self._keeper.keys(host.slug) if token and scope["method"] == "GET" else ()
        tickets = (unseal_ticket(key, token, self._now()) for key in keys)
        ticket = next((one for one in tickets if one is not None), None)
        if ticket is None or (ticket.ports[0], ticket.slug) != host:
            raise NoPass
        if not self._spent.first_use(ticket, self._now()):
            raise NoPass
        rest = ticket.ports[1:]
        target = local_path(ticket.path)
        if rest:
            target = self.address(keys[0], Ticket(ticket.slug, rest, ticket.session_id, ticket.path))
        cookie = self.cookie(keys[0], Pass(host.slug, host.port, ticket.session_id))
        return _redirect(target, {"Set-Cookie": cookie})

    async def _come_back(self, host: PreviewHost, scope: Scope, path: str) -> Response:
        try:
            await self._granted(host, values_of(scope["headers"], self._domain.cookie))
        except NoPass:
            raise NoCookies from None
        return _redirect(local_path(path))

    def _is_sibling(self, host: PreviewHost, origin: str) -> bool:
        """Ports of one REPL are one application of one user: they may call one another."""
        named = self._domain.parse_origin(origin)
        return named is not None and named.slug == host.slug

    def _check_origin(self, host: PreviewHost, scope: Scope) -> None:
        """A socket says where it comes from; so does whatever may change something."""
        origin = header(scope, b"origin")
        sent = any(name == b"origin" for name, _ in scope["headers"])
        asked = scope["type"] == "websocket" or (scope["method"] in UNSAFE and sent)
        if asked and not self._is_sibling(host, origin):
            raise NotASibling

    def _with_cors(self, host: PreviewHost, scope: Scope, send: Send) -> Send:
        """Let the other ports of the REPL read the answer."""
        origin = header(scope, b"origin")
        if scope["type"] != "http" or not self._is_sibling(host, origin):
            return send
        if self._domain.parse_origin(origin) == host:
            return send
        wanted = header(scope, b"access-control-request-headers").encode("latin-1")
        allow: Headers = [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-allow-credentials", b"true"),
            (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
            (b"access-control-allow-headers", wanted or b"content-type"),
            (b"access-control-max-age", str(PREFLIGHT_LASTS_S).encode()),
            (b"vary", b"Origin"),
        ]

        async def with_cors(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                if b"access-control-allow-origin" not in names:  # a program that answers for itself is left alone
                    message = {**message, "headers": [*message["headers"], *allow]}
            await send(message)

        return with_cors

    def _refusal(self, scope: Scope, error: DevexError) -> Response:
        if not wants_page(scope):
            return json_answer(error)
        return page_answer(error, href=f"{self._origin}/", link="Open DEVEX", ancestors=self._origin)


def port_scope(host: PreviewHost, scope: Scope, viewer: Viewer) -> Scope:
    """As the runner's routes expect it."""
    port = f"/ports/{host.port}"
    return runner_scope(scope, viewer, path=port + scope["path"], raw_path=port.encode() + scope["raw_path"])


def _is_preflight(scope: Scope) -> bool:
    asks = any(name == b"access-control-request-method" for name, _ in scope["headers"])
    return scope["type"] == "http" and scope["method"] == "OPTIONS" and asks


def _fills_a_window(scope: Scope) -> bool:
    """A frame is no place to sign in; who shows it asks for a ticket."""
    return wants_page(scope) and header(scope, b"sec-fetch-dest") in ("", "document")


def _target(scope: Scope) -> str:
    path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    return f"{path}?{query}" if query else path


def _redirect(target: str, headers: dict[str, str] | None = None) -> Response:
    """Whatever the address before it held goes no further."""
    fixed = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return RedirectResponse(target, 303, headers={**fixed, **(headers or {})})
