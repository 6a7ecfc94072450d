"""Tabs that change in the browser, at once."""

from components.tabs.tabs import Tab, Tabs

__all__ = ["Tab", "Tabs"]
