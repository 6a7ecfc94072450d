"""What programs write to a terminal, and what it must show then.

Where nothing else is said the reference emulator says it. `shows` is by hand, with its reason, where the reference is
known to do something else than xterm, ECMA-48 or Unicode say, or where its versions differ.

In three things xterm.js is known to be otherwise than xterm and the reference: restoring the cursor (DECRC) leaves
origin mode as it is, and follows a line that has scrolled since, where they keep to the place on the screen; and an
unfinished colour (`38;5m`) counts as colour 0 where they ignore it. No program we know of needs any of them; they are
below as they are, so that it is noticed when they change.
"""

from dataclasses import dataclass
from typing import Final

from tests.components.terminal.screens import Run


@dataclass(frozen=True)
class Case:
    name: str
    sent: str
    shows: tuple[str | tuple[Run, ...], ...] | None = (
        None  # rows as in Screen, those at the end left out; a string is plain
    )
    cursor: tuple[int, int] | None = None  # with `shows`
    why: str = ""


XTERM: Final = "xterm does it so"
E: Final = "\x1b"
C: Final = "\x1b["
FILLED: Final = (*(f"{chr(65 + row) * 10}{row:02}" for row in range(23)), "last")
LETTERS: Final = "\r\n".join(FILLED)
WIDE: Final = 80 * "w"
EMOJI: Final = "Unicode, UAX #29: one grapheme cluster is one character; UTS #51 and UAX #11: an emoji is two columns"

BLUE: Final = ((80 * " ", "bg 4"),)
HALVES: Final = "xterm: what is left of a wide character is blank"

