"""Random output of programs, in sequences about which our terminal and the reference agree.

Left out is what tests/components/terminal/cases.py has by hand: controls while a wrap is pending, halves of wide
characters, backgrounds of erased cells and of a wrap at the foot, lines outside of a region, leaving an alternate
screen that nobody entered, scrolling while a cursor is kept.
"""

from typing import Final

from hypothesis import strategies as st

from tests.components.terminal.screens import COLS, ROWS

_LETTERS: Final = st.sampled_from("abcXYZ019 ~#é\u0416λ")
_MARKED: Final = st.sampled_from(("e\u0301", "n\u0303", "a\u0308\u0323"))
_SMALL: Final = st.integers(0, 9)
_COLUMN, _ROW = st.integers(1, COLS), st.integers(1, ROWS)
_BACKGROUNDS: Final = ("44", "102", "48;2;1;20;255")
_LOOKS: Final = ("0", "1", "2", "3", "4", "4:3", "5", "7", "8", "9", "31", "93", "38;5;99", *_BACKGROUNDS)


@st.composite
def _writing(draw: st.DrawFn, *, in_region: bool = False) -> str:
    """Text from a column on, over edges, but never up to one. On a background it does not wrap at the foot."""
    text = "".join(draw(st.lists(_LETTERS | _MARKED, min_size=1, max_size=30)))
    columns = sum(len(one.encode("utf-16-le")) // 2 for one in text if not "\u0300" <= one <= "\u036f")
    column = draw(_COLUMN.filter(lambda column: (column - 1 + columns) % COLS != 0))
    looks = draw(st.lists(st.sampled_from(_LOOKS), max_size=3))
    row = ""
    if column - 1 + columns > COLS and not set(looks).isdisjoint(_BACKGROUNDS):
        if in_region:
            looks = []
        else:
            row = f"\x1b[{draw(st.integers(1, ROWS - 1))}d"
    return f"{row}\x1b[{column}G\x1b[{';'.join(looks)}m{text}\x1b[0m"


@st.composite
def _region(draw: st.DrawFn) -> str:
    """Something that scrolls within a region."""
    top = draw(st.integers(1, ROWS - 1))
    bottom = draw(st.integers(top + 1, ROWS))
    row = draw(st.integers(top, bottom))
    does = draw(
        st.sampled_from(("\n", "\n\n\n", "\x1bM", "\x1bD", "\x1bE"))
        | st.builds("\x1b[{}{}".format, _SMALL, st.sampled_from("LMST"))
    )
    return f"\x1b[{top};{bottom}r\x1b[{row};{draw(_COLUMN)}H{does}\r{draw(_writing(in_region=True))}\x1b[r"


_MOVING: Final = st.builds("\x1b[{}{}".format, st.integers(0, 99), st.sampled_from("ABCDEFGd`Z"))
_PLACING: Final = st.builds("\x1b[{};{}{}".format, _ROW, _COLUMN, st.sampled_from("Hf"))
_ERASING: Final = st.builds("\x1b[{}{}".format, st.integers(0, 2), st.sampled_from("JK"))
_SHIFTING: Final = st.builds("\x1b[{}G\x1b[{}{}".format, st.integers(1, 60), _SMALL, st.sampled_from("@PX"))
_INSERTING: Final = st.builds("\x1b[{}G\x1b[4h{}\x1b[4l".format, st.integers(1, 60), st.text("xyz", max_size=9))
_REPEATING: Final = st.builds("\x1b[{}Gr\x1b[{}b".format, st.integers(1, 60), _SMALL)
_DRAWING: Final = st.builds("\x1b[{}G\x1b(0{}\x1b(B".format, st.integers(1, 60), st.text("lqkxmjtuvwn", max_size=9))
_ABOVE_THE_FOOT: Final = st.builds("\x1b[{}d{}".format, st.integers(1, ROWS - 1), _writing())
_KEEPING: Final = st.builds("\x1b7{}\x1b8".format, _PLACING | _ABOVE_THE_FOOT)  # and does not scroll
_OTHER: Final = st.sampled_from(("\r", "\r\n", "\t", "\r\t\t", "\x1bM", "\x1bD", "\x1bE"))

_PIECE: Final = st.one_of(
    *(_writing(), _writing(), _region(), _MOVING, _PLACING, _ERASING, _SHIFTING),
    *(_INSERTING, _REPEATING, _DRAWING, _KEEPING, _OTHER),
)
_ASIDE: Final = st.lists(_PIECE, max_size=8).map(lambda pieces: f"\x1b[?1049h{''.join(pieces)}\x1b[?1049l")
_STAYING: Final = st.lists(_PIECE, max_size=8).map(lambda pieces: f"\x1b[?1049h{''.join(pieces)}")
OUTPUT: Final = st.builds(
    "{}{}".format, st.lists(_PIECE | _ASIDE, min_size=1, max_size=25).map("".join), st.just("") | _STAYING
)
