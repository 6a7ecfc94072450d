"""Forks through the API."""

from orchestrator.domain import Phase
from tests.app.running_site import Site


async def test_a_version_of_a_stopped_repl_is_forked(site: Site) -> None:
    owner = await site.user()
    repl = await site.repl(owner, start=False)
    orchestrator = site.server.orchestrator
    changes = orchestrator.subscribe(repl_id=repl.id)
    while (then := (await orchestrator.get(repl.id)).saved_version) is None:
        await anext(changes)
    site.backend.machine.workspaces[repl.id]["main.py"] = b"changed"
    browser = await site.browser(owner)
    made = await browser.post(f"/api/repls/{repl.id}/fork", json={"version": then, "start": False, "name": "Then"})
    assert made.status_code == 201, made.text
    fork = await orchestrator.get(made.json()["id"])
    assert (fork.name, fork.copy_of, fork.copy_version) == ("Then", repl.id, then)
    await orchestrator.open(fork.id)
    assert (await browser.get(f"/repls/{fork.id}/files/main.py")).content != b"changed"
    assert (await orchestrator.get(repl.id)).phase is Phase.STOPPED


async def test_a_version_that_is_not_there_makes_no_repl(site: Site) -> None:
    owner = await site.user()
    repl = await site.repl(owner, start=False)
    browser = await site.browser(owner)
    gone = await browser.post(f"/api/repls/{repl.id}/fork", json={"version": "1-99"})
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "no_version")
    assert (await browser.post(f"/api/repls/{repl.id}/fork", json={"version": "../1"})).status_code == 422
    other = await site.browser(await site.user("other"))
    assert (await other.post(f"/api/repls/{repl.id}/fork", json={"version": "1-1"})).status_code == 404
    assert len((await browser.get("/api/repls")).json()) == 1
