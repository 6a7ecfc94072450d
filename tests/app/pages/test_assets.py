"""What may be kept for a year is made once; everything else is asked for each time."""

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.pages import assets
from app.pages.assets import Assets

SCRIPT = "let x = 1;\n" * 500


class Site:
    """Counts how often it is asked; `/script.js` is for ever, `/page` is not."""

    def __init__(self) -> None:
        self.asked = 0
        routes = [Route("/{path:path}", self.answer)]
        inside = Assets(GZipMiddleware(Starlette(routes=routes)))
        self.browser = httpx.AsyncClient(transport=httpx.ASGITransport(app=inside), base_url="http://pages.test")

    async def answer(self, request: Request) -> Response:
        self.asked += 1
        control = "public, immutable" if request.url.path.endswith(".js") else "no-store"
        status = 404 if "missing" in request.url.path else 200
        return Response(SCRIPT, status, {"Cache-Control": control}, media_type="text/javascript")


async def test_an_immutable_answer_is_made_once() -> None:
    site = Site()
    first = await site.browser.get("/script.js")
    second = await site.browser.get("/script.js")
    assert site.asked == 1
    assert second.text == SCRIPT
    assert second.headers == first.headers
    assert second.headers["content-encoding"] == "gzip"


async def test_who_cannot_unpack_is_not_given_what_is_packed() -> None:
    site = Site()
    await site.browser.get("/script.js")
    plain = await site.browser.get("/script.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == SCRIPT


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/page", {}),
        ("/missing.js", {}),
        ("/script.js?version=2", {}),
        ("/sub//script.js", {}),
        ("/script.js", {"Range": "bytes=0-9"}),
        ("/script.js", {"If-None-Match": '"1"'}),
    ],
)
async def test_the_rest_is_asked_for_each_time(path: str, headers: dict[str, str]) -> None:
    site = Site()
    for _ in range(2):
        await site.browser.get(path, headers=headers)
    assert site.asked == 2


async def test_it_does_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "MOST_BYTES", 100)
    site = Site()
    for number in (1, 2, 1, 2):
        assert (await site.browser.get(f"/{number}.js")).text == SCRIPT
    assert site.asked == 3
