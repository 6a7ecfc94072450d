"""What a terminal shows, in one form for ours in the browser and for the reference emulator."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from playwright.sync_api import Page

COLS, ROWS = 80, 24
FLAGS: Final = {1: "bold", 2: "dim", 3: "italic", 5: "blink", 7: "inverse", 8: "invisible", 9: "strike", 53: "overline"}
UNDERLINES: Final = ("", "single", "double", "curly", "dotted", "dashed")
# Of DEC's special graphics, which tmux hands out as they were sent.
GRAPHICS: Final = dict(zip("`abcdefghijklmnopqrstuvwxyz{|}~", "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·", strict=True))
_CONTROL: Final = re.compile(r"\x1b\[([\d;:]*)m|\x1b\]8;[^\x1b\x07]*(?:\x1b\\|\x07)|([\x0e\x0f])")

Run = tuple[str, str]  # text, and how it looks: "" is plain


@dataclass(frozen=True)
class Screen:
    """Rows from the top, each in runs of one look without the plain blanks at its end; the cursor's column and row,
    from 0; a column that is the number of columns: the next character wraps."""

    rows: tuple[tuple[Run, ...], ...]
    cursor: tuple[int, int]
    alternate: bool = False

    @classmethod
    def of(cls, rows: Sequence[str | tuple[Run, ...]], cursor: tuple[int, int], height: int = ROWS) -> Self:
        """`rows` without those at the end that are blank; a string is plain."""
        filled = [((row, ""),) if isinstance(row, str) and row else row or () for row in rows]
        return cls((*filled, *[()] * (height - len(rows))), cursor)

    def __str__(self) -> str:
        rows = [f"{at:3} {row!r}" for at, row in enumerate(self.rows) if row]
        return "\n".join([f"cursor {self.cursor}, alternate {self.alternate}", *rows])


# Kept in the page: the elements' own objects, what each of them shows, and whether it has drawn a title's bytes.
ASKING: Final = """() => {
    const FLAGS = { Bold: "bold", Dim: "dim", Italic: "italic", Blink: "blink", Inverse: "inverse",
        Invisible: "invisible", Strikethrough: "strike", Overline: "overline" };
    const UNDERLINES = ["", "single", "double", "curly", "dotted", "dashed"];
    const colour = (value, isDefault, isRgb) =>
        isDefault ? "" : isRgb ? "#" + value.toString(16).padStart(6, "0") : String(value);
    const lookOf = (cell) => {
        const look = Object.keys(FLAGS).filter(name => cell["is" + name]()).map(name => FLAGS[name]).sort();
        const fg = colour(cell.getFgColor(), cell.isFgDefault(), cell.isFgRGB());
        const bg = colour(cell.getBgColor(), cell.isBgDefault(), cell.isBgRGB());
        if (fg) look.push("fg " + fg);
        if (bg) look.push("bg " + bg);
        if (cell.isUnderline()) look.push("under " + UNDERLINES[cell.extended.underlineStyle]);
        return look.join(", ");
    };
    window.terminals = () =>
        [...document.querySelectorAll(".dx-terminal")].map(element => getElement(Number(element.id.slice(1))));
    window.screenOf = ({ term }) => {
        const buffer = term.buffer.active, cell = buffer.getNullCell(), rows = [];
        for (let y = 0; y < term.rows; y++) {
            const line = buffer.getLine(buffer.baseY + y), row = [];
            for (let x = 0; x < term.cols; x++) {
                line.getCell(x, cell);
                if (!cell.getWidth()) continue;
                const last = row.at(-1), text = cell.getChars() || " ", look = lookOf(cell);
                if (last?.[1] === look) last[0] += text;
                else row.push([text, look]);
            }
            rows.push(row);
        }
        return { rows, cursor: [buffer.cursorX, buffer.cursorY], alternate: buffer.type === "alternate" };
    };
    const titles = new Map();
    for (const { term } of terminals()) {
        const heard = { title: "", wake() {} };
        titles.set(term, heard);
        term.onTitleChange(title => {
            heard.title = title;
            heard.wake();
        });
    }
    const named = async ({ term }, title) => {
        const heard = titles.get(term);
        while (heard.title !== title) await new Promise(resolve => (heard.wake = resolve));
    };
    window.screensAt = async (title) => {
        await Promise.all(terminals().map(one => named(one, title)));
        return JSON.stringify(terminals().map(screenOf));
    };
}"""


def screens_at(page: Page, title: str) -> list[Screen]:
    """Of the page's terminals, as soon as a program has named each so."""
    return [_screen(read) for read in json.loads(page.evaluate("title => screensAt(title)", title))]


