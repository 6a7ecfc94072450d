"""Names people give and slugs made of them."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.names import new_id, new_slug, parse_name
from runner.errors import DevexError


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("  My REPL ", "My REPL"),
        ("cafe\u0301", "café"),
        ("<script>alert(1)</script>", "<script>alert(1)</script>"),
        ("👩‍💻 日本語", "👩‍💻 日本語"),
        ("x" * 80, "x" * 80),
    ],
)
def test_names_are_text(text: str, name: str) -> None:
    assert parse_name(text) == name


@pytest.mark.parametrize("text", ["", "   ", "x" * 81, "a\nb", "a\0b", "a\x1b[31m", "a\u202eb", "a\u2028b", "a\ud800b"])
def test_what_deceives_or_breaks_lists_is_refused(text: str) -> None:
    with pytest.raises(DevexError) as caught:
        parse_name(text)
    assert caught.value.status == 422


@given(st.text())
def test_every_text_is_a_name_or_is_refused(text: str) -> None:
    try:
        name = parse_name(text)
    except DevexError:
        return
    assert 1 <= len(name) <= 80
    assert name == unicodedata.normalize("NFC", name).strip()
    assert parse_name(name) == name


@given(st.text(max_size=100))
def test_slugs_are_dns_labels_whatever_the_name(name: str) -> None:
    slug = new_slug(name)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", slug)
    assert len(slug) <= 40


def test_slugs_and_ids_differ_every_time() -> None:
    assert new_slug("My REPL!").startswith("my-repl-")
    assert new_slug("日本語").startswith("repl-")
    assert len({new_slug("a") for _ in range(100)}) == 100
    assert len({new_id() for _ in range(100)}) == 100
    assert re.fullmatch(r"[a-z2-7]{26}", new_id())
