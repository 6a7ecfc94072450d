"""The versions of a REPL: the way back to them, and the word that there is one."""

from components.history.history import History
from components.history.receipt import Receipt
from components.history.restoring import Restoring

__all__ = ["History", "Receipt", "Restoring"]
