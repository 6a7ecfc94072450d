"""Commands of scripts: each with its input, output, end and time limit over one connection, and gone with it."""
