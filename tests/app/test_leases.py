"""What the API says of what keeps a REPL awake, and how it is kept awake."""

from pathlib import Path

from tests.app.running_site import Site, site_of


async def test_the_ledger_and_what_is_left_to_keep_it_awake(tmp_path: Path) -> None:
    async with site_of(tmp_path, extend_hours_a_day=5) as site:
        owner = await site.user()
        repl = await site.repl(owner)
        browser = await site.browser(owner)
        await browser.put(f"/repls/{repl.id}/files/a", content=b"x")
        told = (await browser.get(f"/api/repls/{repl.id}/lease")).json()
        assert [span["activity"] for span in told["spans"]] == ["opened", "edit"]
        assert (told["lease"]["activity"], told["extend_hours"], told["extend_left_s"]) == (
            "edit",
            [1, 4, 12],
            5 * 3600,
        )
        before = told["lease"]["expires_at"]
        extended = await browser.post(f"/api/repls/{repl.id}/extend", json={"hours": 1})
        assert extended.json()["lease"]["expires_at"] > before
        refused = await browser.post(f"/api/repls/{repl.id}/extend", json={"hours": 12})
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "extend_budget")
        assert refused.json()["error"]["message"].endswith("of which 4 h 0 min are left today.")
        assert (await browser.post(f"/api/repls/{repl.id}/extend", json={"hours": 2})).status_code == 422
        assert (await browser.post(f"/api/repls/{repl.id}/extend")).status_code == 200
        told = (await browser.get(f"/api/repls/{repl.id}/lease")).json()
        assert told["spans"][-1]["activity"] == "extended"
        assert 3600 - 10 < told["extend_left_s"] <= 3600  # a second ago an hour was paid for, and this one is in it


async def test_a_stopped_one_still_has_its_ledger_and_is_not_kept_awake(site: Site) -> None:
    owner = await site.user()
    repl = await site.repl(owner)
    changes = site.server.orchestrator.subscribe(repl_id=repl.id)
    await site.server.orchestrator.stop(repl.id)
    while (await anext(changes)).phase != "stopped":
        pass
    browser = await site.browser(owner)
    told = (await browser.get(f"/api/repls/{repl.id}/lease")).json()
    assert (told["lease"], [span["activity"] for span in told["spans"]]) == (None, ["opened"])
    refused = await browser.post(f"/api/repls/{repl.id}/extend")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "not_running")
    other = await site.browser(await site.user("other"))
    assert (await other.get(f"/api/repls/{repl.id}/lease")).status_code == 404
