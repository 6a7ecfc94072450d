"""What operators set, and what they set wrong; and what a signature is good for."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from runner.snapshots.stores import s3
from runner.snapshots.stores.patience import Patience
from runner.snapshots.stores.s3 import S3Config, S3Store
from runner.snapshots.stores.signed import Get, Put, Signed, SignedStore
from runner.snapshots.stores.signing import S3Signer
from runner.snapshots.stores.store import LARGEST_BYTES, Missing, Store, StoreError
from tests.between import Between, Exchange, answers, passes
from tests.contracts.store import keys
from tests.stores import BUCKET, Server, rclone

EXPIRES_S = 30
ONCE = Patience(attempts=1)


@asynccontextmanager
async def both(config: S3Config, ca_file: str | None = None) -> AsyncIterator[list[Store]]:
    """With credentials, and signed by it."""
    async with S3Store(config, ONCE) as own, SignedStore(S3Signer(own, ""), ca_file, ONCE) as signed:
        yield [own, signed]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 127.0.0.1, signed by itself; its key is beside it."""
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=tests"
    files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem"]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return folder / "cert.pem"


@pytest.fixture(scope="module")
def tls_server(certificate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    options = ("--cert", str(certificate), "--key", str(certificate.with_name("key.pem")))
    with rclone(tmp_path_factory.mktemp("rclone-tls"), *options) as server:
        yield server


async def test_a_certificate_of_ones_own(tls_server: Server, certificate: Path) -> None:
    assert tls_server.url.startswith("https://")
    trusted = str(certificate)
    async with both(tls_server.config(ca_file=trusted), trusted) as stores:
        for number, store in enumerate(stores):
            await store.create(f"c/{number}", b"1")
            assert await store.get(f"c/{number}") == b"1"


async def test_a_certificate_that_is_not_trusted(tls_server: Server, certificate: Path) -> None:
    async with (
        S3Store(tls_server.config()) as own,
        S3Store(tls_server.config(ca_file=str(certificate))) as trusting,
        SignedStore(S3Signer(trusting, "")) as signed,
    ):
        for store in (own, signed):
            with pytest.raises(StoreError, match="certificate of the store is not trusted") as told:
                await store.get("c/1")
            assert not told.value.retryable


@pytest.mark.parametrize("content", [None, "no certificate"])
async def test_a_file_of_certificates_that_is_none(moto_server: Server, tmp_path: Path, content: str | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)
    async with S3Store(moto_server.config()) as own:
        for store in (S3Store(moto_server.config(ca_file=str(ca_file))), SignedStore(S3Signer(own, ""), str(ca_file))):
            with pytest.raises(StoreError, match="file of certificates to trust for the store cannot be read"):
                async with store:
                    pass


async def test_encryption_at_rest(moto_server: Server) -> None:
    for method, key_id in (("AES256", None), ("aws:kms", "a-key")):
        config = moto_server.config(encryption=method, encryption_key_id=key_id)
        async with S3Store(config) as own, SignedStore(S3Signer(own, "")) as signed:
            for number, store in enumerate([own, signed]):
                await store.create(f"c/{number}", b"1")
                get = await S3Signer(own, "").sign(Get(f"c/{number}"))
                stored = httpx.get(get.url, trust_env=False).headers
                assert stored["x-amz-server-side-encryption"] == method
                assert stored.get("x-amz-server-side-encryption-aws-kms-key-id") == key_id


async def test_the_bucket_in_the_path_or_in_the_host(moto_server: Server) -> None:
    """`localhost` stands for any domain with a name below it for each bucket."""
    port = moto_server.url.rpartition(":")[2]
    for addressing, address in (
        ("path", f"http://localhost:{port}/{BUCKET}"),
        ("virtual", f"http://{BUCKET}.localhost:{port}"),
    ):
        config = moto_server.config(addressing=addressing, endpoint_url=f"http://localhost:{port}")
        async with S3Store(config, ONCE) as store:
            signed = await store.presign(Get("c/1"))
            assert signed.url.startswith(f"{address}/{config.prefix}c/1?")


@pytest.mark.parametrize("changes", [{"secret_key": "wrong"}, {"access_key": "somebody-else"}])
async def test_keys_that_are_not_accepted(rclone_server: Server, changes: dict[str, str]) -> None:
    async with S3Store(rclone_server.config(**changes)) as store:
        with pytest.raises(StoreError, match="does not accept the access key") as told:
            await store.get("c/1")
        assert not told.value.retryable


async def test_no_keys_at_all(rclone_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are looked for where the library finds them; then it is said that there are none."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    config = rclone_server.config(access_key=None, secret_key=None)
    async with S3Store(config) as store:
        with pytest.raises(StoreError, match="settings do not work: Unable to locate credentials"):
            await store.get("c/1")


@pytest.mark.parametrize("changes", [{"endpoint_url": "nowhere"}, {"bucket": "no bucket"}])
async def test_settings_that_are_none(moto_server: Server, changes: dict[str, str]) -> None:
    with pytest.raises(StoreError, match="settings do not work") as told:
        async with S3Store(moto_server.config(**changes)) as store:
            await store.get("c/1")
    assert not told.value.retryable


async def test_a_bucket_that_is_not_there(rclone_server: Server) -> None:
    async with both(rclone_server.config(bucket="elsewhere")) as (store, _):
        for call in (lambda: store.get("c/1"), lambda: store.create("c/1", b"1"), lambda: keys(store)):
            with pytest.raises(StoreError, match="bucket does not exist"):
                await call()


async def test_a_server_that_refuses_conditions(moto_server: Server) -> None:
    """They are left out from then on, of what it signs for others, too."""

    async def refuses(exchange: Exchange) -> None:
        conditional = b"if-none-match" in exchange.head.lower()
        await (answers(501, "NotImplemented") if conditional else passes)(exchange)

    async with Between(moto_server.url) as between, both(moto_server.config(endpoint_url=between.url)) as stores:
        between.will(*[refuses] * 100)
        for number, store in enumerate(stores):
            await store.create(f"c/{number}", b"1")
            await store.create(f"c/{number}", b"2")
            assert await store.get(f"c/{number}") == b"2"
            assert not await store.conditional()


async def sent(signed: Signed, method: str, data: bytes | None = None) -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.request(method, signed.url, headers=signed.headers, content=data)).status_code


async def test_a_signature_is_for_one_object_and_one_use(rclone_server: Server) -> None:
    async with S3Store(rclone_server.config()) as store:
        await store.create("c/1", b"1")
        get, put = await store.presign(Get("c/1")), await store.presign(Put.of("c/2", b"22"))
        assert await sent(get, "GET") == 200
        elsewhere = [signed._replace(url=signed.url.replace("/c/", "/d/")) for signed in (get, put)]
        for signed, method, data in (
            (get, "PUT", b"1"),
            (get, "DELETE", None),
            (elsewhere[0], "GET", None),
            (put, "PUT", b"1"),
            (put, "PUT", b"333"),
            (put, "GET", None),
            (elsewhere[1], "PUT", b"22"),
            (put._replace(headers={}), "PUT", b"22"),
            (put._replace(headers={**put.headers, "if-none-match": "x"}), "PUT", b"22"),
        ):
            assert 400 <= await sent(signed, method, data) < 404, (signed, method, data)
        assert await keys(store) == ["c/1"]
        assert await sent(put, "PUT", b"22") == 200
        assert await store.get("c/2") == b"22"


async def test_a_signer_serves_one_prefix(moto_server: Server) -> None:
    async with S3Store(moto_server.config()) as own:
        await own.create("repl1/c/1", b"mine")
        await own.create("repl10/c/1", b"another's")
        signer = S3Signer(own, "repl1/")
        async with SignedStore(signer) as store:
            assert await keys(store, "repl1/") == ["repl1/c/1"]
            for call in (
                lambda: keys(store),
                lambda: keys(store, "repl1"),
                lambda: keys(store, "repl10/"),
                lambda: store.get("repl10/c/1"),
                lambda: store.create("repl10/c/2", b""),
                lambda: store.delete(["repl1/c/1", "repl10/c/1"]),
                lambda: signer.sign(Put("repl1/c/2", LARGEST_BYTES + 1, bytes(32))),
                lambda: signer.sign(Put("repl1/c/2", -1, bytes(32))),
                lambda: signer.sign(Put("repl1/c/2", 1, b"short")),
            ):
                with pytest.raises(StoreError, match="does not sign this") as told:
                    await call()
                assert not told.value.retryable
            for key in ("repl1/../repl10/c/1", "repl1/%2e%2e/c/1", "repl1/c/1?x"):
                with pytest.raises(ValueError, match="not a key"):
                    await signer.sign(Get(key))
            await store.delete(["repl1/c/1"])
        assert await keys(own) == ["repl10/c/1"]


class LateSigner(S3Signer):
    """Its first signature has expired when it is used."""

    def __init__(self, store: S3Store, late: Signed) -> None:
        super().__init__(store, "")
        self.late: Signed | None = late

    async def sign(self, request: Get | Put) -> Signed:
        late, self.late = self.late, None
        return late or await super().sign(request)


async def test_a_signature_that_expired_is_renewed(rclone_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    async with S3Store(rclone_server.config()) as own:
        await own.conditional()
        await own.create("c/1", b"1")
        monkeypatch.setattr(s3, "SIGNED_FOR_S", 1)
        get, put = await own.presign(Get("c/1")), await own.presign(Put.of("c/2", b"22"))
        monkeypatch.undo()
        async with asyncio.timeout(EXPIRES_S):
            while await sent(get, "GET") == 200:
                await asyncio.sleep(0.05)
        async with SignedStore(LateSigner(own, get), patience=ONCE) as store:
            assert await store.get("c/1") == b"1"
        async with SignedStore(LateSigner(own, put), patience=ONCE) as store:
            await store.create("c/2", b"22")
            with pytest.raises(Missing):
                await store.get("c/3")
        assert await own.get("c/2") == b"22"
