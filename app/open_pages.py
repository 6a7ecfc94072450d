"""NiceGUI's open pages by the session they were opened with, so that they end with it."""

from collections import defaultdict
from collections.abc import Collection

from nicegui import Client, app, background_tasks, core

from app.accounts.tokens import plausible, token_id
from app.cookies import session_token

NAMESPACE = "/"


def by_session() -> dict[str, list[Client]]:
    found: defaultdict[str, list[Client]] = defaultdict(list)
    for client in list(Client.instances.values()):
        if session_id := _session_of(client):
            found[session_id].append(client)
    return found


def end(session_ids: Collection[str]) -> None:
    """Delete the pages and cut their sockets; a browser loads its page again and is asked to sign in."""
    open_now = by_session()
    for session_id in session_ids:
        for client in open_now.get(session_id, []):
            sockets = [sid for sid, _ in core.sio.manager.get_participants(NAMESPACE, client.id)]
            client.delete()
            for sid in sockets:
                background_tasks.create(_cut(sid), name=f"sign out {sid}")


async def _cut(sid: str) -> None:
    await core.sio.emit("run_javascript", {"code": "location.reload()"}, to=sid)  # as NiceGUI says it
    await core.sio.disconnect(sid)


def _session_of(client: Client) -> str | None:
    try:
        token = session_token(client.request, https=app.state.services.settings.https)
    except RuntimeError:
        return None  # a client without a request has no user either
    return token_id(str(token)) if plausible(token) else None
