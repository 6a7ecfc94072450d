"""Sandboxes on this machine: bubblewrap started by a launcher process that outlives the server.

Two processes use this package. The server: `backend` and what it imports. The launcher: `launcher`, the parent of every
sandbox, without secrets in its memory or environment. What runs inside a sandbox is `runner.agent`.
"""
