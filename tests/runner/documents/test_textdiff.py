"""Diffs and merges of texts with line ends, characters of every length and repeated lines."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from runner.documents import textdiff
from runner.workspace import apply_splices

PIECES = ["a", "b", "foo", "é", "漢", "😀", "😁", "\n", "\n", " ", "\r", "(", ", ", "ab", "x = 1\n"]
texts = st.lists(st.sampled_from(PIECES), max_size=60).map("".join)
edits = st.lists(
    st.tuples(st.integers(0, 200), st.integers(0, 6), st.lists(st.sampled_from(PIECES), max_size=4)), max_size=6
)

Edits = list[tuple[int, int, list[str]]]


def edited(text: str, changes: Edits) -> str:
    for at, delete, insert in changes:
        at = min(at, len(text))
        text = text[:at] + "".join(insert) + text[at + delete :]
    return text


@settings(max_examples=400)
@given(texts, edits, texts)
@example("a\nb", [(3, 0, ["\n"])], "")
def test_a_diff_leads_from_old_to_new_and_cuts_no_character(old: str, changes: Edits, other: str) -> None:
    for new in (edited(old, changes), other):
        splices = textdiff.diff(old.encode(), new.encode())
        assert apply_splices(old.encode(), splices) == new.encode()
        for start, delete, insert in splices:
            old.encode()[:start].decode()
            old.encode()[start : start + delete].decode()
            insert.decode()


@settings(max_examples=300)
@given(texts, edits, edits)
def test_merging_keeps_ours_and_takes_theirs(base: str, ours: Edits, theirs: Edits) -> None:
    b, o, t = base.encode(), edited(base, ours).encode(), edited(base, theirs).encode()
    apply_splices(o, textdiff.merge(b, o, t)).decode()
    assert apply_splices(b, textdiff.merge(b, b, t)) == t
    assert textdiff.merge(b, o, b) == []
    assert textdiff.merge(b, o, o) == []


@settings(max_examples=300)
@given(st.lists(st.sampled_from(["one\n", "two\n", "three\n", "\n"]), max_size=20), st.data())
def test_changes_to_different_lines_are_both_kept_and_never_twice(lines: list[str], data: st.DataObject) -> None:
    base = [f"{number} {line}" for number, line in enumerate([*lines, "end\n", "end\n"])]
    mine = data.draw(st.integers(0, len(base) - 1))
    other = data.draw(st.integers(0, len(base) - 1).filter(lambda index: index != mine))
    ours, theirs, both = list(base), list(base), list(base)
    ours[mine] = both[mine] = base[mine].replace(" ", " mine ")
    theirs[other] = both[other] = base[other].replace(" ", " other ")
    b, o, t = ("".join(part).encode() for part in (base, ours, theirs))
    merged = apply_splices(o, textdiff.merge(b, o, t))
    assert merged == "".join(both).encode()
    assert textdiff.merge(b, merged, t) == []  # a REBASE that is sent again


@settings(max_examples=200)
@given(texts, st.integers(0, 60), st.text("xyz ", max_size=12), st.text("uvw", max_size=8))
def test_what_was_typed_on_after_a_shared_change_is_added_once(base: str, at: int, shared: str, more: str) -> None:
    at = min(at, len(base))
    ours, theirs = base[:at] + shared + base[at:], base[:at] + shared + more + base[at:]
    for first, second in ((ours, theirs), (theirs, ours)):
        merged = apply_splices(first.encode(), textdiff.merge(base.encode(), first.encode(), second.encode()))
        assert merged == theirs.encode()


def test_both_texts_are_kept_where_one_place_was_changed_differently() -> None:
    merged = apply_splices(b"say mine\n", textdiff.merge(b"say \n", b"say mine\n", b"say theirs\n"))
    assert b"mine" in merged
    assert b"theirs" in merged


def test_a_large_checkout_becomes_small_splices() -> None:
    lines = [f"    value_{number} = compute(alpha, beta, {number})\n".encode() for number in range(25_000)]
    new = list(lines)
    for index in range(0, len(lines), 125):
        new[index] = new[index].replace(b"alpha", b"gamma")
    splices = textdiff.diff(b"".join(lines), b"".join(new))
    assert len(splices) == 200
    assert sum(len(insert) for _, _, insert in splices) < 2000


def test_many_equal_lines_do_not_explode() -> None:
    old = b"x = 1\n" * 20_000
    new = old[:600] + b"y\n" + old[700:-20] + b"z"
    assert apply_splices(old, textdiff.diff(old, new)) == new
