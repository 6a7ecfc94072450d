"""The page's ear on its REPL, and how all elements ask the server."""

from components.repl.network import PING_EVERY_S, Network
from components.repl.repl_events import ReplEvents
from components.repl.told import Hello, Paused, Port, Ports, Quota, Run, Shell, Shells, Told, shells_of

__all__ = [
    "PING_EVERY_S",
    "Hello",
    "Network",
    "Paused",
    "Port",
    "Ports",
    "Quota",
    "ReplEvents",
    "Run",
    "Shell",
    "Shells",
    "Told",
    "shells_of",
]
