"""Sandboxes on this machine: bubblewrap started by a launcher process that outlives the server.

Two processes use this package. The server: `backend` and what it imports. The launcher: `launcher`, root's or the user's,
without secrets in its memory or environment, the parent of every sandbox. What runs inside a sandbox is `runner.agent`.
"""
