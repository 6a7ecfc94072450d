"""`{port}-{slug}.{preview_domain}`: the programs of a REPL, each port an origin of its own, never the application's.

Also where its sandbox opens some of these hosts itself: for the others, and while it does not run.
"""

import hashlib
from collections.abc import Iterable, Sequence

from starlette.types import Receive, Scope, Send

from app.access import Access, Action, Actor, SignInNeeded, grant
from app.addresses import Addresses
from app.errors import public_error
from app.gateway.runners import running_app, viewer_of
from app.gateway.waking import Waking
from app.services import Services
from orchestrator.domain import RESTING, Phase, Repl
from runner.answers import wants_page
from runner.errors import DevexError
from runner.previews.entrance import Entrance, NoPass, port_scope
from runner.previews.hosts import PORT_LEAST, PORT_MOST, PreviewHost, local_path
from runner.previews.tickets import Pass, Ticket, preview_key

ALSO_MOST = 8  # ports opened along: each is one more redirect


class Previews:
    """The ASGI application for every host of the preview domain; the door says which in `host`. `secret` makes keys."""

    def __init__(self, services: Services, addresses: Addresses, secret: str, waking: Waking) -> None:
        self._services = services
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
        return self._entrance.address(self._keys_of(repl)[0], ticket)

    async def may_look(self, repl_id: str, session_id: str) -> bool:
        """Whether this session is still good, and its user may see the REPL's ports."""
        try:
            await self._access(session_id, repl_id)
        except DevexError:
            return False
        return True

    async def keys(self, slug: str) -> Sequence[bytes]:
        """See `Keeper`."""
        if self._services.orchestrator.backend.preview_doors is None:
            return (preview_key(self._key, slug),)
        repl = await self._services.orchestrator.get_by_slug(slug)
        return self._keys_of(repl) if repl is not None else ()

    async def show(self, host: PreviewHost, granted: Pass, scope: Scope, receive: Receive, send: Send) -> None:
        repl = await self._services.orchestrator.get_by_slug(host.slug)
        try:
            access = await self._access(granted.session_id, repl.id if repl else "")
        except SignInNeeded:
            raise NoPass from None
        async with self._services.live.hold(access.standing):  # also while it is waited for
            if wants_page(scope) and (waiting := await self._waking.answer(scope, access)) is not None:
                if self._services.orchestrator.backend.preview_doors:  # the sandbox may be who is asked next
                    cookie = self._entrance.cookie(self._keys_of(access.the_repl)[0], granted)
                    waiting.headers.append("Set-Cookie", cookie)
                await waiting(scope, receive, send)
                return
            app = await running_app(self._services.orchestrator, access.the_repl)
            await app(port_scope(host, scope, viewer_of(access)), receive, send)

    async def _access(self, session_id: str, repl_id: str) -> Access:
        actor = await self._services.accounts.sessions.still(Actor(session_id=session_id))
        return await grant(self._services, actor, Action.PREVIEW, repl_id)

    def _keys_of(self, repl: Repl) -> list[bytes]:
        """A sandbox that opens its hosts itself knows its own epoch's key, and no other. While none runs the next one's
        seals, so that who waits for it is let in by it. One that is gone may have given its key away.
        """
        if (doors := self._services.orchestrator.backend.preview_doors) is None:
            return [preview_key(self._key, repl.slug)]
        if repl.phase in RESTING:
            epochs = [repl.epoch + 1]
        elif repl.phase is Phase.STOPPING:
            epochs = [repl.epoch + 1, repl.epoch]
        else:
            epochs = [repl.epoch, repl.epoch + 1]
        return [preview_key(doors.key_of(repl.id, epoch), repl.slug) for epoch in epochs]
