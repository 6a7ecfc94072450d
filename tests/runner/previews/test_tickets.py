"""Tickets and passes: what opens a preview, and all that does not."""

from hypothesis import given
from hypothesis import strategies as st

from runner.previews.tickets import (
    PASS_LASTS_S,
    SPENT_MOST,
    TICKET_LASTS_S,
    Pass,
    Spent,
    Ticket,
    preview_key,
    seal_pass,
    seal_ticket,
    unseal_pass,
    unseal_ticket,
)
from runner.seals import SEALED_MOST_CHARACTERS

NOW_S = 1_800_000_000.25
keys = st.binary(min_size=16, max_size=32)
slugs = st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True)
ports = st.integers(1024, 65535)
passes = st.builds(Pass, slugs, ports, st.text(max_size=64))
tickets = st.builds(
    Ticket, slugs, st.lists(ports, min_size=1, max_size=9).map(tuple), st.text(max_size=64), st.text(max_size=300)
)


@given(keys, tickets, passes, st.floats(0, 0.999))
def test_what_is_sealed_is_read_until_it_is_too_old(key: bytes, ticket: Ticket, granted: Pass, share: float) -> None:
    token, sealed = seal_ticket(key, ticket, NOW_S), seal_pass(key, granted, NOW_S)
    assert unseal_ticket(key, token, NOW_S + share * (TICKET_LASTS_S - 1)) == ticket
    assert unseal_pass(key, sealed, NOW_S + share * (PASS_LASTS_S - 1)) == granted
    assert unseal_ticket(key, token, NOW_S + TICKET_LASTS_S) is None
    assert unseal_pass(key, sealed, NOW_S + PASS_LASTS_S) is None


@given(keys, tickets, passes, st.data())
def test_any_changed_bit_is_refused(key: bytes, ticket: Ticket, granted: Pass, data: st.DataObject) -> None:
    for sealed, unseal in (
        (seal_ticket(key, ticket, NOW_S), unseal_ticket),
        (seal_pass(key, granted, NOW_S), unseal_pass),
    ):
        bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
        changed = bytearray(sealed.encode())
        changed[bit // 8] ^= 1 << bit % 8
        cut = data.draw(st.integers(0, len(sealed) - 1))
        for wrong in (
            changed.decode("latin-1"),
            sealed[:cut],
            sealed + "=",
            sealed + ".",
            sealed.upper(),
            f" {sealed}",
        ):
            assert wrong == sealed or unseal(key, wrong, NOW_S) is None


@given(keys, keys, tickets, passes, slugs)
def test_another_repl_or_epoch_has_another_key(
    key: bytes, next_epoch: bytes, ticket: Ticket, granted: Pass, neighbour: str
) -> None:
    ours = preview_key(key, ticket.slug)
    for other in (preview_key(next_epoch, ticket.slug), preview_key(key, neighbour), key):
        if other != ours:
            assert unseal_ticket(other, seal_ticket(ours, ticket, NOW_S), NOW_S) is None
            assert unseal_pass(other, seal_pass(ours, granted, NOW_S), NOW_S) is None


@given(keys, tickets, passes)
def test_neither_is_taken_for_the_other(key: bytes, ticket: Ticket, granted: Pass) -> None:
    assert unseal_pass(key, seal_ticket(key, ticket, NOW_S), NOW_S) is None
    assert unseal_ticket(key, seal_pass(key, granted, NOW_S), NOW_S) is None


@given(keys, st.text() | st.from_regex(r"[A-Za-z0-9_-]*\.[0-9a-f]*", fullmatch=True))
def test_nonsense_opens_nothing(key: bytes, nonsense: str) -> None:
    assert unseal_pass(key, nonsense, NOW_S) is None
    assert unseal_ticket(key, nonsense, NOW_S) is None


def test_the_longest_path_fits() -> None:
    token = seal_ticket(b"k", Ticket("a" * 40, tuple(range(60000, 60009)), "f" * 64, '/"' * 1000), NOW_S)
    assert len(token) < SEALED_MOST_CHARACTERS
    assert unseal_ticket(b"k", token, NOW_S)


def test_a_ticket_is_used_once() -> None:
    spent, one, another = Spent(), Ticket("a", (5000,), "s"), Ticket("a", (5000,), "s")
    assert spent.first_use(one, NOW_S)
    assert not spent.first_use(one, NOW_S + TICKET_LASTS_S - 1)
    assert spent.first_use(another, NOW_S + 1)


def test_a_flood_of_one_repl_forgets_nothing_of_another() -> None:
    spent, theirs = Spent(), Ticket("theirs", (5000,), "s")
    assert spent.first_use(theirs, NOW_S)
    for _ in range(SPENT_MOST + 1):
        assert spent.first_use(Ticket("flood", (5000,), "s"), NOW_S)
    assert not spent.first_use(theirs, NOW_S)
