"""Every route of the application, asked by everybody: the list comes from the application itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, assert_never

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from nicegui import app

from app.access import (
    BY_BROWSER,
    RULES,
    Access,
    Action,
    MemberRole,
    ReplRole,
    Role,
    Who,
    allowed,
    assert_routes_guarded,
    declared_action,
    every_route,
)
from app.server import NOT_GUARDED
from orchestrator.domain import Repl
from tests.app.running_site import Site

NOT_FOUND, REFUSALS = "not_found", {"sign_in", "forbidden", "read_only", "not_found"}


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    action: Action


def declared_routes(site: Site) -> Iterator[Asked]:
    for route in every_route([*site.server.api.routes, *app.routes]):
        if isinstance(route, APIRoute) and not route.path.startswith(NOT_GUARDED):
            action = declared_action(route)
            assert action is not None
            for method in (route.methods or set()) - {"HEAD"}:
                yield Asked(method, route.path, action)


SIGN_OUT = Asked("DELETE", "/api/session", Action.VISIT)
GATEWAY = [
    Asked("GET", "/repls/{repl_id}/health", Action.OPEN),
    Asked("GET", "/repls/{repl_id}/files/main.py", Action.OPEN),
    Asked("HEAD", "/repls/{repl_id}/files/main.py", Action.OPEN),
    Asked("GET", "/repls/{repl_id}/places", Action.OPEN),
    Asked("PUT", "/repls/{repl_id}/files/main.py", Action.WRITE),
    Asked("PATCH", "/repls/{repl_id}/files/main.py", Action.WRITE),
    Asked("DELETE", "/repls/{repl_id}/files/main.py", Action.WRITE),
    Asked("PATCH", "/repls/{repl_id}/terminals/sh-1-00000000", Action.WRITE),
    Asked("POST", "/repls/{repl_id}/run", Action.WRITE),
    Asked("POST", "/repls/{repl_id}/exec", Action.WRITE),
    Asked("GET", "/repls/{repl_id}/records", Action.OPEN),
    Asked("GET", "/repls/{repl_id}/records/search?q=x", Action.OPEN),
    Asked("DELETE", "/repls/{repl_id}/records", Action.WRITE),
    Asked("DELETE", "/repls/{repl_id}/records/run-1-00000000", Action.WRITE),
]
MEMBERS: dict[str, MemberRole] = {"editor": ReplRole.EDITOR, "viewer": ReplRole.VIEWER, "removed": ReplRole.EDITOR}


async def answers(browser: httpx.AsyncClient, asked: Asked, repl: Repl) -> str:
    """The code of a refusal, "" for anything else."""
    path = asked.path.replace(":int", "").format(
        repl_id=repl.id, user_id="nobody", session_id="nothing", slug=repl.slug, port=5000
    )
    response = await browser.request(asked.method, path, json={} if asked.method != "GET" else None)
    if asked.method == "HEAD":
        return {401: "sign_in", 404: NOT_FOUND}.get(response.status_code, "")
    if response.is_error and "json" in response.headers["content-type"]:
        code: str = response.json().get("error", {}).get("code", "")
        return code if code in REFUSALS else ""
    return ""


async def test_every_route_answers_each_as_the_table_says(site: Site) -> None:
    owner, other = await site.user("owner"), await site.user("other")
    admin = await site.user("admin")
    await site.server.accounts.set_up(await site.server.accounts.setup_link(), "chief", "a long password")
    await site.server.accounts.set_role(admin.actor.user_id, Role.ADMIN)
    admin = await site.server.accounts.sign_in("admin", "correct horse battery")
    revoked = await site.server.accounts.sign_in("owner", "correct horse battery")
    await site.server.accounts.sessions.sign_out(revoked.actor)
    routes = sorted([*declared_routes(site), *GATEWAY], key=lambda asked: asked == SIGN_OUT)  # that one last
    assert len(routes) > 25
    assert {asked.action for asked in routes} == set(Action)
    signed_in = {"anonymous": None, "revoked": revoked, "other": other, "admin": admin, "owner": owner}
    browsers = {name: await site.browser(who) for name, who in signed_in.items()}
    browsers |= {name: await site.script(who) for name, who in (("token", owner), ("other token", other))}
    chief = await site.server.accounts.sign_in("chief", "a long password")
    browsers["admin's token"] = await site.script(chief)
    for name in MEMBERS:
        member = await site.user(name)
        browsers[name] = await site.browser(member)
        browsers[f"{name}'s token"] = await site.script(member)
    repl = await shared_repl(site)
    for asked in routes:
        found = {}
        for name, browser in browsers.items():
            found[name] = await answers(browser, asked, repl)
            if asked.action in (Action.LEAVE, Action.DELETE) and not found[name]:
                repl = await shared_repl(site)
        assert found == expected(asked), asked
        if asked.action is Action.STOP:
            repl = await shared_repl(site)


async def shared_repl(site: Site) -> Repl:
    """The owner's, with a member of each kind."""
    repl = await site.repl(site.users["owner"])
    for name, role in MEMBERS.items():
        await site.server.members.let_in(repl, name, role)
    await site.server.members.remove(repl.id, site.users["removed"].actor.user_id)
    return repl


