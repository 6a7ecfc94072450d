"""Where else things are in a sandbox: the launcher puts them there, the server tells programs of them."""

AGENT = "/opt/runner/agent.py"
EGRESS_PORT = 3128
WAY_OUT = f"http://127.0.0.1:{EGRESS_PORT}"  # where programs find it
