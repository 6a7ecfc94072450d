"""The page's ear on its REPL, and how all elements ask the server."""

from components.repl.repl_events import ReplEvents

__all__ = ["ReplEvents"]
