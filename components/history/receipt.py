"""One line that says how much of a REPL is safe in the store."""

from nicegui.element import Element

from components import BUNDLE


class Receipt(Element, component="devex_receipt.js", esm=BUNDLE):
    """Hears `stored` through the `ReplEvents` of the page. The whole sentence is its tooltip; pressed, it tells it and
    gives the commands "history" and "save-version"."""