def shown(page: Page, at: int = 0) -> Screen:
    """What the page's terminal number `at` shows now."""
    return _screen(json.loads(page.evaluate("at => JSON.stringify(screenOf(terminals()[at]))", at)))


def _screen(read: dict[str, Any]) -> Screen:
    rows = tuple(_runs([(text, look) for text, look in row]) for row in read["rows"])
    return Screen(rows, (read["cursor"][0], read["cursor"][1]), read["alternate"])


def _runs(cells: list[Run]) -> tuple[Run, ...]:
    runs: list[Run] = []
    for text, look in cells:
        if runs and runs[-1][1] == look:
            runs[-1] = (runs[-1][0] + text, look)
        else:
            runs.append((text, look))
    if runs and not runs[-1][1]:
        runs[-1] = (runs[-1][0].rstrip(" "), "")
        if not runs[-1][0]:
            runs.pop()
    return tuple(runs)


class Looks:
    """Reads what `tmux capture-pane -e` hands out: text between SGR sequences, which hold from row to row."""

    def __init__(self) -> None:
        self._flags: set[str] = set()
        self._colours: dict[str, str] = {}
        self._graphics = False

    def row(self, line: str) -> tuple[Run, ...]:
        cells: list[Run] = []
        at = 0
        for control in _CONTROL.finditer(line):
            cells.append((self._text(line[at : control.start()]), self._look()))
            at = control.end()
            if control[1] is not None:
                self._sgr(control[1])
            elif control[2]:
                self._graphics = control[2] == "\x0e"
        cells.append((self._text(line[at:]), self._look()))
        return _runs([cell for cell in cells if cell[0]])

    def _text(self, text: str) -> str:
        return "".join(GRAPHICS.get(one, one) for one in text) if self._graphics else text

    def _look(self) -> str:
        return ", ".join(
            [
                *sorted(self._flags),
                *(f"{kind} {self._colours[kind]}" for kind in sorted(self._colours, key="fg bg under".find)),
            ]
        )

    def _sgr(self, parameters: str) -> None:
        numbers = parameters.split(";")
        while numbers:
            code, *sub = (int(number or 0) for number in numbers.pop(0).split(":"))
            if code == 0:
                self._flags.clear()
                self._colours.clear()
            elif code == 5 and sub == [3]:  # as some versions of tmux write 53
                self._flags.add("overline")
            elif code in FLAGS:
                self._flags.add(FLAGS[code])
            elif code == 4:
                self._colours["under"] = UNDERLINES[sub[0] if sub else 1]
            elif code in (38, 48, 58):
                if not sub:
                    taken = 4 if numbers[0] == "2" else 2
                    sub = [int(number) for number in numbers[:taken]]
                    del numbers[:taken]
                if code != 58:  # the browser's interface does not tell an underline's colour
                    colour = "#{:02x}{:02x}{:02x}".format(*sub[-3:]) if sub[0] == 2 else str(sub[1])
                    self._colours["fg" if code == 38 else "bg"] = colour
            elif 30 <= code <= 37 or 40 <= code <= 47:
                self._colours["fg" if code < 40 else "bg"] = str(code % 10)
            elif 90 <= code <= 97 or 100 <= code <= 107:
                self._colours["fg" if code < 100 else "bg"] = str(code % 10 + 8)
            elif code in (39, 49):
                self._colours.pop("fg" if code == 39 else "bg", None)
