"""The trusted side of one running REPL: an ASGI application over the agent's socket and the workspace.

It believes nothing the agent says beyond what the user may see, and bounds all of it. Who may call is the gateway's
business; here only `viewer.can_write` is looked at.
"""
