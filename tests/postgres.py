"""A real PostgreSQL for tests: Debian's programs, an unprivileged user, a unix socket in a temporary folder."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = Path("/usr/lib/postgresql")
ROLE = "devex"


def _user() -> str | None:
    """PostgreSQL refuses to run as root."""
    return None if os.geteuid() else "nobody"


def _bin() -> Path:
    versions = sorted(PROGRAMS.glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name))
    if not versions:
        raise RuntimeError("PostgreSQL is not installed: run .ci/system-packages")
    return versions[-1].parent


@contextmanager
def running(password: str = "") -> Iterator[Path]:
    """-> the folder of its socket. With a password, it is asked for."""
    folder = Path(tempfile.mkdtemp(prefix="devex-postgres-"))
    folder.chmod(0o755)
    user, programs = _user(), _bin()
    if user is not None:
        os.chown(folder, pwd.getpwnam(user).pw_uid, -1)

    def run(*arguments: str) -> None:
        subprocess.run(arguments, check=True, capture_output=True, user=user, cwd=folder, timeout=60)

    data, secret = folder / "data", folder / "password"
    secret.write_text(password)
    admitted = ("-A", "scram-sha-256", "--pwfile", str(secret)) if password else ("-A", "trust")
    run(str(programs / "initdb"), "-D", str(data), "-U", ROLE, *admitted, "-E", "UTF8", "--no-sync", "--no-locale")
    options = f"-k {folder} -c listen_addresses='' -c fsync=off -c shared_buffers=16MB -c max_connections=40"
    control = (str(programs / "pg_ctl"), "-D", str(data), "-w")
    run(*control, "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield folder
    finally:
        run(*control, "-m", "immediate", "stop")
        shutil.rmtree(folder)


def url(folder: Path, database: str, password: str = "") -> str:
    """As an operator would write it."""
    return f"postgres://{ROLE}:{password}@/{database}?host={folder}"
