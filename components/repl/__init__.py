"""The page's ear on its REPL, and how all elements ask the server."""

from components.repl.repl import ReplEvents

__all__ = ["ReplEvents"]
