"""A terminal on the screen."""

from components.terminal.terminal import Terminal

__all__ = ["Terminal"]
