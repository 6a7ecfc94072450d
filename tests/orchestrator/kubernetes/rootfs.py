"""A root file system out of this machine's own files, for tests that build images: no registry is asked for anything.

It holds what `python:3.11-slim` would bring, as far as the Containerfiles and the tests need it: Python with pip,
certificates, a shell, a few tools; and the packages of proxy.lock, which pip then finds installed.
"""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Collection
from pathlib import Path
from types import TracebackType
from typing import Self

ROOT = Path(__file__).resolve().parents[3]
LOCK = ROOT / "k8s/images/proxy.lock"
TOOLS = (
    "bash", "cat", "chmod", "chown", "cp", "env", "grep", "head", "id", "kill", "ln", "ls", "mkdir", "mv", "readlink",
    "rm", "sed", "sh", "sleep", "stat", "touch", "true", "tty", "uname",
)  # fmt: skip
MERGED = ("bin", "lib", "lib64", "sbin")  # links into /usr, as Debian has them
NOT_NEEDED = {
    "test", "tests", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "pydoc_data", "site-packages",
    "dist-packages", "EXTERNALLY-MANAGED",
}  # fmt: skip
_PLACES = """
import ssl, sysconfig
certificates = ssl.get_default_verify_paths()
print(sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"), certificates.cafile, certificates.openssl_cafile)
"""
_LIBRARY = re.compile(r"(/\S+\.so\S*) \(0x")


def write(target: Path) -> None:
    """A tar that `podman import` takes: of every file what it holds and its mode, all of them root's."""
    python = Path(sys._base_executable).resolve()  # type: ignore[attr-defined]  # not the virtual environment's
    told = subprocess.run([python, "-I", "-c", _PLACES], capture_output=True, text=True, check=True).stdout
    standard_library, packages, certificates, wanted_at = map(Path, told.split())
    with RootFs(target) as root:
        root.add(python)
        for name in ("python3", "python"):
            root.link(f"/usr/local/bin/{name}", str(python))
        root.add_tree(standard_library)
        root.add(certificates.resolve(), wanted_at)
        for name in {"pip", *re.findall(r"^([\w-]+)==", LOCK.read_text(), re.MULTILINE)}:
            root.add_package(name, packages)
        for name in TOOLS:
            found = Path(shutil.which(name, path="/usr/bin:/bin") or f"/no/{name}").resolve()
            root.add(found)
            root.link(f"/usr/bin/{name}", str(found))
        root.add_libraries()


class RootFs:
    def __init__(self, target: Path) -> None:
        self._tar = tarfile.open(target, "w")  # noqa: SIM115  # closed with this
        self._there = {"/"}
        self._programs: list[Path] = []  # and libraries: what needs others
        for name in ("usr/local/bin", "etc", "root", "proc", "sys", "dev", "run", "var"):
            self._folder(f"/{name}")
        for name in MERGED:
            self._folder(f"/usr/{name}")
            self.link(f"/{name}", f"usr/{name}")
        self._folder("/tmp", 0o1777)
        self._folder("/var/tmp", 0o1777)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tar.close()

    def add(self, source: Path, at: Path | None = None) -> None:
        """A file, without links."""
        path = str(at or source)
        if path in self._there:
            return
        self._folder(os.path.dirname(path))
        self._there.add(path)
        status = source.stat()
        info = self._info(path, 0o755 if status.st_mode & 0o100 else 0o644)
        info.size, info.mtime = status.st_size, int(status.st_mtime)  # by which Python knows what it has compiled
        with source.open("rb") as content:
            self._tar.addfile(info, content)
        if source.name.startswith("python") or ".so" in source.name or source.parent.name in ("bin", "sbin"):
            self._programs.append(source)

    def add_tree(self, source: Path) -> None:
        for folder, names, files in os.walk(source):
            names[:] = [name for name in names if _is_needed(name)]
            for name in filter(_is_needed, files):
                self.add(Path(folder, name).resolve(), Path(folder, name))

    def add_package(self, name: str, into: Path) -> None:
        for file in importlib.metadata.distribution(name).files or ():
            source = Path(str(file.locate()))
            if ".." not in file.parts and source.exists():
                self.add(source, into / file)

    def add_libraries(self) -> None:
        """What everything so far is linked with."""
        packages = Path(sys.prefix).resolve()
        told = subprocess.run(["ldd", *map(str, self._programs)], capture_output=True, text=True, check=False).stdout
        for found in sorted(set(_LIBRARY.findall(told))):
            path = Path(found).parent.resolve() / Path(found).name
            if not path.is_relative_to(packages):  # they bring theirs along
                self.add(path.resolve())
                self.link(str(path), str(path.resolve()))

    def link(self, path: str, to: str) -> None:
        if path not in self._there:
            self._folder(os.path.dirname(path))
            self._there.add(path)
            info = self._info(path, 0o777)
            info.type, info.linkname = tarfile.SYMTYPE, to
            self._tar.addfile(info)

    def _folder(self, path: str, mode: int = 0o755) -> None:
        if path not in self._there:
            self._folder(os.path.dirname(path))
            self._there.add(path)
            info = self._info(path, mode)
            info.type = tarfile.DIRTYPE
            self._tar.addfile(info)

    def _info(self, path: str, mode: int) -> tarfile.TarInfo:
        info = tarfile.TarInfo(path.lstrip("/"))
        info.mode = mode
        return info


def _is_needed(name: str, unneeded: Collection[str] = NOT_NEEDED) -> bool:
    return name not in unneeded and not name.startswith(("_tkinter.", "config-")) and ".opt-" not in name
