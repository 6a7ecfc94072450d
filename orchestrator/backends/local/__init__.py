"""Sandboxes on this machine: bubblewrap started by a launcher process that outlives the server.

`launcher/` is the launcher's process, and its warden's. Everything else is the server's, `backend` and what it imports;
of it the launcher sees only what both must agree on: `layout`, `inside`, `uids` and `wire`. What runs inside a sandbox
is `runner.agent`.
"""
