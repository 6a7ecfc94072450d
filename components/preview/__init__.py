"""The running program's web page."""

from components.preview.preview import Preview

__all__ = ["Preview"]
