"""The launcher: parent of every sandbox, so that a server may crash, be upgraded or restarted while programs run on.

A process of its own (`python -m orchestrator.backends.local.launcher`), without secrets in its memory or environment.
Nothing here is imported by the server; the two share `layout`, `inside`, `uids` and `wire`.
"""
