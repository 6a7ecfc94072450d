"""Commands, files and text by keyboard."""

from components.palette.palette import Command, Palette

__all__ = ["Command", "Palette"]
