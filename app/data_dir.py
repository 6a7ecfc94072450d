"""The folder of everything that must last: made, checked, and held by one server at a time."""

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from runner.errors import DevexError

LOCK_NAME = "server.lock"
SECRET_NAME = "secret"  # noqa: S105  # the name of a file


class BadDataDir(DevexError):
    def __init__(self, message: str, action: str) -> None:
        super().__init__("data_dir", message, action, status=500)


def prepare(data_dir: Path) -> None:
    """Make it, for its owner alone. Raises BadDataDir when nothing can be written there."""
    probe = data_dir / f".probe-{secrets.token_hex(4)}"
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            probe.write_bytes(b"?")
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        writable = "Set DEVEX_DATA_DIR to a folder that the user who runs DEVEX can write."
        action = "Make room on its disk, then start again." if is_full else writable
        raise BadDataDir(f"The data folder {data_dir} cannot be used: {reason}.", action) from None


@contextmanager
def held(data_dir: Path) -> Iterator[None]:
    """Keep other servers out: each would take the other's REPLs for strangers. Raises BadDataDir when one is there."""
    descriptor = os.open(data_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = f"Another DEVEX server uses the data folder {data_dir}."
            raise BadDataDir(message, "Stop it, or set DEVEX_DATA_DIR to another folder.") from None
        yield
    finally:
        os.close(descriptor)


def secret_of(data_dir: Path) -> str:
    """What signs this installation's cookies: random, made at the first call and kept."""
    path = data_dir / SECRET_NAME
    if not path.exists():
        new = data_dir / f".{SECRET_NAME}-{secrets.token_hex(4)}"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
        new.rename(path)
    return path.read_text().strip()
