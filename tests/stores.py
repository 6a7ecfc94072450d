"""S3 servers for tests, on loopback: moto, which keeps conditions, and rclone, which checks signatures."""

import re
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from runner.snapshots.stores.s3 import S3Config

BUCKET = "versions"
ACCESS_KEY, SECRET_KEY = "tests-access-key", "tests-secret-key"
RCLONE = Path(sys.executable).with_name("rclone")
MOTO = Path(__file__).with_name("moto_server.py")
START_S = 30
_ADDRESS = re.compile(r"https?://127\.0\.0\.1:\d+")


@dataclass(frozen=True)
class Server:
    url: str

    def config(self, **changes: Any) -> S3Config:
        """Of an empty store of its own, unless a `prefix` is given."""
        given: dict[str, Any] = {"prefix": f"{secrets.token_hex(8)}/", "endpoint_url": self.url, "addressing": "path"}
        keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
        return S3Config(**{"bucket": BUCKET} | keys | given | changes)


@contextmanager
def moto(folder: Path) -> Iterator[Server]:
    with _running([sys.executable, str(MOTO), "-H", "127.0.0.1", "-p", "0"], folder / "moto.log") as url:
        httpx.put(f"{url}/{BUCKET}", trust_env=False).raise_for_status()
        yield Server(url)


@contextmanager
def rclone(folder: Path, *options: str) -> Iterator[Server]:
    assert RCLONE.exists(), f"no {RCLONE}: run `make {RCLONE}`"
    served = folder / "served"
    (served / BUCKET).mkdir(parents=True)
    command = [str(RCLONE), "serve", "s3", "--config", "", "--addr", "127.0.0.1:0"]
    keys = ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", str(served)]
    with _running([*command, *options, *keys], folder / "rclone.log") as url:
        yield Server(url)


@contextmanager
def _running(command: Sequence[str], log: Path) -> Iterator[str]:
    """-> its address, which it writes when it serves."""
    with log.open("wb") as output:
        program = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        ends_at = time.monotonic() + START_S
        while (found := _ADDRESS.search(log.read_text())) is None:
            assert program.poll() is None, log.read_text()
            assert time.monotonic() < ends_at, log.read_text()
            time.sleep(0.02)
        yield found[0]
    finally:
        program.kill()
        program.wait()
