"""Where things are inside a sandbox: the launcher puts them there, the server tells programs of them."""

WORKSPACE = "/workspace"
TMP = "/tmp"  # noqa: S108 (the sandbox's own)
SOCKETS = "/run/devex"  # read-only: what the server listens on
AGENT = "/opt/runner/agent.py"
EGRESS_PORT = 3128  # where programs find the way out
