"""The gateway beside sandboxes that open hosts of previews themselves: what it gives them, what it serves for them."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from app.accounts import SignedIn
from orchestrator.backends.base import PreviewDoors
from orchestrator.domain import Phase, Repl
from runner.previews.tickets import Pass, preview_key, unseal_pass, unseal_ticket
from tests.app.running_site import Echoing, Site, site_of
from tests.app.test_previews import entered, host_of, visit
from tests.app.test_waking import PERSON, until

NOW_S = 0.0  # of what is sealed only who sealed it is looked at here


def key_of(repl_id: str, epoch: int) -> bytes:
    return hashlib.sha256(f"{repl_id} {epoch}".encode()).digest()


async def _nobody(repl_id: str, session_id: str) -> bool:
    return False


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    backend = Echoing()
    backend.preview_doors = PreviewDoors(key_of=key_of, may_look=_nobody)
    async with site_of(tmp_path, backend) as running:
        yield running


def key(repl: Repl, epoch: int | None = None) -> bytes:
    return preview_key(key_of(repl.id, repl.epoch if epoch is None else epoch), repl.slug)


async def asked(site: Site, owner: SignedIn, repl: Repl) -> str:
    answer = await (await site.browser(owner)).post(f"/api/repls/{repl.id}/preview", json={"port": 5000})
    address: str = answer.json()["url"]
    return address


async def test_a_ticket_is_for_the_incarnation_that_runs(site: Site) -> None:
    owner = await site.user()
    repl = await site.repl(owner)
    (token,) = parse_qs(urlsplit(await asked(site, owner, repl)).query)["ticket"]
    assert unseal_ticket(key(repl), token, NOW_S)
    assert unseal_ticket(key(repl, repl.epoch + 1), token, NOW_S) is None
    cookie, _ = await entered(site, owner, repl)
    assert unseal_pass(key(repl), cookie.partition("=")[2], NOW_S) == Pass(repl.slug, 5000, owner.actor.session_id)
    url = f"http://{host_of(site, repl, 5000)}/"
    assert (await visit(site, url, cookie)).status_code == 200, "the gateway serves what no Ingress leads elsewhere"
    await site.server.orchestrator.stop(repl.id)
    await until(site, repl, Phase.STOPPED)
    assert (await visit(site, url, cookie)).status_code == 401, "who has its key may have sealed it"
    await site.server.orchestrator.open(repl.id)
    await until(site, repl, Phase.RUNNING)
    assert (await visit(site, url, cookie)).status_code == 401
    assert (await visit(site, f"http://5000-nothing-here.localhost:{site.port}/", cookie)).status_code == 401


async def test_who_waits_for_a_start_has_a_pass_when_the_sandbox_answers(site: Site) -> None:
    owner = await site.user()
    repl = await site.repl(owner, start=False)
    cookie, _ = await entered(site, owner, repl)
    waiting = await visit(site, f"http://{host_of(site, repl, 5000)}/", cookie, **PERSON)
    assert waiting.status_code == 503
    given = waiting.headers["set-cookie"].partition(";")[0]
    await until(site, repl, Phase.RUNNING)
    started = await site.server.orchestrator.get(repl.id)
    assert started.epoch > repl.epoch
    assert (await visit(site, f"http://{host_of(site, repl, 5000)}/", given)).status_code == 200
    assert unseal_pass(key(started), given.partition("=")[2], NOW_S) == Pass(repl.slug, 5000, owner.actor.session_id)


async def test_a_sandbox_is_told_whose_sessions_may_look(site: Site) -> None:
    owner, other = await site.user("owner"), await site.user("other")
    repl = await site.repl(owner)
    doors = site.backend.preview_doors
    assert doors is not None
    assert await doors.may_look(repl.id, owner.actor.session_id)
    assert not await doors.may_look(repl.id, other.actor.session_id)
    assert not await doors.may_look("nothing", owner.actor.session_id)
    assert not await doors.may_look(repl.id, "")
    await site.server.accounts.sessions.sign_out(owner.actor)
    assert not await doors.may_look(repl.id, owner.actor.session_id)
