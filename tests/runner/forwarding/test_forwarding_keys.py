"""Proofs and tokens are good for what they were made for, and for nothing else."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.forwarding.keys import TOKEN_LASTS_S, BadToken, Incarnation, new_nonce, proof, seal, unseal
from runner.viewer import Viewer

KEY = b"k" * 32
WHO = Incarnation("r1", 3, "pod-uid")
ADA = Viewer("u1", "Ada", can_write=True)


def test_a_proof_is_of_one_speaker_one_incarnation_and_one_link() -> None:
    ours, theirs = new_nonce(), new_nonce()
    good = proof(KEY, "proxy", WHO, ours, theirs)
    assert good == proof(KEY, "proxy", WHO, ours, theirs)
    others = [
        proof(b"K" * 32, "proxy", WHO, ours, theirs),
        proof(KEY, "gateway", WHO, ours, theirs),
        proof(KEY, "proxy", replace(WHO, epoch=4), ours, theirs),
        proof(KEY, "proxy", replace(WHO, instance="another"), ours, theirs),
        proof(KEY, "proxy", replace(WHO, repl_id="r2"), ours, theirs),
        proof(KEY, "proxy", WHO, theirs, ours),
        proof(KEY, "proxy", WHO, new_nonce(), theirs),
        proof(KEY, "proxy", WHO, ours, new_nonce()),
    ]
    assert good not in others


def test_a_token_says_who_asks() -> None:
    token = seal(KEY, "r1", ADA, 1000.0)
    assert unseal(KEY, "r1", token, 1000.0) == ADA
    assert unseal(KEY, "r1", token, 1000.0 + TOKEN_LASTS_S - 1) == ADA


@given(st.integers(min_value=0, max_value=200), st.characters(codec="ascii"))
def test_a_changed_token_says_nothing(at: int, other: str) -> None:
    token = seal(KEY, "r1", ADA, 1000.0)
    changed = token[:at] + other + token[at + 1 :]
    if changed != token:
        with pytest.raises(BadToken):
            unseal(KEY, "r1", changed, 1000.0)


@pytest.mark.parametrize(
    ("key", "repl_id", "now_s"), [(b"K" * 32, "r1", 1000.0), (KEY, "r2", 1000.0), (KEY, "r1", 1000.0 + TOKEN_LASTS_S)]
)
def test_a_token_elsewhere_or_later_says_nothing(key: bytes, repl_id: str, now_s: float) -> None:
    token = seal(KEY, "r1", ADA, 1000.0)
    with pytest.raises(BadToken):
        unseal(key, repl_id, token, now_s)


@pytest.mark.parametrize("token", ["", ".", "a.b", "x" * 10_000, "é.é"])
def test_what_is_no_token(token: str) -> None:
    with pytest.raises(BadToken):
        unseal(KEY, "r1", token, 0.0)
