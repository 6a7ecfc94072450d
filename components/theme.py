"""Colours, type and icons of every page: one style sheet that browsers keep for a year, named after its content.

Icons are CSS masks (`<i class="dx-i dx-i-play">`): they take the text's colour; Python and JavaScript name them alike.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from nicegui import app, ui
from starlette.responses import Response

Theme = Literal["auto", "light", "dark"]
THEMES: tuple[Theme, ...] = ("auto", "light", "dark")
IS_DARK: dict[Theme, bool | None] = {"auto": None, "light": False, "dark": True}  # as ui.dark_mode has it

HERE = Path(__file__).resolve().parent
# Until the page's script has run, nothing but the background is seen: without this a dark page would flash white.
DARK_EARLY = "body:not(.body--light) { background: #14171d }"
EARLY: dict[Theme, str] = {
    "auto": f"<style>@media (prefers-color-scheme: dark) {{ {DARK_EARLY} }}</style>",
    "light": "",
    "dark": f"<style>{DARK_EARLY}</style>",
}
KEEP_S = 365 * 24 * 3600
SHAPES: dict[str, str] = json.loads((HERE / "icons.json").read_text())
ICON_ATTRIBUTES = "fill='none' stroke='#000' stroke-width='1.4' stroke-linecap='round' stroke-linejoin='round'"


def _icon_rules(shapes: dict[str, str]) -> list[str]:
    """One picture of all icons, each drawn on a grid of 16 x 16, and for every name which of them it is.

    A picture each would be a document each to the browser: 2 ms for every one that a page shows.
    """
    count = len(shapes)
    drawn = "".join(
        f"<svg y='{16 * at}' width='16' height='16' {ICON_ATTRIBUTES}>{shape}</svg>"
        for at, shape in enumerate(shapes.values())
    )
    sheet = f"<svg xmlns='http://www.w3.org/2000/svg' width='16' height='{16 * count}'>{drawn}</svg>"
    place = f"0 calc(var(--at) * 100% / {count - 1}) / 100% {count * 100}% no-repeat"
    mask = f'url("data:image/svg+xml,{quote(sheet, safe="<> =/:.-")}") {place}'
    return [
        f".dx-i{{-webkit-mask:{mask};mask:{mask}}}",
        *(f".dx-i-{name}{{--at:{at}}}" for at, name in enumerate(shapes)),
    ]


def style_sheet() -> str:
    """theme.css and the icons."""
    return "\n".join([(HERE / "theme.css").read_text(), *_icon_rules(SHAPES)])


FAVICON = (
    "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 24 24'><rect width='24' height='24' rx='6' fill='#4059de'/>"
    f"<g transform='translate(4 4)' {ICON_ATTRIBUTES.replace('#000', '#fff')}>{SHAPES['command']}</g></svg>"
)
STYLE_SHEET = style_sheet()
ADDRESS = f"/_devex/theme-{hashlib.sha256(STYLE_SHEET.encode()).hexdigest()[:16]}.css"


def serve(guards: Sequence[Any] = ()) -> None:
    """Add the style sheet's route; call once before the first page. `guards` are the route's FastAPI dependencies."""

    @app.get(ADDRESS, include_in_schema=False, dependencies=list(guards))
    def theme() -> Response:
        headers = {"Cache-Control": f"public, max-age={KEEP_S}, immutable"}
        return Response(STYLE_SHEET, media_type="text/css", headers=headers)


def use(theme: Theme) -> ui.dark_mode:
    """Dress the page that is being built."""
    ui.add_head_html(f'<link rel="stylesheet" href="{ADDRESS}">{EARLY[theme]}')
    ui.colors(primary="#4a63e7", negative="#c32a34")
    return ui.dark_mode(IS_DARK[theme])
