"""A line that says how far the files of a REPL that came up empty are back, and what was lost."""

from nicegui.element import Element

from components import BUNDLE


class Restoring(Element, component="devex_restoring.js", esm=BUNDLE):
    """Hears `restoring` and `stored` through the `ReplEvents` of the page; takes no room while there is nothing to say.
    A restore that a person asked for is told by `History` and `Receipt`."""
