"""Visits to the preview of a stopped REPL: which of them start it, and what is shown meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.accounts import SignedIn
from app.gateway.waking import WAKES_MOST
from orchestrator.backends.base import SandboxSpec
from orchestrator.domain import Goal, Phase, Repl
from tests.app.running_site import Echoing, Site, site_of
from tests.app.test_previews import entered, host_of, visit

PERSON = {"Accept": "text/html", "Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-User": "?1"}
REFRESH = 'http-equiv="refresh"'
DEADLINE_S = 30


class Slow(Echoing):
    """Starts end when `proceed` is set, `broken` ones badly."""

    def __init__(self) -> None:
        super().__init__()
        self.proceed = asyncio.Event()
        self.broken = False

    async def _start(self, spec: SandboxSpec) -> None:
        await self.proceed.wait()
        if self.broken:
            self.lose(spec.repl_id, "The interpreter crashed.")
        else:
            await super()._start(spec)


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Site]:
    async with site_of(tmp_path, Slow(), max_running=1) as running:
        yield running


async def until(site: Site, repl: Repl, phase: Phase) -> None:
    changes = site.server.orchestrator.subscribe(repl_id=repl.id)
    async with asyncio.timeout(DEADLINE_S):
        while (await site.server.orchestrator.get(repl.id)).phase is not phase:
            await anext(changes)


async def stopped(site: Site, owner: SignedIn, port: int = 5000) -> tuple[Repl, str, str]:
    """-> a REPL that is stopped, the address of its port and the cookie for it"""
    repl = await site.repl(owner, start=False)
    cookie, _ = await entered(site, owner, repl, port)
    return repl, f"http://{host_of(site, repl, port)}/page?a=1", cookie


async def goal(site: Site, repl: Repl) -> Goal:
    return (await site.server.orchestrator.get(repl.id)).goal


async def test_a_visit_starts_it_behind_a_page_that_asks_again(slow: Site) -> None:
    assert isinstance(slow.backend, Slow)
    repl, url, cookie = await stopped(slow, await slow.user())
    for _ in range(2):
        page = await visit(slow, url, cookie, **PERSON)
        assert (page.status_code, REFRESH in page.text) == (503, True)
        assert f"Starting {repl.name}" in page.text
        assert f"frame-ancestors {slow.origin}" in page.headers["content-security-policy"]
        assert "set-cookie" not in page.headers
    slow.backend.proceed.set()
    await until(slow, repl, Phase.RUNNING)
    assert (await visit(slow, url, cookie, **PERSON)).json()["path"] == "/ports/5000/page"


async def test_why_it_does_not_come_is_said_once(slow: Site) -> None:
    assert isinstance(slow.backend, Slow)
    repl, url, cookie = await stopped(slow, await slow.user())
    await visit(slow, url, cookie, **PERSON)
    slow.backend.broken = True
    slow.backend.proceed.set()
    await until(slow, repl, Phase.FAILED)
    page = await visit(slow, url, cookie, **PERSON)
    assert (page.status_code, REFRESH in page.text) == (503, False)
    assert "The interpreter crashed." in page.text
    assert f'href="{slow.origin}/repl/{repl.id}"' in page.text
    slow.backend.broken = False
    assert REFRESH in (await visit(slow, url, cookie, **PERSON)).text
    await until(slow, repl, Phase.RUNNING)


async def test_stopping_it_meanwhile_is_not_undone_by_the_page_that_waits(slow: Site) -> None:
    repl, url, cookie = await stopped(slow, await slow.user())
    await visit(slow, url, cookie, **PERSON)
    await slow.server.orchestrator.stop(repl.id)
    page = await visit(slow, url, cookie, **PERSON)
    assert "It was stopped by hand." in page.text
    assert await goal(slow, repl) is Goal.STOP


async def test_what_no_person_asked_for_starts_nothing(site: Site) -> None:
    repl, url, cookie = await stopped(site, await site.user())
    for headers in (
        {"Accept": "*/*"},
        {"Accept": "text/html", "Sec-Fetch-Mode": "cors"},
        PERSON | {"Sec-Fetch-User": ""},
        PERSON | {"Sec-Purpose": "prefetch"},
        {"Accept": "text/html", "Purpose": "prefetch"},
    ):
        answer = await visit(site, url, cookie, **headers)
        assert answer.status_code in (409, 503), headers
        assert await goal(site, repl) is Goal.STOP, headers


async def test_a_page_that_loads_itself_again_is_offered_the_start(site: Site) -> None:
    repl, url, cookie = await stopped(site, await site.user())
    page = await visit(site, url, cookie, **PERSON | {"Sec-Fetch-User": ""})
    assert f"{repl.name} is stopped" in page.text
    assert '<a href="/page?a=1" target="_self">Start it</a>' in page.text
    assert REFRESH not in page.text
    nowhere = f"http://{host_of(site, repl, 5000)}//evil.test/"
    assert '<a href="/" target="_self">' in (await visit(site, nowhere, cookie, **PERSON | {"Sec-Fetch-User": ""})).text


async def test_other_methods_and_strangers_start_nothing(site: Site) -> None:
    owner = await site.user()
    repl, url, cookie = await stopped(site, owner)
    browser = await site.browser()
    host = {"Host": host_of(site, repl, 5000), "Origin": f"http://{host_of(site, repl, 5000)}", "Cookie": cookie}
    assert (await browser.post("/", headers={**PERSON, **host})).status_code == 409
    assert (await browser.head("/", headers={**PERSON, **host})).status_code == 409
    assert (await visit(site, url, "", **PERSON)).status_code == 303  # to where one signs in
    await site.server.accounts.sessions.sign_out(owner.actor)
    assert (await visit(site, url, cookie, **PERSON)).status_code == 303
    assert await goal(site, repl) is Goal.STOP


async def test_it_counts_among_those_that_run(slow: Site) -> None:
    owner = await slow.user()
    repl, url, cookie = await stopped(slow, owner)
    await slow.server.orchestrator.create(owner.actor.user_id, "other", "python")
    page = await visit(slow, url, cookie, **PERSON)
    assert (page.status_code, "1 of your REPLs are running" in page.text) == (409, True)
    assert await goal(slow, repl) is Goal.STOP


async def test_what_is_in_the_trash_stays_there(site: Site) -> None:
    repl, url, cookie = await stopped(site, await site.user())
    await site.server.orchestrator.delete(repl.id)
    assert "It is in the trash." in (await visit(site, url, cookie, **PERSON)).text


async def test_visits_alone_start_it_so_many_times_a_day(site: Site) -> None:
    repl, url, cookie = await stopped(site, await site.user())

    async def woken() -> httpx.Response:
        answer = await visit(site, url, cookie, **PERSON)
        if answer.status_code == 503:
            await until(site, repl, Phase.RUNNING)
            assert (await visit(site, url, cookie, **PERSON)).status_code == 200
            await site.server.orchestrator.stop(repl.id)
            await until(site, repl, Phase.STOPPED)
        return answer

    for _ in range(WAKES_MOST):
        assert (await woken()).status_code == 503
    refused = await woken()
    assert (refused.status_code, "Start it in DEVEX." in refused.text) == (429, True)
    await site.server.orchestrator.open(repl.id)
    assert (await visit(site, url, cookie, **PERSON)).status_code == 200


async def test_visits_at_once_are_one_start(site: Site) -> None:
    """As when a browser opens all its tabs again."""
    repl, url, cookie = await stopped(site, await site.user())
    at_once = (visit(site, url, cookie, **PERSON) for _ in range(2 * WAKES_MOST))
    assert 429 not in {answer.status_code for answer in await asyncio.gather(*at_once)}
    await until(site, repl, Phase.RUNNING)
    assert (await visit(site, url, cookie, **PERSON)).status_code == 200
    await site.server.orchestrator.stop(repl.id)
    await until(site, repl, Phase.STOPPED)
    assert (await visit(site, url, cookie, **PERSON)).status_code == 503
    assert await goal(site, repl) is Goal.RUN
