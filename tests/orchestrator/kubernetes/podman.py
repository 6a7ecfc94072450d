"""Pods in real containers: podman with a storage of its own, in which images are built and `kube play` runs manifests.

A pod has no network but its loopback. What is to come in or go out does so by sockets that are opened within it.
Source of the differences to a kubelet: podman-kube-play(1), and podman 4.3's sources where it says nothing.
"""

import asyncio
import base64
import contextlib
import copy
import ctypes
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil
from websockets.asyncio.client import ClientConnection, connect

from orchestrator.backends.kubernetes.manifests import LINK_PORT, Manifest
from runner.forwarding import wire
from tests.orchestrator.kubernetes import rootfs

ROOT: Final = Path(__file__).resolve().parents[3]
BASE: Final = "localhost/base:1"
PREFIX, TAG = "localhost/", "1"
COMMAND_S: Final = 120.0
CGROUPS: Final = Path("/sys/fs/cgroup")
MOST_BYTES: Final = 2 << 30  # of images while they are imported and built; in memory it is done in half the time

# Limits that root may set without CAP_SYS_RESOURCE, nothing of systemd, no locks shared with other podmans.
_CONFIGURATION = """
[containers]
default_ulimits = ["nofile=16384:16384", "nproc=4096:4096"]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
image_default_transport = "containers-storage:"
lock_type = "file"
runtime = "runc"
"""
# What `k8s/images/build` calls. A build needs no network here, and one layer is made faster than many.
_ENGINE = """#!/bin/sh
command=$1
shift
[ "$command" = build ] && set -- --network none --layers=false "$@"
exec podman {options} "$command" "$@"
"""


