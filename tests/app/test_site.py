from tests.app.running_site import Site


async def test_it_answers(site: Site) -> None:
    browser = await site.browser()
    assert (await browser.get("/healthz")).json() == {"status": "ok"}
    page = await browser.get("/sign-in")
    assert page.status_code == 200


async def test_a_second_application_in_one_process_answers(site: Site) -> None:
    browser = await site.browser(await site.user())
    page = await browser.get("/")
    assert page.status_code == 200
