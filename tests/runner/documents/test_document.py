"""Replicas converge whatever the order, also when programs change the file under them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycrdt import Doc, Text

from runner.documents import textdiff
from runner.documents.disk import Form, NotEditable, clean, decode, encode
from runner.documents.document import BadUpdate, Document

PIECES = ["a", "bc", "é", "漢", "😀", "\n", " ", "word "]


def test_pycrdt_counts_utf8_bytes() -> None:
    """Everything here relies on it; later versions count characters."""
    doc: Doc[Text] = Doc()
    doc["content"] = Text("😀")
    assert len(doc["content"]) == 4


class Replica:
    """Somebody's browser: edits its own copy, and exchanges updates when the test says so."""

    def __init__(self, room: Document) -> None:
        self.doc: Doc[Text] = Doc()
        self.content = self.doc.get("content", type=Text)
        self.doc.apply_update(room.everything())

    def type(self, at: int, delete: int, insert: str) -> None:
        text = str(self.content)
        at %= len(text) + 1
        start, end = len(text[:at].encode()), len(text[: at + delete].encode())
        with self.doc.transaction():
            if end > start:
                del self.content[start:end]
            if insert:
                self.content.insert(start, insert)

    def exchange(self, room: Document) -> None:
        room.apply(self.doc.get_update(room.state()))
        self.doc.apply_update(room.update_since(self.doc.get_state()))


steps = st.lists(
    st.tuples(
        st.sampled_from(["type", "type", "exchange", "disk", "save"]),
        st.integers(0, 2),
        st.integers(0, 99),
        st.integers(0, 4),
        st.lists(st.sampled_from(PIECES), max_size=3).map("".join),
    ),
    max_size=30,
)


@settings(max_examples=200)
@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join), steps)
def test_replicas_and_disk_converge(start: str, steps: list[tuple[str, int, int, int, str]]) -> None:
    room = Document(start.encode())
    saved, base = room.text(), room.everything()
    people = [Replica(room) for _ in range(3)]
    for number, (what, who, at, delete, insert) in enumerate(steps):
        if what == "type":
            people[who].type(at, delete, insert)
        elif what == "exchange":
            people[who].exchange(room)
        elif what == "save":
            saved, base = room.text(), room.everything()
        else:
            text = saved.decode()
            mark = chr(0x4E00 + number)  # stands nowhere else, so that no diff takes it for kept text
            found = (text[: at % (len(text) + 1)] + mark + text[at % (len(text) + 1) + delete :]).encode()
            _, base = room.merge(base, textdiff.diff(saved, found))
            saved = found
            assert mark in room.text().decode()
    for person in [*people, *people]:
        person.exchange(room)
    assert {str(person.content).encode() for person in people} == {room.text()}
    assert room.is_plain(room.text())


def test_typing_survives_a_change_by_a_program() -> None:
    room = Document(b"one\ntwo\nthree\n")
    base = room.everything()
    person = Replica(room)
    person.type(4, 0, "my ")
    person.exchange(room)
    room.merge(base, textdiff.diff(b"one\ntwo\nthree\n", b"zero\none\ntwo and a half\nthree\n"))
    assert room.text() == b"zero\none\nmy two and a half\nthree\n"


def test_a_change_is_told_once() -> None:
    room, other = Document(b"text"), Document()
    update = other.apply(room.everything())
    assert update
    assert other.apply(room.everything()) == b""
    assert other.version == 1


@settings(max_examples=300)
@given(st.binary(max_size=40))
def test_garbage_is_refused_and_harms_nothing(update: bytes) -> None:
    room = Document(b"text")
    for take in (room.apply, room.update_since):
        try:
            take(update)
        except BadUpdate:
            pass
    assert "text" in room.text().decode()


@pytest.mark.parametrize("claim", ["ffbf8cff0203b7b0ae", "ffffffff0f00", "80e1eb170000", "ffffffffffffff7f00"])
def test_a_claim_of_many_clients_is_refused_before_room_is_made(claim: str) -> None:
    for take in (Document(b"text").apply, Document(b"text").update_since):
        with pytest.raises(BadUpdate, match="clients"):
            take(bytes.fromhex(claim) + b"\0" * 10)


def test_what_is_not_plain_text_is_seen() -> None:
    room = Document(b"ab")
    guest: Doc[Text] = Doc()
    guest.apply_update(room.everything())
    guest.get("content", type=Text).insert_embed(1, {"an": "object"})
    room.apply(guest.get_update())
    assert not room.is_plain(room.text())
    assert not Document(b"a\rb").is_plain(b"a\rb")


@given(
    st.lists(st.sampled_from(["a", "é", "😀", "\n"]), max_size=20).map(lambda parts: "".join(parts).encode()),
    st.booleans(),
    st.booleans(),
)
def test_line_ends_and_byte_order_mark_come_back(text: bytes, crlf: bool, bom: bool) -> None:
    form = Form(crlf and b"\n" in text, bom)
    assert decode(encode(text, form)) == (text, form)
    assert clean(encode(text, Form(crlf))) == text


@pytest.mark.parametrize("raw", [b"a\0b", b"\xff\xfe", "é".encode("latin-1")])
def test_binary_is_no_text(raw: bytes) -> None:
    with pytest.raises(NotEditable):
        decode(raw)
