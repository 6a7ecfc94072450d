"""The kinds of sandbox other than this process's own, each in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.backends.local.launcher import modes
from orchestrator.backends.local.launcher.bubblewrap import Mode
from orchestrator.backends.local.launcher.reach import open_to_all
from orchestrator.backends.local.uids import FIRST_UID

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = Path(pytest.__file__).resolve().parents[1]
ORDINARY_UID = 54_321


@pytest.mark.timeout(600)
def test_the_walls_stand_for_an_ordinary_user_too() -> None:
    if os.geteuid() != 0:  # then every other test here has run as one
        assert modes.modes_for(os.geteuid()) == (Mode.USER,)
        return
    base = Path("/tmp") / f"devex-user-{os.getpid()}"
    base.mkdir()
    os.chown(base, ORDINARY_UID, ORDINARY_UID)
    root, packages = (_for_everybody(folder, base / name) for folder, name in ((ROOT, "root"), (PACKAGES, "packages")))
    environment = {"PATH": os.defpath, "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(root), str(packages)])
    python = _python_for_everybody()
    folder = "tests/orchestrator/local"
    tests = [f"{folder}/{name}.py" for name in ("test_walls", "test_launcher")]
    try:
        ran = subprocess.run(
            [python, "-m", "pytest", "-qxm", "not soak", "-p", "no:cacheprovider", f"--basetemp={base}/t", *tests],
            user=ORDINARY_UID, group=ORDINARY_UID, extra_groups=[], cwd=root, env=environment, timeout=600,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    finally:
        subprocess.run(["rm", "-rf", str(base)], check=True)
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-2000:]


def _for_everybody(folder: Path, copy: Path) -> Path:
    """`folder` if any user may read it, else a copy: the clone may lie below /root."""
    if open_to_all(folder):
        return folder
    copy.mkdir()
    parts = [part for part in folder.iterdir() if part.name not in (".venv", ".git", "node_modules", "data")]
    subprocess.run(["cp", "-r", *parts, copy], check=True)
    return copy


def _python_for_everybody() -> str:
    """An interpreter that any user may execute: ours may lie below /root."""
    if open_to_all(Path(sys.executable).resolve().parent):
        return sys.executable
    system_python = "/usr/bin/python3"
    version = subprocess.run(
        [system_python, "-c", "import sys; print(sys.version_info[:2] == " + str(tuple(sys.version_info[:2])) + ")"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert version.stdout.strip() == "True", "no Python of this version that an ordinary user may execute"
    return system_python


def test_without_user_namespaces_root_drops_inside(tmp_path: Path) -> None:
    """The real launcher parts, told that there are none."""
    if os.geteuid() != 0:
        assert Mode.ROOT_SETUID not in modes.modes_for(os.geteuid())
        return
    script = ROOT / "tests" / "orchestrator" / "local" / "setuid_mode.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], env=environment, timeout=100, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found["uid"] == found["owner"] > FIRST_UID
    assert found["capabilities"] == "0" * 16
    assert found["sysctl"] == "refused"
    assert found["name"] == "runner"
    assert found["workspace"] == "/workspace"
    assert found["unshare"] == "refused"
