"""`{port}-{slug}.{preview_domain}`: the programs of a REPL, each port an origin of its own, never the application's.

Also where its sandbox opens some of these hosts itself: for the others, and while it does not run.
"""

import hashlib
from collections.abc import Iterable

from starlette.types import Receive, Scope, Send

from app.access import Access, Action, Actor, SignInNeeded, grant
from app.addresses import Addresses
from app.errors import public_error
from app.gateway.runners import running_app, viewer_of
from app.gateway.waking import Waking
from app.services import Services
from orchestrator.domain import Repl
from runner.answers import wants_page
from runner.errors import DevexError
from runner.live import Live
from runner.previews.entrance import Entrance, NoPass, port_scope
from runner.previews.hosts import PORT_LEAST, PORT_MOST, PreviewHost, local_path
from runner.previews.tickets import Pass, Ticket, preview_key

ALSO_MOST = 8  # ports opened along: each is one more redirect


class Previews:
    """The ASGI application for every host of the preview domain; the door says which in `host`. `secret` makes keys."""

    def __init__(self, services: Services, addresses: Addresses, secret: str, waking: Waking, live: Live) -> None:
        self._services = services
        self._live = live
        self._waking = waking
        self._key = hashlib.sha256(b"devex preview pass\0" + secret.encode()).digest()
        self._entrance = Entrance(addresses.previews, self, origin=services.settings.origin, public=public_error)
        self.serve = self._entrance.serve

    def enter_url(self, repl: Repl, actor: Actor, port: int, also: Iterable[int] = (), path: str = "/") -> str:
        """Where a browser of this session gets in, once, within a minute. `also` are ports whose hosts get their cookie
        on the way, so that the page can call them.
        """
        others = [other for other in dict.fromkeys(also) if other != port][:ALSO_MOST]
        for one in (port, *others):
            if not PORT_LEAST <= one <= PORT_MOST:
                message = f"There is no port {one} to show."
                raise DevexError("port", message, f"Use one from {PORT_LEAST} to {PORT_MOST}.", status=422)
        ticket = Ticket(repl.slug, (*others, port), actor.session_id, local_path(path))
        return self._entrance.address(self._key_of(repl), ticket)

    async def may_look(self, repl_id: str, session_id: str) -> bool:
        """Whether this session is still good, and its user may see the REPL's ports."""
        try:
            await self._access(session_id, repl_id)
        except DevexError:
            return False
        return True

    async def key(self, slug: str) -> bytes | None:
        """See `Keeper`. A sandbox that opens its hosts itself knows its own incarnation's key, and no other."""
        if self._services.orchestrator.backend.preview_doors is None:
            return preview_key(self._key, slug)
        repl = await self._services.orchestrator.get_by_slug(slug)
        return self._key_of(repl) if repl is not None else None

    async def show(self, host: PreviewHost, granted: Pass, scope: Scope, receive: Receive, send: Send) -> None:
        repl = await self._services.orchestrator.get_by_slug(host.slug)
        try:
            access = await self._access(granted.session_id, repl.id if repl else "")
        except SignInNeeded:
            raise NoPass from None
        if wants_page(scope) and (waiting := await self._waking.answer(scope, access)) is not None:
            started = await self._services.orchestrator.get(access.the_repl.id)
            if started.epoch != access.the_repl.epoch:  # whose sandbox may open this host when it is asked next
                waiting.headers.append("Set-Cookie", self._entrance.cookie(self._key_of(started), granted))
            await waiting(scope, receive, send)
            return
        app = await running_app(self._services.orchestrator, access.the_repl)
        async with self._live.hold(granted.session_id):
            await app(port_scope(host, scope, viewer_of(access)), receive, send)

    async def _access(self, session_id: str, repl_id: str) -> Access:
        actor = await self._services.accounts.sessions.still(Actor(session_id=session_id))
        return await grant(self._services, actor, Action.PREVIEW, repl_id)

    def _key_of(self, repl: Repl) -> bytes:
        doors = self._services.orchestrator.backend.preview_doors
        return preview_key(doors.key_of(repl.id, repl.epoch) if doors else self._key, repl.slug)
