"""What /diagnose tries, as asked by somebody who is nobody here."""

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import CloseCode

from app.gateway import diagnosis
from app.gateway.websockets import ANYBODYS_MOST_BYTES
from tests.app.running_site import Site


async def test_it_needs_no_session_and_tells_nothing_of_anybody(site: Site) -> None:
    owner = await site.user()
    browser = await site.browser()
    page = await browser.get("/diagnose")
    assert page.status_code == 200
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert (await browser.get("/diagnose/there")).status_code == 204
    about = (await browser.get("/diagnose/about")).json()
    assert about.keys() == {"time_ms", "https", "cookie"}
    assert about["cookie"]  # what came with the page has come back
    assert not (await (await site.browser(owner)).get("/diagnose/about")).json()["cookie"]
    async with browser.stream("GET", "/diagnose/stream") as stream:
        assert await anext(stream.aiter_bytes()) == b"at once\n"
    assert (await browser.get("/diagnose/passwords.js")).status_code == 404
    assert (await browser.post("/diagnose")).status_code == 405


async def test_its_socket_says_little_and_not_for_long(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidStatus):
        await site.socket("/diagnose/echo", origin="http://elsewhere.example")
    talkative = await site.socket("/diagnose/echo")
    assert await talkative.recv() == "hello"
    for number in range(diagnosis.MESSAGES_MOST):
        await talkative.send(str(number))
        assert await talkative.recv() == str(number)
    with pytest.raises(ConnectionClosed):
        await talkative.recv()
    for said in ("x" * (diagnosis.MESSAGE_MOST_CHARACTERS + 1), b"bytes"):
        socket = await site.socket("/diagnose/echo")
        await socket.send(said)
        assert await socket.recv() == "hello"
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    greedy = await site.socket("/%64iagnose/echo")  # which is the same
    assert await greedy.recv() == "hello"
    await greedy.send("x" * (ANYBODYS_MOST_BYTES + 1))
    with pytest.raises(ConnectionClosed) as too_big:
        await greedy.recv()
    assert too_big.value.rcvd is not None
    assert too_big.value.rcvd.code == CloseCode.MESSAGE_TOO_BIG, "it is not held whole before it is refused"
    monkeypatch.setattr(diagnosis, "AT_ONCE_MOST", 1)
    await (await site.socket("/diagnose/echo")).recv()
    with pytest.raises(ConnectionClosed) as refused:
        await (await site.socket("/diagnose/echo")).recv()
    assert refused.value.rcvd is not None
    assert refused.value.rcvd.code == 1013
