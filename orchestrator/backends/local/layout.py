"""Where a server and its launcher keep things. Both compute the same paths from the data directory."""

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

_REPL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_FOR_EVERY_UID = 0o711  # sandboxes of other uids pass through; nobody lists


@dataclass(frozen=True, slots=True)
class Layout:
    """`data` holds what must last. `runtime` is made anew after a reboot; it is short, since socket paths end at 107
    bytes, and below no private folder, since bubblewrap resolves paths as the sandbox's uid."""

    data: Path
    runtime: Path

    @property
    def workspaces(self) -> Path:
        return self.data / "workspaces"

    @property
    def temporary(self) -> Path:
        """What is /tmp in sandboxes whose memory nobody bounds."""
        return self.data / "tmp"

    @property
    def store(self) -> Path:
        """Of versions, unless another store is set."""
        return self.data / "store"

    @property
    def caches(self) -> Path:
        """What the last snapshot of each workspace found out."""
        return self.data / "caches"

    def records(self, repl_id: str) -> Path:
        """Of what its terminals said."""
        return self.data / "records" / checked(repl_id)

    @property
    def log(self) -> Path:
        return self.data / "launcher.log"

    @property
    def launcher_socket(self) -> Path:
        return self.runtime / "launcher.sock"

    @property
    def group_prefix(self) -> str:
        """Of control groups: two installations on one machine keep apart."""
        return f"devex-{_name(self.data)}-"

    def workspace(self, repl_id: str) -> Path:
        return self.workspaces / checked(repl_id)

    def sockets(self, repl_id: str) -> Path:
        """What the sandbox sees, read-only, as /run/devex."""
        return self.runtime / "run" / checked(repl_id)

    def make(self) -> None:
        """Create the folders. OSError, or PermissionError when somebody else has put something in their place."""
        self.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        open_mode = _FOR_EVERY_UID if os.geteuid() == 0 else 0o700
        for folder in (self.workspaces, self.temporary):
            folder.mkdir(exist_ok=True)
            folder.chmod(open_mode)
        for folder in (self.caches, self.data / "records"):
            folder.mkdir(exist_ok=True, mode=0o700)
        for folder in (self.runtime, self.runtime / "run"):
            folder.mkdir(exist_ok=True, mode=0o700)
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
                raise PermissionError(f"{folder} belongs to somebody else")
            folder.chmod(open_mode)


def layout(data: Path) -> Layout:
    data = data.resolve()
    return Layout(data, _runtime_parent() / f"devex-{os.geteuid()}-{_name(data)}")


def checked(repl_id: str) -> str:
    """The id as a file name. Raises ValueError: it is none."""
    if not _REPL_ID.fullmatch(repl_id):
        raise ValueError(f"{repl_id!r} is not the id of a REPL")
    return repl_id


def _name(data: Path) -> str:
    return hashlib.sha256(os.fsencode(data)).hexdigest()[:10]


def _runtime_parent() -> Path:
    """Not XDG_RUNTIME_DIR, which goes when its user logs out; a server under tmux or nohup does not."""
    run = Path("/run")
    return run if os.geteuid() == 0 and os.access(run, os.W_OK) else Path("/tmp")  # noqa: S108 (its owner is checked)
