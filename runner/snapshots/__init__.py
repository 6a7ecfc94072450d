"""Versions of a workspace in a content-addressed store: taken, listed, compared, brought back, thinned.

What is pure is in `layout` (what the objects look like) and `retention` (what is kept); effects are at the edges:
stores hold bytes under keys, `runner.workspace` reads and writes files, a worker process does the heavy part.
"""
