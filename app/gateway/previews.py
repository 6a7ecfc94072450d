"""`{port}-{slug}.{preview_domain}`: the programs of a REPL, each port an origin of its own, never the application's."""

from collections.abc import Iterable
from urllib.parse import parse_qs, urlencode

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import Message, Receive, Scope, Send

from app import cookies
from app.access import Access, Action, Actor, SignInNeeded, grant
from app.addresses import PORT_LEAST, PORT_MOST, Addresses, Headers, PreviewHost, header, local_path
from app.errors import Answering, json_answer, page_answer, public_error, wants_page
from app.gateway.live import Live
from app.gateway.passes import PASS_LASTS, Pass, Passes
from app.gateway.runners import runner_scope, running_app, viewer_of
from app.gateway.waking import Waking
from app.services import Services
from orchestrator.domain import Repl
from runner.errors import DevexError

ENTER = "/__devex/enter"
ALSO_MOST = 8  # ports opened along: each is one more redirect
PREFLIGHT_LASTS_S = 600
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class NoPass(DevexError):
    def __init__(self) -> None:
        action = "Open the preview again from the REPL."
        super().__init__("no_pass", "Only people who are signed in see this preview.", action, status=401)


class NotASibling(DevexError):
    """The origin is no port of the same REPL."""

    def __init__(self) -> None:
        action = "Open the preview itself and try there."
        super().__init__("origin", "Another site may not send this.", action, status=403)


class Previews:
    """The ASGI application for every host of the preview domain; the door says which in `host`."""

    def __init__(self, services: Services, addresses: Addresses, passes: Passes, waking: Waking, live: Live) -> None:
        self._services = services
        self._addresses = addresses
        self._passes = passes
        self._live = live
        self._waking = waking
        self._cookie = cookies.full_name(cookies.PREVIEW, https=addresses.scheme == "https")

    def enter_url(self, repl: Repl, actor: Actor, port: int, also: Iterable[int] = (), path: str = "/") -> str:
        """Where a browser of this session gets in, once, within a minute. `also` are ports whose hosts get their cookie
        on the way, so that the page can call them.
        """
        others = [other for other in dict.fromkeys(also) if other != port][:ALSO_MOST]
        for one in (port, *others):
            if not PORT_LEAST <= one <= PORT_MOST:
                message = f"There is no port {one} to show."
                raise DevexError("port", message, f"Use one from {PORT_LEAST} to {PORT_MOST}.", status=422)
        ports = (*others, port)
        ticket = self._passes.ticket(repl.slug, ports, actor.session_id, local_path(path))
        return self._entrance(repl.slug, ports[0], ticket)

    async def serve(self, host: PreviewHost, scope: Scope, receive: Receive, send: Send) -> None:
        """Errors are answered here: a page for who looks, JSON that the calling page can read for its scripts."""
        answering = Answering(scope, receive, self._with_cors(host, scope, send))
        try:
            if is_preflight(scope) and self._is_sibling(host, header(scope, b"origin")):
                await Response(status_code=204)(scope, receive, answering.send)
            elif scope["type"] == "http" and scope["path"] == ENTER:
                await self._enter(host, scope)(scope, receive, answering.send)
            else:
                await self._show(host, scope, receive, answering.send)
        except Exception as error:  # the outer edge of this host: a fault of ours is logged here
            told = public_error(error)
            await answering.fail(told, self._refusal(scope, told))

    async def _show(self, host: PreviewHost, scope: Scope, receive: Receive, send: Send) -> None:
        self._check_origin(host, scope)
        access = await self._access(host, scope)
        if wants_page(scope) and (waiting := await self._waking.answer(scope, access)) is not None:
            await waiting(scope, receive, send)
            return
        app = await running_app(self._services.orchestrator, access.the_repl)
        port = f"/ports/{host.port}"
        async with self._live.hold(access.actor.session_id):
            path, raw_path = port + scope["path"], port.encode() + scope["raw_path"]
            await app(runner_scope(scope, viewer_of(access), path=path, raw_path=raw_path), receive, send)

    async def _access(self, host: PreviewHost, scope: Scope) -> Access:
        """Raises NoPass when no cookie holds a pass for this host, or its session has ended."""
        passes = (self._passes.unseal(value) for value in cookies.values_of(HTTPConnection(scope), self._cookie))
        granted = next((one for one in passes if one is not None and (one.port, one.slug) == host), None)
        if granted is None:
            raise NoPass
        actor = await self._services.accounts.sessions.still(Actor(session_id=granted.session_id))
        repl = await self._services.orchestrator.get_by_slug(host.slug)
        try:
            return await grant(self._services, actor, Action.PREVIEW, repl.id if repl else "")
        except SignInNeeded:
            raise NoPass from None

    def _enter(self, host: PreviewHost, scope: Scope) -> Response:
        """Exchange the ticket for a pass in this host's cookie; then on to the next of its ports, or to the page."""
        token = parse_qs(scope["query_string"].decode("latin-1")).get("ticket", [""])[0]
        ticket = self._passes.redeem(token)
        if ticket is None or ticket.slug != host.slug or ticket.ports[0] != host.port:
            raise NoPass
        rest = ticket.ports[1:]
        target = ticket.path
        if rest:
            following = self._passes.ticket(ticket.slug, rest, ticket.session_id, ticket.path)
            target = self._entrance(ticket.slug, rest[0], following)
        sealed = self._passes.seal(Pass(host.slug, host.port, ticket.session_id))
        secure = self._addresses.preview_cookies_are_secure
        lasts_s = int(PASS_LASTS.total_seconds())
        cookie = cookies.set_cookie(self._cookie, sealed, secure=secure, max_age_s=lasts_s, partitioned=secure)
        headers = {"Set-Cookie": cookie, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
        return RedirectResponse(target, 303, headers=headers)

    def _entrance(self, slug: str, port: int, ticket: str) -> str:
        return f"{self._addresses.preview_url(port, slug)}{ENTER}?{urlencode({'ticket': ticket})}"

    def _is_sibling(self, host: PreviewHost, origin: str) -> bool:
        """Ports of one REPL are one application of one user: they may call one another."""
        named = self._addresses.preview_origin(origin)
        return named is not None and named.slug == host.slug

    def _check_origin(self, host: PreviewHost, scope: Scope) -> None:
        """A socket says where it comes from; so does whatever may change something."""
        origin = header(scope, b"origin")
        asked = scope["type"] == "websocket" or (scope["method"] in UNSAFE and origin)
        if asked and not self._is_sibling(host, origin):
            raise NotASibling

    def _with_cors(self, host: PreviewHost, scope: Scope, send: Send) -> Send:
        """Let the other ports of the REPL read the answer."""
        origin = header(scope, b"origin")
        if scope["type"] != "http" or not self._is_sibling(host, origin):
            return send
        if self._addresses.preview_origin(origin) == host:
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
        origin = self._services.settings.origin
        return page_answer(error, href=f"{origin}/", link="Open DEVEX", ancestors=origin)


def is_preflight(scope: Scope) -> bool:
    asks = any(name == b"access-control-request-method" for name, _ in scope["headers"])
    return scope["type"] == "http" and scope["method"] == "OPTIONS" and asks
