from tests.app.running_site import Site


async def test_what_can_be_no_repl_is_not_found(site: Site) -> None:
    browser = await site.browser(await site.user())
    for repl_id in ("x" * 5000, "x%00", "%0A", "X", "%F0%9F%98%80", "x.y"):
        for place in ("/api/repls", "/repls", "/repl"):
            answer = await browser.get(f"{place}/{repl_id}" + ("/tree" if place == "/repls" else ""))
            assert answer.status_code == 404, (place, repl_id)


async def test_what_can_be_no_session_is_ended_already(site: Site) -> None:
    browser = await site.browser(await site.user())
    for strange in ("x" * 5000, "x%00"):
        assert (await browser.delete(f"/api/account/sessions/{strange}")).status_code == 204
