"""Two panes with a gutter between them."""

from components.split.split import Split

__all__ = ["Split"]