NOBODY_TO_IT = ("other", "admin", "removed")
TOKENS = {"owner": "token"} | {name: f"{name}'s token" for name in (*MEMBERS, "admin")} | {"other": "other token"}


def expected(asked: Asked) -> dict[str, str]:
    needed = RULES[asked.action]
    everybody = ("anonymous", "revoked", *TOKENS, *TOKENS.values())
    nobody = dict.fromkeys(("anonymous", "revoked"), "sign_in")
    match needed:
        case Who.ANYONE:
            refused = nobody if asked.path == "/api/session" and asked.method == "GET" else {}
        case Who.USER:
            refused = nobody
        case Who.ADMIN:
            refused = nobody | dict.fromkeys((name for name in TOKENS if name != "admin"), "forbidden")
        case ReplRole.VIEWER | ReplRole.EDITOR | ReplRole.OWNER:
            refused = nobody | dict.fromkeys(NOBODY_TO_IT, NOT_FOUND)
            below: dict[str, str] = {}
            if needed is ReplRole.EDITOR:
                below = {"viewer": "read_only"}
            elif needed is ReplRole.OWNER:
                below = {"viewer": "forbidden", "editor": "forbidden"}
            refused |= below
            refused |= {TOKENS[name]: refused[name] for name in TOKENS if name in refused}
        case _:
            assert_never(needed)
    if asked.action in BY_BROWSER:
        refused |= dict.fromkeys(TOKENS.values(), "forbidden")
    return {name: refused.get(name, "") for name in everybody}


async def test_unknown_and_foreign_repls_look_the_same(site: Site) -> None:
    repl = await site.repl(await site.user("owner"))
    browser = await site.browser(await site.user("other"))
    for path in ("/api/repls/{}", "/repls/{}/files/main.py", "/repls/{}/nothing", "/repls/{}"):
        foreign = await browser.get(path.format(repl.id))
        unknown = await browser.get(path.format("a" * 26))
        assert foreign.status_code == unknown.status_code == 404
        told = [{**answer.json()["error"], "id": ""} for answer in (foreign, unknown)]
        assert told[0] == told[1]


async def test_who_is_not_signed_in_is_led_to_the_sign_in_page(site: Site) -> None:
    browser = await site.browser(None, Accept="text/html")
    answer = await browser.get("/repl/abc?file=x")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sign-in?then=%2Frepl%2Fabc%3Ffile%3Dx"


def test_a_route_without_an_action_stops_the_start() -> None:
    application = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    router = APIRouter()

    @router.get("/declared")
    async def fine(access: Annotated[Access, allowed(Action.LIST)]) -> None: ...

    application.include_router(router)
    assert_routes_guarded(application.routes)

    @router.get("/forgotten")
    async def forgotten() -> None: ...

    application.include_router(router, prefix="/again")
    with pytest.raises(RuntimeError, match="/forgotten declares no Action"):
        assert_routes_guarded(application.routes)


def test_every_action_has_a_rule() -> None:
    assert set(RULES) == set(Action)
