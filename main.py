"""`python main.py` serves DEVEX on http://127.0.0.1:8080; `devex` is the same and more. See docs/configuration.md.

The parts are put together in app/server.py; app/start.py chooses where REPLs run.
"""

import sys

if __name__ == "__main__":
    try:
        from app.cli import cli  # takes half a second, in which nothing runs yet that Ctrl-C would have to stop

        cli(["serve"])
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell tells it, and as the command itself ends
