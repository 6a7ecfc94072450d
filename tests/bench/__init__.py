"""`make bench`: DEVEX's figures, each beside the physical limit measured in the same run.

`figures.py` is the table of names, units and targets; `server.py` runs DEVEX as its users do; `client.py` is the other
end, in a process of its own; `bare.py` measures the limits; one module a theme takes the measurements.
"""
