"""What a runner may say under the application's name, and how long it may be silent."""

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from app.gateway import runner_client
from app.gateway.runner_client import RunnerClient, Silent
from app.gateway.runners import as_content
from runner.proxy.files.transfer import SAFE_HEADERS
from runner.viewer import NOBODY

POLICY = (b"content-security-policy", SAFE_HEADERS["Content-Security-Policy"].encode())


@pytest.mark.parametrize("kind", ["http.response.start", "websocket.http.response.start", "websocket.accept"])
async def test_it_says_what_its_answer_is_and_nothing_about_us(kind: str) -> None:
    said: list[Message] = []

    async def send(message: Message) -> None:
        said.append(message)

    about = [(b"content-type", b"text/plain"), (b"ETag", b'"1"'), POLICY]
    wrong = [
        (b"Set-Cookie", b"devex_session=another; Path=/"),
        (b"content-security-policy", b"script-src *"),
        (b"location", b"https://elsewhere.example"),
        (b"service-worker-allowed", b"/"),
        (b"x-content-type-options", b"maybe"),
    ]
    await as_content(send)({"type": kind, "headers": [*wrong, *about]})
    await as_content(send)({"type": "http.response.body", "body": b"x"})
    assert said == [{"type": kind, "headers": about}, {"type": "http.response.body", "body": b"x"}]


async def test_who_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(runner_client, "DEADLINE_S", 0.01)
    async with asyncio.timeout(10):
        with pytest.raises(Silent):
            await RunnerClient(silent, NOBODY).ask("GET", "run")