class Podman:
    """`with`. Everything of it is in one folder, and gone in the end."""

    def __init__(self) -> None:
        assert os.geteuid() == 0, "A pod's network can be entered by root only: run the tests of pods as root."
        self.pods: list[str] = []  # ids of all that there were
        self._folder = Path(tempfile.mkdtemp(prefix="podman-", dir=_in_memory()))
        (self._folder / "containers.conf").write_text(_CONFIGURATION)
        places = {"root": "storage", "runroot": "run", "tmpdir": "tmp"}
        options = " ".join(f"--{option} {self._folder / name}" for option, name in places.items())
        self.engine = self._folder / "engine"
        self.engine.write_text(_ENGINE.format(options=options))
        self.engine.chmod(0o755)
        self.environment = {**os.environ, "CONTAINERS_CONF": str(self._folder / "containers.conf")}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self("pod", "rm", "--all", "--force", "--time", "0")
        psutil.wait_procs(list(self._processes()), timeout=COMMAND_S)  # what cleans up after containers
        for process in self._processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for pod in self.pods:
            for left in CGROUPS.glob(f"*/libpod_parent/{pod}"):  # of hierarchies that podman does not look after
                left.rmdir()
        mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for mount in reversed([one for one in mounts if Path(one).is_relative_to(self._folder)]):
            subprocess.run(["umount", "--lazy", mount], check=True)
        shutil.rmtree(self._folder)

    def __call__(self, *arguments: str, told: str = "") -> str:
        """-> its output; `told` is its input."""
        return self._run([str(self.engine), *arguments], self.environment, told)

    def _processes(self) -> Iterator[psutil.Process]:
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self._folder) in word for word in process.info["cmdline"] or ()):
                yield process

    def import_base(self) -> None:
        """BASE."""
        tar = self._folder / "base.tar"
        rootfs.write(tar)
        self("import", "--quiet", str(tar), BASE)
        tar.unlink()

    def build(self, *names: str, base: str = BASE, packages: str = "no") -> list[str]:
        """-> the ids of the images, which are then called f"{PREFIX}devex-{name}:{TAG}"."""
        told = {"ENGINE": str(self.engine), "BASE": base, "PYTHON_BASE": BASE, "PACKAGES": packages}
        self._run([str(ROOT / "k8s/images/build"), *names], {**self.environment, **told, "PREFIX": PREFIX, "TAG": TAG})
        return [self("image", "inspect", "--format", "{{.Id}}", f"{PREFIX}devex-{name}:{TAG}") for name in names]

    def _run(self, command: list[str], environment: dict[str, str], told: str = "") -> str:
        done = subprocess.run(
            command,
            cwd=self._folder,  # where conmon writes a file when memory has run out
            env=environment,
            input=told,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
        return done.stdout.strip()


class PlayedPod:
    """`with`. One at a time: volumes are called what the manifest calls them."""

    def __init__(self, podman: Podman, name: str, template: Manifest, secret: Manifest) -> None:
        self._podman = podman
        self._name = name
        self._secret = secret
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**template["metadata"], "name": name},
            "spec": for_podman(template["spec"]),
        }
        self._manifests = "\n---\n".join(map(json.dumps, (secret, pod)))

    def __enter__(self) -> Self:
        self._podman("kube", "play", "--network", "none", "--start=false", "-", told=self._manifests)
        secret = self.volume(self._secret["metadata"]["name"])
        for name, value in self._secret["data"].items():  # podman 4.3 leaves them as they are in the manifest
            (secret / name).write_bytes(base64.b64decode(value))
        self._podman("pod", "start", self._name)
        pod = json.loads(self._podman("pod", "inspect", self._name))
        self.uid = pod["Id"]
        self._podman.pods.append(self.uid)
        self._infra = self._podman("inspect", "--format", "{{.State.Pid}}", pod["InfraContainerID"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            print(self.logs())
        self._podman("pod", "rm", "--force", "--time", "0", self._name)
        self._podman("volume", "rm", "--all", "--force")

    def logs(self) -> str:
        command = [str(self._podman.engine), "pod", "logs", "--names", "--tail", "100", self._name]
        done = subprocess.run(command, env=self._podman.environment, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    def pid(self, container: str) -> int:
        """On this machine, of its first process."""
        return int(self._podman("inspect", "--format", "{{.State.Pid}}", f"{self._name}-{container}"))

    def volume(self, name: str) -> Path:
        return Path(self._podman("volume", "inspect", "--format", "{{.Mountpoint}}", name))

    def end(self) -> None:
        """As a kubelet does: programs first, the sidecar after them, each asked nicely."""
        for container in ("runner", "proxy"):
            self._podman("stop", "--time", "60", f"{self._name}-{container}")

    def exit_code(self, container: str) -> int:
        return int(self._podman("inspect", "--format", "{{.State.ExitCode}}", f"{self._name}-{container}"))

    async def dial(self) -> ClientConnection:
        """As the gateway: to the proxy's port."""
        opened = self.within(socket.socket)
        opened.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(opened, ("127.0.0.1", LINK_PORT))
            url = f"ws://127.0.0.1:{LINK_PORT}{wire.PATH}"
            return await connect(url, sock=opened, compression=None, max_size=wire.FRAME_MOST_BYTES, proxy=None)
        except BaseException:
            opened.close()
            raise

    def within(self, make: Callable[[], socket.socket]) -> socket.socket:
        """A socket that is of the pod's network, whoever uses it."""

        def enter_and_make() -> socket.socket:
            libc = ctypes.CDLL(None, use_errno=True)
            with open(f"/proc/{self._infra}/ns/net") as network:
                if libc.setns(network.fileno(), _CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            return make()

        with ThreadPoolExecutor(1) as thread:  # a thread has its network to itself, and this one ends here
            return thread.submit(enter_and_make).result()


_CLONE_NEWNET = 0x40000000


def _in_memory() -> str | None:
    """A folder that is in memory, where there is one with room that programs can be started from."""
    folder = "/dev/shm"
    if not Path(folder).is_dir() or os.statvfs(folder).f_flag & os.ST_NOEXEC:
        return None
    return folder if shutil.disk_usage(folder).free > MOST_BYTES else None


def for_podman(spec: Manifest) -> Manifest:
    """The pod with its native sidecar among the ordinary containers, for podman knows none.

    What its `kube play` cannot do without a network and systemd goes with it: ports and probes. And of a secret it
    wants said what is the default.
    """
    changed: dict[str, Any] = copy.deepcopy(spec)
    sidecars = changed.pop("initContainers")
    for sidecar in sidecars:
        for name in ("restartPolicy", "ports", "startupProbe", "livenessProbe"):
            del sidecar[name]
    changed["containers"] = [*sidecars, *changed["containers"]]
    for volume in changed["volumes"]:
        if "secret" in volume:
            volume["secret"]["optional"] = False
    return changed
