"""The REST routes under /api and /healthz, an application of their own: nothing of NiceGUI's sessions is in it."""

from app.api.application import build

__all__ = ["build"]
