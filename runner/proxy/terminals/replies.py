"""What the terminal in a page says by itself, which nobody has typed. Pure.

The forms are those of "XTerm Control Sequences", https://invisible-island.net/xterm/ctlseqs/ctlseqs.html, as xterm.js
sends them: each in a message of its own.
"""

import re
from typing import Final

# Primary and secondary device attributes (c), device status and the cursor's place (n, R), modes (DECRPM: $y), the
# window's size (t); settings (DECRQSS) and version in a device control string, colours in an operating system command.
# A string has a body: Alt+Shift+P and Alt+] are keys.
_ANSWER: Final = re.compile(rb"\x1b(?:\[[?>=]?[0-9;]*\$?[cnRyt]|[P\]].+)", re.DOTALL)

# FocusIn and FocusOut; the mouse has moved with no button held: button 3 and 32 for motion, and 4, 8 and 16 for Shift,
# Meta and Control, as a number (SGR) or as a character 32 higher (X10).
_MOVED: Final = [3 + 32 + held for held in range(0, 32, 4)]
_REPORT: Final = re.compile(
    rb"\x1b\[(?:[IO]|<(?:%b);[0-9;]+[Mm]|M[%b]..)"
    % (b"|".join(b"%d" % button for button in _MOVED), re.escape(bytes(32 + button for button in _MOVED))),
    re.DOTALL,
)


def is_answer(data: bytes) -> bool:
    """To a program's question: what are you, where is the cursor, in which modes?"""
    return _ANSWER.fullmatch(data) is not None


def is_report(data: bytes) -> bool:
    """That the window came to the front or went, or that the mouse moves over it."""
    return _REPORT.fullmatch(data) is not None
