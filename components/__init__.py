"""NiceGUI elements of the workbench: data in, callbacks out. Each folder holds an element's .py and .js.

What an element imports from npm it re-exports in its folder's `bundle.mjs`; `components/build.py` bundles every
`components/<folder>/bundle.mjs` into `dist/<folder>.js` (shared parts in `dist/chunks`), found in the browser under the
import-map name `devex-bundle`:

    class Editor(Element, component="devex_editor.js", esm=BUNDLE): ...    # components/editor/editor.py
    import { EditorView } from "devex-bundle/editor.js";                   // components/editor/devex_editor.js

The .js file's name becomes the element's tag and must differ from NiceGUI's own: hence the prefix `devex_`. It is
served by itself, so it imports from the bundle but not from a neighbour: further own modules go behind `bundle.mjs`;
what several elements use lies beside their folders (`popups.mjs`).
A style sheet imported there (`import css from "./x.css"`) arrives as a string.
"""

from pathlib import Path
from typing import Final

DIST: Final = Path(__file__).resolve().parent / "dist"
BUNDLE: Final = {"devex-bundle": str(DIST)}
