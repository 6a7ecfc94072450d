"""What crosses a link comes out as it went in, and what is no frame is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message

from runner.forwarding import wire
from runner.forwarding.wire import BadFrame, Kind

octets = st.binary(max_size=40)
headers = st.lists(st.tuples(octets, octets), max_size=4)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)

up = st.one_of(
    st.fixed_dictionaries({"type": st.just("websocket.receive"), "text": texts}),
    st.fixed_dictionaries({"type": st.just("websocket.receive"), "bytes": octets}),
    st.fixed_dictionaries({"type": st.just("websocket.disconnect"), "code": st.integers(1000, 4999), "reason": texts}),
)
down = st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("websocket.accept"), "subprotocol": st.none() | texts, "headers": headers},
    ),
    st.fixed_dictionaries({"type": st.just("websocket.send"), "text": texts}),
    st.fixed_dictionaries({"type": st.just("websocket.send"), "bytes": octets}),
    st.fixed_dictionaries({"type": st.just("websocket.close"), "code": st.integers(1000, 4999), "reason": texts}),
    st.fixed_dictionaries(
        {"type": st.just("websocket.http.response.start"), "status": st.integers(200, 599), "headers": headers}
    ),
)


@given(up)
def test_what_a_browser_says(message: Message) -> None:
    (data,) = wire.frames_of(message)
    assert wire.from_browser(*wire.parsed(data), websocket=True) == message


@given(down)
def test_what_an_application_says(message: Message) -> None:
    (data,) = wire.frames_of(message)
    assert wire.from_application(*wire.parsed(data), websocket=True) == message


@pytest.mark.parametrize("size", [0, 1, wire.PIECE_BYTES, wire.PIECE_BYTES + 1, 3 * wire.PIECE_BYTES])
@pytest.mark.parametrize("more", [True, False])
def test_bodies_travel_in_pieces(size: int, more: bool) -> None:
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    sent = list(wire.frames_of({"type": "http.response.body", "body": body, "more_body": more}))
    got = [wire.from_application(*wire.parsed(data), websocket=False) for data in sent]
    assert b"".join(message["body"] for message in got) == body
    assert all(len(message["body"]) <= wire.PIECE_BYTES for message in got)
    assert [message["more_body"] for message in got] == [True] * (len(got) - 1) + [more] if got else more


@given(headers, texts, octets, octets)
def test_a_request_is_opened_as_it_was(head: list[tuple[bytes, bytes]], path: str, raw: bytes, query: bytes) -> None:
    scope: dict[str, Any] = {
        "type": "http",
        "method": "PATCH",
        "path": path,
        "raw_path": raw,
        "query_string": query,
        "headers": head,
    }
    scope |= {"scheme": "http", "http_version": "1.1", "client": ("10.0.0.1", 1), "state": {"of": "the gateway"}}
    kind, payload = wire.parsed(wire.begin("token", scope))
    token, begun = wire.begun(payload)
    assert (kind, token) == (Kind.BEGIN, "token")
    of_the_gateway = {"client", "state"}
    assert {name: begun[name] for name in scope if name not in of_the_gateway} == {
        name: value for name, value in scope.items() if name not in of_the_gateway
    }
    assert not of_the_gateway & begun.keys()


@given(st.binary(max_size=60) | st.text(max_size=20), st.booleans())
def test_anything_else_is_refused(data: bytes | str, websocket: bool) -> None:
    for read in (wire.from_browser, wire.from_application):
        try:
            read(*wire.parsed(data), websocket=websocket)
        except BadFrame:
            pass


@pytest.mark.parametrize("payload", [b"", b"[]", b"{}", b'{"token": 1}', b'{"type": "http", "headers": [1]}', b"\xff"])
def test_a_beginning_that_is_none(payload: bytes) -> None:
    with pytest.raises(BadFrame):
        wire.begun(payload)


@pytest.mark.parametrize("told", [{}, {"status": "ok", "headers": []}, {"status": 200, "headers": [[1, 2]]}])
def test_a_start_that_is_none(told: dict[str, Any]) -> None:
    with pytest.raises(BadFrame):
        wire.from_application(Kind.START, json.dumps(told).encode(), websocket=False)
