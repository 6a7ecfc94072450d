"""Text files in tabs, edited together and saved by themselves."""

from components.editor.editor import Editor

__all__ = ["Editor"]
