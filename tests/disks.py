"""Small disks, which a test may fill: each is mounted where nobody else sees it."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

FILLER: Final = "filler"


class Disk:
    """`path` reaches into it from here. What resolves paths, as SQLite does, finds it at `folder` in a process that is
    started `within`, which begins in the root folder.
    """

    def __init__(self, folder: Path, mounted_by: int) -> None:
        self.folder = folder
        self.path = Path(f"/proc/{mounted_by}/root{folder}")
        self.within = ("nsenter", "--mount", "--target", str(mounted_by))

    def fill(self, room_kib: int = 0) -> None:
        """Until so much room is left."""
        self.free()
        left = os.statvfs(self.path)
        with open(self.path / FILLER, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, left.f_bavail * left.f_frsize - (room_kib << 10))

    def free(self) -> None:
        (self.path / FILLER).unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[Disk]:
    """At an empty folder, as long as `cat` runs."""
    mount = f'mount -t tmpfs -o size={size_mib}m tmpfs "$1"; echo mounted; exec cat'
    pipe = subprocess.PIPE
    with subprocess.Popen(["unshare", "--mount", "sh", "-ec", mount, "sh", folder], stdin=pipe, stdout=pipe) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"mounted\n"
            yield Disk(folder, holder.pid)
        finally:
            holder.kill()
