"""`python main.py` serves DEVEX on http://127.0.0.1:8080; `devex` is the same and more. See docs/configuration.md.

The parts are put together in app/server.py; app/start.py chooses where REPLs run.
"""

from app.cli import cli

if __name__ == "__main__":
    cli(["serve"])
