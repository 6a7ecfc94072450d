"""What a program, or a file that somebody looks at, may write to harm the page, the person or the shell."""

import base64
from typing import Final

BELL, END = b"\x07", b"\x1b\\"
SCRIPT: Final = b"<script>alert(1)</script><img src=x onerror=alert(1)>"
STOLEN: Final = base64.b64encode(b"stolen")
NINES: Final = b"999999999"
COMMAND: Final = b"touch stolen\n"  # what must never come back as if it was typed

CLIPBOARD: Final = (
    *(b"\x1b]52;" + which + b";" + STOLEN + end for which in (b"c", b"p", b"s0", b"", b"cp") for end in (BELL, END)),
    *(b"\x1b]52;" + which + b";?" + BELL for which in (b"c", b"p", b"")),
    b"\x1b]52;c;!" + BELL,
    b"\x1b]5522;type=write" + BELL,
)
LINKS: Final = tuple(
    b"\x1b]8;;" + address + BELL + b"click" + b"\x1b]8;;" + BELL
    for address in (
        b"javascript:alert(1)",
        b" javascript:alert(1)",
        b"JaVaScRiPt:alert(1)//https://example.com",
        b"data:text/html," + SCRIPT,
        b"file:///etc/passwd",
        b"vbscript:alert(1)",
        b"blob:https://example.com/1",
        b"about:blank",
        b"//example.com",
        b"/api/users",
        b"https:" + b"a" * 10_000,
    )
)
TITLES: Final = tuple(
    b"\x1b]" + kind + b";" + title + end
    for kind, title, end in (
        (b"0", SCRIPT, BELL),
        (b"1", SCRIPT, BELL),
        (b"2", b"t" * 100_000, BELL),
        (b"2", COMMAND, END),
        (b"l", COMMAND, END),
        (b"2", "\u202egnp.\u2066x\u2069\u200f".encode(), BELL),
        (b"0", b"a\x01\x02b", BELL),
    )
)
QUESTIONS: Final = (
    *(b"\x1b[%dt" % number for number in (11, 13, 14, 15, 16, 18, 19, 20, 21, 22, 23)),
    b"\x1b[22;2t\x1b[23;2t\x1b[21t",
    b"\x1b[c\x1b[>c\x1b[=c\x1b[0x\x1b[1x\x05\x1bZ",
    b"\x1b[5n\x1b[6n\x1b[?6n\x1b[?15n\x1b[?25n\x1b[?26n\x1b[?53n",
    b"\x1b[?1$p\x1b[4$p\x1b[?2004$p\x1b[?u",
    b"\x1b[c" * 2000,
    b"\x1b]4;1;?" + BELL + b"\x1b]10;?" + BELL + b"\x1b]11;?" + BELL + b"\x1b]12;?" + BELL,
    b"\x1b]4" + b";1;?" * 500 + BELL,
    b"\x1b]50;?" + BELL + b"\x1b]3;?" + BELL + b"\x1b]702;?" + BELL,
    *(b"\x1bP$q" + what + END for what in (b'"p', b"r", b"m", b" q", b'"q', COMMAND, SCRIPT)),
    b"\x1bP+q544e" + END,
    b"\x1bP+q" + COMMAND.hex().encode() + END,
    b"\x1bP+p" + COMMAND.hex().encode() + END,
    b"\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA" + END,
)
WINDOW: Final = (
    b"\x1b[3;0;0t\x1b[8;9999;9999t\x1b[4;9999;9999t\x1b[9;1t\x1b[10;1t\x1b[1t\x1b[2t\x1b[5t",
    b"\x1b[?3h\x1b[?40h\x1b[?3l",
    b"\x1b]7;file://evil/" + BELL + b"\x1b]9;4;1;50" + BELL + b"\x1b]777;notify;a;b" + BELL + b"\x1b]9;hello" + BELL,
    b"\x1b]10;red" + BELL + b"\x1b]11;#000" + BELL + b"\x1b]4;0;#fff;1;rgb:ff/ff/ff" + BELL + b"\x1b]104" + BELL,
    b"\x1b]1337;File=inline=1:PHNjcmlwdD4=" + BELL + b"\x1b]1337;SetUserVar=a=" + STOLEN + BELL,
    b"\x1b]1337;Copy=:"
    + STOLEN
    + BELL
    + b"\x1b]1337;CopyToClipboard=general"
    + BELL
    + b"stolen\x1b]1337;EndCopy"
    + BELL,
    b"\x1b]51;e:rm" + BELL + b"\x1b]633;E;rm" + BELL + b"\x1b]697;x" + BELL,
    b"\x1b[5i" + SCRIPT + b"\x1b[4i\x1b[i\x1b[?5i",
)
LONG: Final = (
    *(b"\x1b" + kind + b"q" * 60_000 + END for kind in (b"P", b"_", b"^", b"X", b"]0;", b"]52;c;", b"]8;;", b"P+q")),
    b"\x1bPq" + b"#0;2;0;0;0!99999999~-" * 1000 + END,
    b"long" * 100_000,
    b"\x1b[" + b"1;" * 10_000 + b"m\x1b[0m",
    b"\x1b[" + b":9" * 10_000 + b"m\x1b[0m",
    *("".join(("a", one * 5_000, "\x1bc")).encode() for one in ("\u0301", "👩\u200d", "\u200b")),
    b"\x1b7\x1b8" * 1_000 + b"\x1b[?1049h\x1b[?1049l" * 100,
    b"\x1b[?1049h\x1b[?1000h\x1b[?1006h\x1b[?2004h\x1b[?25l\x1b[?1049l\x1b[?1000l\x1b[?2004l\x1b[?25h",
    b"\x07" * 1_000,
)
COUNTS: Final = (
    b"\x1b[" + NINES + b";" + NINES + b"H",
    b"\x1b[99999999999;99999999999H",
    *(
        b"x\x1b[" + NINES + final
        for final in (b"b", b"L", b"M", b"S", b"T", b"I", b"Z", b"@", b"P", b"X", b" @", b" A", b"'}")
    ),
    *(b"\x1b[" + NINES + final for final in (b"A", b"B", b"C", b"D", b"E", b"F", b"G", b"d", b"r", b"J", b"K", b"g")),
    b"\x1b[1;" + NINES + b"r\x1b[" + NINES + b"S\x1b[r",
)
BYTES: Final = (
    b"\xff\xfe\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80",
    bytes(range(0x80, 0x100)),
    "\u202eevil\u2066\u200b".encode() + SCRIPT,
    "\ufeff\ufffe\U0010ffff".encode(),
    b"\x00" * 1000,
)
EVIL: Final = (*CLIPBOARD, *LINKS, *TITLES, *QUESTIONS, *WINDOW, *LONG, *COUNTS, *BYTES, b"\x1bc")
