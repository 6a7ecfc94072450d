from collections.abc import MutableMapping
from dataclasses import replace
from typing import cast

from orchestrator.templates import Template
from tests.app.running_site import Site


async def test_it_is_refused_with_the_sentence_that_the_list_shows(site: Site) -> None:
    templates = cast(MutableMapping[str, Template], site.server.orchestrator.templates)
    templates["cobol"] = replace(templates["python"], name="cobol", needs=("cobc",), install_hint="Install gnucobol.")
    site.backend.machine.lacks.add("cobc")
    browser = await site.browser(await site.user())
    listed = {one["name"]: one["missing"] for one in (await browser.get("/api/templates")).json()}
    assert listed["cobol"] == "cobc is not installed on this server. Install gnucobol."
    for start in (True, False):
        refused = await browser.post("/api/repls", json={"name": "x", "template": "cobol", "start": start})
        error = refused.json()["error"]
        assert (refused.status_code, error["code"]) == (422, "template_unavailable")
        assert error["message"] == listed["cobol"]
    assert (await browser.get("/api/repls")).json() == []
