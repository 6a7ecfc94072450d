"""A folder with k8s/ in it, where shell commands run; programs that reach outside are stubs that note their calls."""

import shutil
import subprocess
from pathlib import Path

from tests.k8s.built import KUBECTL, ROOT

Call = list[str]
"""A program and its arguments."""

# What commands of the documentation and the scripts call; anything else is not found.
STUBS = (
    *("make", "devex", "kubectl", "kind", "minikube", "docker", "podman", "ctr"),
    *("install", "cp", "mc", "aws", "sqlite3", "pg_dump"),
)
REAL = ("bash", "env", "dirname", "sed", "sort", "od", "tr", "grep", "mkdir", "rm", "cat")

# kubectl builds overlays for real, and knows no Secret yet; what is sent to a stub is read.
_STUB = f"""#!{shutil.which("bash")}
{{ printf '%s\\037' "${{0##*/}}" "$@"; printf '\\036'; }} >>"$CALLS"
case "${{0##*/}} $*" in
  "kubectl kustomize "*) exec {KUBECTL} "$@" ;;
  *"=/dev/stdin"*) cat >"$CALLS.stdin" ;;
esac
"""


class Stage:
    def __init__(self, folder: Path) -> None:
        self.folder = folder / "clone"
        shutil.copytree(ROOT / "k8s", self.folder / "k8s")
        self._programs = folder / "programs"
        self._programs.mkdir()
        self._calls = folder / "calls"
        for name in STUBS:
            (self._programs / name).write_text(_STUB)
            (self._programs / name).chmod(0o755)
        for name in REAL:
            (self._programs / name).symlink_to(shutil.which(name) or name)

    @property
    def sent(self) -> str:
        """What the last stub was sent."""
        return self._calls.with_name("calls.stdin").read_text()

    def run(self, script: str, **environment: str) -> tuple[list[Call], str]:
        """-> the calls, and what was printed. It must end well."""
        self._calls.write_bytes(b"")
        variables = {"PATH": str(self._programs), "CALLS": str(self._calls), **environment}
        ran = subprocess.run(
            [self._programs / "bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder, env=variables, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, f"{script}\n{ran.stdout}{ran.stderr}"
        calls = [call.split("\x1f")[:-1] for call in self._calls.read_text().split("\x1e")[:-1]]
        return calls, ran.stdout
