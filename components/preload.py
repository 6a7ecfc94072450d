"""Has a page load what its elements import while it is itself still being read, not one import after the other."""

import json
from collections.abc import Iterable

from nicegui import __version__, ui
from nicegui.dependencies import esm_modules

from components import BUNDLE, DIST

NEEDS = "needs.json"  # build.mjs: the files of each entry of the bundle, with all that they import


def preload(entries: Iterable[str]) -> None:
    """Of the page that is being built; `entries` are names such as "editor.js"."""
    needs: dict[str, list[str]] = json.loads((DIST / NEEDS).read_text())
    files = dict.fromkeys(file for entry in entries for file in needs[entry])
    key = next(key for key, module in esm_modules.items() if module.name in BUNDLE)
    base = f"/_nicegui/{__version__}/esm/{key}"
    ui.add_head_html("".join(f'<link rel="modulepreload" href="{base}/{file}">' for file in files))
