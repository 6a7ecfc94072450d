"""Texts that a database may refuse to look for, on either."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.access import Role
from tests.app.running_site import PASSWORD, Site, site_of

STRANGE = {"nul": "a\0b", "half a character": "\ud800", "long": "\U0001f600" * 60, "longer when compared": "ﷺ" * 60}


@pytest.fixture
async def site(database_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with site_of(tmp_path, database_url=database_url) as running:
        yield running


async def test_a_strange_text_is_refused_or_unknown(site: Site) -> None:
    for name in ("admin", "other"):
        await site.server.accounts.set_role((await site.user(name)).actor.user_id, Role.ADMIN)
    admin = await site.server.accounts.sign_in("admin", PASSWORD)
    browser = await site.browser(admin, **{"Content-Type": "application/json"})
    repl = await site.repl(admin, start=False)
    made = {"name": "x", "template": "python", "start": False}
    for what, strange in STRANGE.items():
        named = {"name": strange, "password": PASSWORD}
        for method, path, body in (
            ("POST", "/api/session", named),
            ("POST", "/api/users", named),
            ("POST", "/api/setup", {"name": "new", "password": PASSWORD, "token": strange}),
            ("POST", "/api/account/password", {"old": strange, "new": PASSWORD}),
            ("POST", "/api/repls", {**made, "template": strange}),
            ("POST", "/api/repls", {**made, "request_id": strange}),
            ("POST", f"/api/repls/{repl.id}/fork", {"request_id": strange}),
            ("PATCH", f"/api/repls/{repl.id}", {"name": f"{strange}\n" * 2}),
        ):
            answer = await browser.request(method, path, content=json.dumps(body))
            assert 400 <= answer.status_code < 500, (what, path, answer.text)
    for user_id in ("a%00b", "x" * 200, "%F0%9F%98%80"):
        answer = await browser.patch(f"/api/users/{user_id}", content='{"disabled": true}')
        assert answer.status_code == 404
