"""Only runner/workspace resolves workspace paths. Trusted code beside it must not even own the tools for it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
GUARDED = ("runner/proxy", "runner/documents")  # hold user's paths, and have no files of their own
FORBIDDEN_MODULES = {"shutil", "tempfile", "glob", "tarfile", "zipfile", "fileinput"}
FORBIDDEN_CALLS = {"open"}
FORBIDDEN_METHODS = {
    *("resolve", "realpath", "read_text", "read_bytes", "write_text", "write_bytes", "iterdir", "rglob", "scandir"),
    *("listdir", "rmtree", "makedirs", "symlink_to", "hardlink_to", "extractall"),
    *("unlink", "chmod", "lchmod", "touch", "rename"),
    *("lstat", "is_file", "is_dir", "is_symlink", "readlink", "samefile", "walk", "rmdir"),
}
# Of paths, too; but our own objects have methods of the same names, and records a field `stat`.
FORBIDDEN_CALLED = {"open", "stat", "exists", "mkdir", "glob"}
OURS = {"workspace", "_workspace", "replaced", "_rooms", "_streams", "_terminals"}
# os.* that take a path; descriptors (os.fstat, os.pread, os.dup, os.close) are fine
FORBIDDEN_OS = {
    *("open", "stat", "lstat", "rename", "replace", "remove", "unlink", "rmdir", "mkdir", "chmod", "chown", "lchown"),
    *("link", "symlink", "readlink", "truncate", "utime", "walk", "fwalk", "mkfifo", "mknod", "access", "chdir"),
}
ALLOWED = {
    ("runner/documents/replaced.py", "stat"),  # its own method, of a descriptor
    # the proxy's own socket, in a folder that the sandbox sees read-only
    *(("runner/proxy/link.py", name) for name in ("unlink", "chmod")),
    # the pod's Secret, which is mounted for the proxy alone
    *(("runner/proxy/pod.py", name) for name in ("exists", "read_bytes")),
    # their own methods
    ("runner/proxy/execs/routes.py", "open"),
    ("runner/proxy/terminals/routes.py", "rename"),
    ("runner/proxy/terminals/terminals.py", "rename"),
    # the records, in a folder beside the workspace that the sandbox does not see; named by ids of the proxy's own form
    *(
        ("runner/proxy/records/disk.py", name)
        for name in (
            "glob",
            "iterdir",
            "mkdir",
            "open",
            "os.truncate",
            "read_bytes",
            "rmtree",
            "shutil",
            "stat",
            "unlink",
            "write_text",
        )
    ),
    # its socket, and what a pod that was kept ready was told, in memory that is mounted for the proxy alone
    *(("runner/proxy/slot.py", name) for name in ("unlink", "exists", "read_bytes", "open", "os.open", "rename")),
}


def offences(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, n.name) for n in names if n.name.partition(".")[0] in FORBIDDEN_MODULES)
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in FORBIDDEN_MODULES:
                yield node.lineno, module
            case ast.ImportFrom(module="os", names=names):
                yield from ((node.lineno, f"os.{n.name}") for n in names if n.name in FORBIDDEN_OS)
            case ast.Call(func=ast.Name(id=name)) if name in FORBIDDEN_CALLS:
                yield node.lineno, name
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name in FORBIDDEN_OS:
                yield node.lineno, f"os.{name}"
            case ast.Attribute(attr=name) if name in FORBIDDEN_METHODS:
                yield node.lineno, name
            case ast.Call(func=ast.Attribute(value=of, attr=name)) if name in FORBIDDEN_CALLED:
                if ast.unparse(of).rpartition(".")[2] not in OURS:
                    yield node.lineno, name


def modules() -> list[Path]:
    return sorted(path for folder in GUARDED for path in (REPOSITORY / folder).rglob("*.py"))


@pytest.mark.parametrize("module", modules(), ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_leaves_workspace_paths_alone(module: Path) -> None:
    name = str(module.relative_to(REPOSITORY))
    found = [(line, what) for line, what in offences(ast.parse(module.read_text())) if (name, what) not in ALLOWED]
    assert not found, f"{name} must go through runner.workspace: {found}"


def test_no_archive_is_unpacked_by_trusted_code() -> None:
    for package in ("app", "components", "orchestrator", "runner"):
        for module in (REPOSITORY / package).rglob("*.py"):
            if "node_modules" in module.parts or "templates" in module.relative_to(REPOSITORY).parts[:-1]:
                continue
            source = module.read_text()
            assert "extractall" not in source, module
            assert "unpack_archive" not in source, module


@pytest.mark.parametrize(
    "source",
    [
        "import shutil",
        "from shutil import rmtree",
        "import os.path\nos.path.realpath('x')",
        "open('x')",
        "path.resolve()",
        "path.read_bytes()",
        "path.unlink()",
        "path.is_file()",
        "path.open()",
        "path.stat()",
        "self._folder.exists()",
        "(folder / 'x').mkdir()",
        "os.open('x', 0)",
        "from os import rename",
        "import tarfile",
    ],
)
def test_the_gate_sees(source: str) -> None:
    assert list(offences(ast.parse(source)))


def test_the_gate_lets_descriptors_through() -> None:
    assert not list(offences(ast.parse("import os\nos.fstat(3)\nos.close(3)\nworkspace.open_read('x')")))


def test_the_gate_lets_our_own_objects_through() -> None:
    assert not list(offences(ast.parse("self._workspace.stat('x')\nworkspace.mkdir('x')\nfound.stat.size")))
