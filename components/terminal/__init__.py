"""A terminal on the screen, live or as its record has it."""

from components.terminal.recorded_screen import RecordedScreen
from components.terminal.terminal import Terminal

__all__ = ["RecordedScreen", "Terminal"]
