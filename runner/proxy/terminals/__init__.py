"""Terminals: their output and its viewers, and the routes to them."""
