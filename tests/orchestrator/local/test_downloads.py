"""What programs fetch through the way out: pip, npm and git, in the clear and encrypted, from a server of the test."""

import base64
import errno
import functools
import hashlib
import http.server
import io
import json
import os
import ssl
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from orchestrator.backends.egress.rules import EgressRules
from orchestrator.domain import Egress
from tests.orchestrator.local.conftest import StartBox

BIG_BYTES = 32 << 20
LOOPBACK = "127.0.0.2"  # not what NO_PROXY names
GREETING = "hello from the index"

# Each fetches a package or a repository from {url} and prints its greeting.
CLIENTS = {
    "pip": "python3 -m pip install -q --retries 1 --no-cache-dir --target lib --index-url {url}/simple --cert ca.pem"
    " --trusted-host {host} devex-hello && PYTHONPATH=lib python3 -c 'import devex_hello; print(devex_hello.GREETING)'",
    "npm": "npm install --no-audit --no-fund --fetch-retries 0 --registry {url} --cafile ca.pem devex-hello >log 2>&1"
    " || {{ cat log; exit 1; }}; node -p 'require(\"devex-hello\")'",
    "git": "git -c http.sslCAInfo=/workspace/ca.pem clone -q {url}/hello.git && cat hello/README",
}


class Mirror(NamedTuple):
    """What serves packages and a repository: `http` and `https` are host:port."""

    http: str
    https: str
    authority: bytes  # PEM

    @property
    def urls(self) -> tuple[str, str]:
        return f"http://{self.http}", f"https://{self.https}"


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    root = tmp_path_factory.mktemp("mirror")
    _python_package(root / "simple" / "devex-hello")
    _repository(root / "hello.git")
    (root / "big").write_bytes(os.urandom(BIG_BYTES))
    private = tmp_path_factory.mktemp("private")
    key, certificate = private / "key.pem", private / "certificate.pem"
    _certify(key, certificate)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    with ExitStack() as stack:
        plain = stack.enter_context(_served(root, None))
        encrypted = stack.enter_context(_served(root, tls))
        yield Mirror(plain, encrypted, certificate.read_bytes())


