"""The wire between the trusted proxy and the agent in the sandbox, without I/O: framing and messages.

Both ends import it, so it costs the agent little: standard library C modules only, no `typing`, `json` or
`dataclasses` at run time (they would double the agent's start time and memory). Sockets do not belong here.
"""
