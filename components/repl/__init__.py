"""The page's link to its REPL: events in, requests out."""

from components.repl.repl import ReplLink

__all__ = ["ReplLink"]