CASES: Final = (
    # Moving the cursor
    Case("cursor up and down, left and right", f"{C}10;10Hx{C}Ax{C}2Bx{C}3Cx{C}2Dx{C}0Ax{C}1Bx"),
    Case("cursor stops at the edges", f"{C}99Ax{C}99Cy{C}99Bz{C}99D!{C}99A?"),
    Case("next and previous line", f"abc{C}Ex{C}3Ey{C}2Fz"),
    Case("column and row absolute", f"{C}5Gx{C}7dy{C}20`z"),
    Case("cursor position with parts left out", f"{C};5Hx{C}3Hy{C}Hz"),
    Case("horizontal and vertical position", f"{C}4;9fx{C}99;99fy"),
    Case(
        "position relative",
        f"{C}5;5H{C}3ax{C}2ey",
        (*4 * [""], 7 * " " + "x", "", 8 * " " + "y"),
        (9, 6),
        f"{XTERM}: HPR, VPR",
    ),
    Case("zero counts as one", f"{C}0;0Hx{C}5;5H{C}0Cy{C}0Bz"),
    Case("backspace stops at the left edge", "ab\b\b\b\bx"),
    Case("backspace does not erase", "abc\b\bX"),
    Case("carriage return and line feed", "abc\rx\ny\r\nz"),
    Case("vertical tab and form feed are line feeds", "a\vb\fc"),
    Case("controls within a sequence are obeyed", f"abc{C}1\rAx{C}2\b;5Hy"),
    Case("cancelled sequences", f"a{C}5\x18b{C}3\x1ac"),
    Case("escape within a sequence begins anew", f"a{C}5{C}3Cx"),
    # Saving the cursor
    Case("save and restore", f"{C}5;5H{C}1;31m{E}7{C}H{C}0mx{E}8y"),
    Case("save and restore by SCO", f"{C}5;5H{C}s{C}Hx{C}uy"),
    Case("restore without save goes home", f"{C}5;5H{E}8x", ("x",), (1, 0), "xterm's manual: home position, defaults"),
    Case("save keeps the character set", f"{E}(0{E}7{E}(Bq{E}8q{E}(B"),
    # Wrapping
    Case("wrap at the edge", WIDE + "x"),
    Case("wrap is pending until the next character", WIDE),
    Case("pending wrap is ended by a carriage return", WIDE + "\rx"),
    Case("pending wrap is ended by a movement", f"{WIDE}{C}Ax"),
    Case("pending wrap and a line feed", WIDE + "\nx", (WIDE, 79 * " " + "x"), (80, 1), XTERM),
    Case("pending wrap and backspace", WIDE + "\bx", (WIDE[:78] + "xw",), (79, 0), XTERM),
    Case("pending wrap and a tab", WIDE + "\tx"),
    Case("pending wrap and erase to the right", f"{WIDE}{C}Kx"),
    Case("no wrap", f"{C}?7l{WIDE}xyz{C}?7h\r"),
    Case("wrap at the bottom scrolls", f"{C}24;1H{WIDE}x"),
    Case("wide character at the edge wraps whole", f"{79 * '-'}日x"),
    Case("wide character in the last columns", f"{78 * '-'}日x"),
    # Scrolling
    Case("line feed at the bottom scrolls", LETTERS + "\r\nnew"),
    Case("reverse index at the top scrolls", f"{LETTERS}{C}H{E}Mnew"),
    Case("index and next line", f"abc{E}Dx{E}Ey"),
    Case("region: line feed", f"{LETTERS}{C}5;10r{C}10;1H\nnew"),
    Case("region: reverse index", f"{LETTERS}{C}5;10r{C}5;1H{E}Mnew"),
    Case("region: outside of it nothing scrolls", f"{LETTERS}{C}5;10r{C}24;1H\n\nnew"),
    Case("region: above it a line feed moves on", f"{LETTERS}{C}5;10r{C}3;1H\nnew"),
    Case("region: setting it goes home", f"{C}7;7H{C}5;10rx"),
    Case("region: upside down is none", f"{LETTERS}{C}10;5r{C}24;1H\nx"),
    Case("region: reset", f"{LETTERS}{C}5;10r{C}r{C}24;1H\nx"),
    Case("scroll up", f"{LETTERS}{C}3S"),
    Case("scroll down", f"{LETTERS}{C}3T"),
    Case("scroll up within a region", f"{LETTERS}{C}5;10r{C}2S"),
    Case("scroll down within a region", f"{LETTERS}{C}5;10r{C}2T"),
    Case("origin mode", f"{C}5;10r{C}?6hx{C}3;3Hy{C}99;1Hz{C}?6l{C}r"),
    # Inserting and deleting
    Case("insert characters", f"abcdef{C}3G{C}2@x"),
    Case("insert characters up to the edge", f"{WIDE}{C}78G{C}9@x", (WIDE[:77] + "x",), (78, 0), "ECMA-48: ICH"),
    Case("delete characters", f"abcdef{C}2G{C}2Px"),
    Case("erase characters", f"abcdef{C}2G{C}3Xx"),
    Case("insert mode", f"abcdef{C}3G{C}4hxy{C}4lz"),
    Case("insert lines", f"{LETTERS}{C}5;3H{C}2L\rx"),
    Case("delete lines", f"{LETTERS}{C}5;3H{C}2M\rx"),
    Case("insert lines within a region", f"{LETTERS}{C}5;10r{C}7;1H{C}2Lx"),
    Case("delete lines within a region", f"{LETTERS}{C}5;10r{C}7;1H{C}9Mx"),
    Case(
        "insert lines outside of a region",
        f"{LETTERS}{C}5;10r{C}12;1H{C}2L",
        FILLED,
        (0, 11),
        f"{XTERM}: IL does nothing there",
    ),
    Case("delete half of a wide character", f"日本語{C}2G{C}P|", (" | 語",), (2, 0), HALVES),
    Case("write over half of a wide character", f"日本語{C}2Gx", (" x本語",), (2, 0), HALVES),
    Case("erase half of a wide character", f"日本語{C}4G{C}X", ("日  語",), (3, 0), HALVES),
    # Erasing
    Case("erase to the right", f"{LETTERS}{C}5;5H{C}K"),
    Case("erase to the left", f"{LETTERS}{C}5;5H{C}1K"),
    Case("erase the line", f"{LETTERS}{C}5;5H{C}2K"),
    Case("erase below", f"{LETTERS}{C}5;5H{C}J"),
    Case("erase above", f"{LETTERS}{C}5;5H{C}1J"),
    Case("erase the screen", f"{LETTERS}{C}5;5H{C}2Jx"),
    Case("erase the scrollback leaves the screen", f"{LETTERS}\r\n\r\n{C}3J"),
    Case(
        "erased cells take the background",
        f"{C}44m{C}2;5H{C}K{C}4;1H{C}2K{C}1@{C}0m",
        ("", (("    ", ""), (76 * " ", "bg 4")), "", BLUE),
        (0, 3),
        f"{XTERM}: bce",
    ),
    Case(
        "scrolled lines take the background",
        f"{LETTERS}{C}44m\n\n{C}0m",
        (*FILLED[2:], BLUE, BLUE),
        (4, 23),
        f"{XTERM}: bce",
    ),
    Case(
        "a line that wraps at the foot takes the background",
        f"{LETTERS}{C}80G{C}44mab{C}0m",
        (*FILLED[1:-1], (("last" + 75 * " ", ""), ("a", "bg 4")), (("b" + 79 * " ", "bg 4"),)),
        (1, 23),
        f"{XTERM}: bce; tmux does so only for a line feed",
    ),
    Case(
        "selective erase",
        f"abc{C}2G{C}?K",
        ("a",),
        (1, 0),
        "xterm: of what is not protected, protected characters as EL",
    ),
    Case("screen alignment", f"{E}#8{C}5;5Hx"),
    # Tabs
    Case("tabs", "\ta\tb\t\tc"),
    Case("tab stops at the edge", 20 * "\t" + "x"),
    Case("set and clear tabs", f"{C}3g{C}5G{E}H{C}30G{E}H\r\tx\ty\tz"),
    Case("clear one tab", f"{C}9G{C}g\r\tx"),
    Case("back by tabs", f"{C}30G{C}Zx{C}2Zy{C}99Zz"),
    Case(
        "forward by tabs",
        f"{C}Ix{C}2Iy",
        (8 * " " + "x" + 15 * " " + "y",),
        (25, 0),
        "xterm: CHT; the reference has none",
    ),
    # Characters
    Case("line drawing", f"{E}(0lqqqk\r\nx   x\r\nmqqqj{E}(B ok"),
    Case("all of line drawing", f"{E}(0`abcdefghijklmnopqrstuvwxyz{{|}}~{E}(B"),
    Case("line drawing by shifts", f"{E})0a\x0eqqq\x0fb"),
    Case("repeat", f"ab{C}5bx"),
    Case("repeat a wide character", f"日{C}3bx", ("日日日日x",), (9, 0), "xterm: REP repeats the character"),
    Case("repeat after a movement", f"ab{C}10G{C}3b", ("ab",), (9, 0), "xterm: REP follows a printed character only"),
    Case("two, three and four bytes", "é ß Ж א ع ह ก 가 𝕏 𐍈"),
    Case(
        "broken UTF-8",
        "a\udcffb\udcc3(c\udce2\udc82d",
        ("a\ufffdb\ufffd(c\ufffdd",),
        (8, 0),
        "Unicode 3.9: U+FFFD for each part",
    ),
    Case("wide characters", "日本語 한국어 ｆｕｌｌ、。"),
    Case("combining characters", "e\u0301 a\u0308\u0323 n\u0303x"),
    Case("combining character at the edge", f"{WIDE}\u0301"),
    Case("combining character on a wide one", "か\u3099x"),
    Case(
        "characters that nobody sees",
        f"a\u200bb\u2060c\u200e{C}m\u200f{C}me\u0301\u200bd",
        ("a\u200bb\u2060c\u200e\u200fe\u0301\u200bd",),
        (5, 0),
        "wcwidth() of glibc and others: 0",
    ),
    Case("emoji", "😀🎉x", ("😀🎉x",), (5, 0), EMOJI),
    Case("emoji with a skin tone", "👍🏽x", ("👍🏽x",), (3, 0), EMOJI),
    Case("emoji joined", "👩‍🚀👨‍👩‍👧‍👦x", ("👩‍🚀👨‍👩‍👧‍👦x",), (5, 0), EMOJI),
    Case("flags", "🇩🇪🇯🇵x", ("🇩🇪🇯🇵x",), (5, 0), EMOJI),
    Case("keycap", "1\ufe0f\u20e3x", ("1\ufe0f\u20e3x",), (3, 0), EMOJI),
    Case("text made emoji by a variation selector", "❤\ufe0fx", ("❤\ufe0fx",), (3, 0), EMOJI),
    Case("emoji joined at the edge", f"{79 * '-'}👩‍🚀x", (79 * "-", "👩‍🚀x"), (3, 1), EMOJI),
    Case("hangul jamo", "\u1112\u1161\u11abx", ("\u1112\u1161\u11abx",), (3, 0), "UAX #29: GB6 to GB8"),
    Case("devanagari", "नमस्ते", None),
    # Looks
    Case("bold, dim, italic", f"{C}1mb{C}22;2md{C}22;3mi{C}23mn"),
    Case("underlines", f"{C}4ms{C}4:0mn{C}4:2md{C}4:3mc{C}4:4mo{C}4:5ma{C}24mn"),
    Case("blink, inverse, invisible, struck", f"{C}5mb{C}25;7mi{C}27;8mh{C}28;9ms{C}29mn"),
    Case("overline", f"{C}53mo{C}55mn"),
    Case(
        "sixteen colours", "".join(f"{C}{30 + n}mx{C}{40 + n}my{C}0m{C}{90 + n}mx{C}{100 + n}my{C}0m" for n in range(8))
    ),
    Case("256 colours", "".join(f"{C}38;5;{n}mx{C}48;5;{255 - n}my" for n in range(16, 256, 31))),
    Case("24-bit colours", f"{C}38;2;1;2;3ma{C}48;2;250;128;0mb{C}39mc{C}49md"),
    Case("24-bit colours with colons", f"{C}38:2::1:2:3ma{C}48:2::250:128:0mb{C}38:5:99mc"),
    Case("colours of underlines", f"{C}4;58:2::1:2:3ma{C}58:5:9mb{C}59mc"),
    Case("looks are reset", f"{C}1;3;4;7;31;42mx{C}my"),
    Case("a look that is not known", f"{C}1;98765;31mx"),
    # Screens
    Case("alternate screen 1049", f"main{C}?1049h{C}Halt"),
    Case("alternate screen 1049 and back", f"{C}3;3Hmain{C}?1049h{C}2Jalt{C}?1049lx"),
    Case("alternate screen 47 and back", f"{C}3;3Hmain{C}?47halt{C}?47lx"),
    Case("alternate screen 1047 and back", f"{C}3;3Hmain{C}?1047halt{C}?1047lx"),
    Case("alternate screen is blank each time", f"{C}?1049hfirst{C}?1049l{C}?1049hx"),
    Case("alternate screen scrolls away", f"{C}?1049h{LETTERS}\r\n\r\n{C}?1049lx"),
    Case("alternate screen twice", f"main{C}?1049ha{C}?1049hb{C}?1049lx"),
    Case(
        "alternate screen left that was not entered",
        f"{C}3;3Hmain{C}?1049lx",
        ("x", "", "  main"),
        (1, 0),
        f"{XTERM}: the cursor is restored, to where a new terminal has it; the reference leaves it",
    ),
    # Resets
    Case("full reset", f"{LETTERS}{C}1;31m{C}5;10r{C}?6h{C}4h{E}(0{E}cq"),
    Case(
        "soft reset",
        f"{C}1;31m{C}4h{C}?6h{C}5;10r{E}(0{C}!pq{C}24;1H\nx",
        (*3 * [""], "q", *19 * [""], "x"),
        (1, 23),
        "xterm: DECSTR leaves the cursor where it is",
    ),
    # Strings that are not shown
    Case(
        "titles and other strings",
        f"a{E}]0;title\x07b{E}]2;ü\x1b\\c{E}P1$r0m{E}\\d{E}_apc{E}\\e{E}^pm{E}\\f{E}Xsos{E}\\g",
    ),
    Case("a string broken off", f"a{E}]0;ti\x18b{E}Pxx\x1ac", ("abc",), (3, 0), "ECMA-48: CAN and SUB end it"),
    Case(
        "links",
        f"{E}]8;;https://example.com\x07link{E}]8;;\x07 no link",
        ((("link", "under dashed"), (" no link", "")),),
        (12, 0),
        "ours underlines them",
    ),
    Case("sequences nobody knows", f"a{C}?9999hb{C}=5cc{C}<1;2;3wd{E}%Ge{E} Ff"),
    Case("marks of a shell", f"{E}]133;A\x07$ {E}]7;file://host/x\x07ls"),
    # What xterm.js is known to do otherwise
    Case(
        "restore and origin mode",
        f"{C}5;10r{C}?6h{E}7{C}?6l{E}8{C}Hx",
        ("x",),
        (1, 0),
        "xterm.js: DECRC does not restore DECOM; xterm has the x in row 5",
    ),
    Case(
        "restore after scrolling",
        f"{C}24;3Habc{E}7\r\nd{E}8x",
        (*22 * [""], "  abcx", "d"),
        (6, 22),
        "xterm.js: DECRC goes to the line where DECSC was; xterm has the x in the last row",
    ),
    Case(
        "an unfinished colour",
        f"{C}38;5mx",
        ((("x", "fg 0"),),),
        (1, 0),
        "xterm.js: what is missing is 0; xterm ignores it",
    ),
)