@contextmanager
def _served(root: Path, tls: ssl.SSLContext | None) -> Iterator[str]:
    """-> host:port. Files, and the npm package, whose description names the server it came from."""
    tarball = _node_package()

    class Files(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/devex-hello":
                self._say(json.dumps(_node_listing(url, tarball)).encode(), "application/json")
            elif self.path == "/devex-hello-1.0.0.tgz":
                self._say(tarball, "application/octet-stream")
            else:
                super().do_GET()

        def _say(self, body: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer((LOOPBACK, 0), functools.partial(Files, directory=str(root))) as server:
        host = f"{LOOPBACK}:{server.server_address[1]}"
        url = f"{'https' if tls else 'http'}://{host}"
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield host
        server.shutdown()
        thread.join()


def _certify(key: Path, certificate: Path) -> None:
    """npm takes a server that has no name for "localhost" when it connects through a proxy."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=devex test"]
    places = ["-addext", f"subjectAltName=IP:{LOOPBACK},DNS:localhost", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *places], check=True, capture_output=True)


def _python_package(folder: Path) -> None:
    files = {
        "devex_hello.py": f"GREETING = {GREETING!r}\n",
        "devex_hello-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: devex-hello\nVersion: 1.0\n",
        "devex_hello-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    lines = []
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "devex_hello-1.0-py3-none-any.whl", "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest()).rstrip(b"=").decode()
            lines.append(f"{name},sha256={digest},{len(content)}")
        record = "devex_hello-1.0.dist-info/RECORD"
        wheel.writestr(record, "\n".join([*lines, f"{record},,", ""]))


def _node_package() -> bytes:
    files = {
        "package/package.json": json.dumps({"name": "devex-hello", "version": "1.0.0", "main": "index.js"}),
        "package/index.js": f"module.exports = {GREETING!r};\n",
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content.encode()))
    return packed.getvalue()


def _node_listing(url: str, tarball: bytes) -> dict[str, object]:
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()
    dist = {"tarball": f"{url}/devex-hello-1.0.0.tgz", "integrity": integrity}
    version = {"name": "devex-hello", "version": "1.0.0", "dist": dist}
    return {"name": "devex-hello", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}


def _repository(bare: Path) -> None:
    """As any web server serves one."""

    def git(*words: str) -> None:
        names = {
            f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        settings = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "PATH": os.defpath}
        subprocess.run(["git", *words], check=True, capture_output=True, env=settings | names)

    work = bare.with_suffix(".work")
    git("init", "-q", str(work))
    (work / "README").write_text(f"{GREETING}\n")
    git("-C", str(work), "add", "README")
    git("-C", str(work), "commit", "-q", "-m", "Begin")
    git("clone", "-q", "--bare", str(work), str(bare))
    git("-C", str(bare), "update-server-info")


class TestExcepted:
    """An administrator has excepted the server, which is on the host's loopback."""

    @pytest.fixture
    def rules(self, mirror: Mirror) -> EgressRules:
        return EgressRules(exceptions=frozenset({mirror.http, mirror.https}))

    @pytest.mark.parametrize("client", CLIENTS)
    async def test_it_is_fetched_from(self, start: StartBox, mirror: Mirror, client: str) -> None:
        box = await start(egress=Egress.ALLOWLIST)
        (box.workspace / "ca.pem").write_bytes(mirror.authority)
        for url in mirror.urls:
            code, output = await box.run(CLIENTS[client].format(url=url, host=LOOPBACK))
            assert code == 0, output
            assert output.splitlines()[-1] == GREETING
            await box.run("rm -rf lib node_modules package*.json hello .cache .npm")

    async def test_a_large_file_comes_whole_to_a_slow_reader(self, start: StartBox, mirror: Mirror) -> None:
        box = await start(egress=Egress.PUBLIC)
        await box.python(
            "import time, urllib.request\n"
            f"with urllib.request.urlopen('http://{mirror.http}/big') as answer, open('big', 'wb') as file:\n"
            "    while piece := answer.read(1 << 20): file.write(piece); time.sleep(0.01)\n"
        )
        assert (box.workspace / "big").stat().st_size == BIG_BYTES


@pytest.mark.parametrize(
    ("client", "said"),
    [
        ("pip", "Temporary failure in name resolution"),
        ("npm", "getaddrinfo EAI_AGAIN repo.example.org"),
        ("git", "Could not resolve host: repo.example.org"),
    ],
)
async def test_without_egress_there_is_no_way_out(start: StartBox, mirror: Mirror, client: str, said: str) -> None:
    box = await start(egress=Egress.NONE)
    assert await box.run("env | grep -i _proxy | wc -l; ls /run/devex") == (0, "0\nagent.sock\n")
    (box.workspace / "ca.pem").write_bytes(mirror.authority)
    code, output = await box.run(CLIENTS[client].format(url="https://repo.example.org", host=LOOPBACK))
    assert code != 0
    assert said in output
    port = mirror.http.partition(":")[2]
    answer = await box.python(f"import socket\nprint(socket.socket().connect_ex(('{LOOPBACK}', {port})))")
    assert int(answer) == errno.ECONNREFUSED, "its loopback is its own"


@pytest.mark.parametrize(("client", "host"), [("pip", LOOPBACK), ("npm", "169.254.169.254"), ("git", "10.0.0.1")])
async def test_what_is_not_public_is_refused_and_named(start: StartBox, mirror: Mirror, client: str, host: str) -> None:
    """Loopback, a cloud's metadata, a private network. git tells it of pages, pip of connections, npm of both."""
    box = await start(egress=Egress.PUBLIC)
    (box.workspace / "ca.pem").write_bytes(mirror.authority)
    url = f"http://{host}" if client != "pip" else f"https://{mirror.https}"
    code, output = await box.run(CLIENTS[client].format(url=url, host=host))
    assert code != 0
    assert f"{host} is not a public address." in output
