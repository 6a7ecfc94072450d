"""A file to read, whether its REPL runs or not."""

from components.reader.reader import Reader

__all__ = ["Reader"]
