"""Sealed claims: server and pod may be of two releases, so the form is fixed."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.seals import seal, unseal

KEY = b"k" * 32


@pytest.mark.parametrize(
    ("purpose", "sealed", "claims"),
    [
        (
            b"devex token",
            "WyJyMSIsICJ1MSIsICJBZGEiLCB0cnVlLCAxMTIwLjBd"
            ".ee47d43d90ce3dd6298feab06d9d9000229a61e08aa04da542331a82f830b528",
            ["r1", "u1", "Ada", True, 1120.0],
        ),
        (
            b"devex preview pass",
            "WzQ0MjAwLCJvdHRlciIsMzAwMCwicyJd.984397c51866ffc891abca170170af36fd79c7f30e4b6410bc6f571783e2576d",
            [44200, "otter", 3000, "s"],
        ),
    ],
)
def test_what_another_release_sealed_is_read(purpose: bytes, sealed: str, claims: list[Any]) -> None:
    assert unseal(KEY, purpose, sealed) == claims
    assert unseal(KEY, b"another purpose", sealed) is None


@given(st.lists(st.text(max_size=20) | st.integers() | st.booleans()))
def test_another_release_reads_what_is_sealed(claims: list[Any]) -> None:
    text, _, _ = seal(KEY, b"a purpose", claims).partition(".")
    assert json.loads(base64.b64decode(text, b"-_", validate=True)) == claims
    assert "=" not in text
