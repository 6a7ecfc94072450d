"""What goes wrong on the way to S3, and there: each ends in an attempt that succeeds, or in a sentence."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from runner.snapshots.stores.patience import Patience
from runner.snapshots.stores.s3 import S3Store
from runner.snapshots.stores.signed import SignedStore
from runner.snapshots.stores.signing import S3Signer
from runner.snapshots.stores.store import LARGEST_BYTES, Missing, Store, StoreError, Taken
from tests.between import (
    Between,
    Exchange,
    Fault,
    answers,
    cuts,
    drops,
    garbles,
    hangs,
    hangs_in_the_body,
    loses_the_answer,
    passes,
)
from tests.contracts.store import keys
from tests.stores import Server

DATA = bytes(range(256)) * 4_000
FEW = Patience(attempts=3, connect_s=5, silence_s=1, first_pause_s=0.01, longest_pause_s=0.02)
PASSING: dict[str, Fault] = {
    "500": answers(500, "InternalError"),
    "502 of a proxy": answers(502, "", body=b"<html>Bad gateway</html>"),
    "503 SlowDown": answers(503, "SlowDown"),
    "429": answers(429, "TooManyRequests"),
    "400 RequestTimeout": answers(400, "RequestTimeout"),
    "dropped": drops,
    "answer lost": loses_the_answer,
}
LASTING: list[tuple[Fault, str]] = [
    (answers(403, "AccessDenied"), "The store forbids this (403 AccessDenied)."),
    (answers(403, "InvalidAccessKeyId"), "The store does not accept the access key (InvalidAccessKeyId)."),
    (answers(400, "ExpiredToken"), "The access to the store has run out (ExpiredToken)."),
    (answers(404, "NoSuchBucket"), "The store's bucket does not exist."),
    (answers(301, "PermanentRedirect"), "The store's bucket is in another region or at another address."),
    (answers(404, "", body=b"<html>Not found</html>"), "The store does not understand DEVEX (404)."),
    (
        answers(403, "RequestTimeTooSkewed", late=timedelta(minutes=61)),
        "The store refuses what this machine sends because their clocks differ by 61 minutes.",
    ),
]


@dataclass
class Reached:
    """A store behind somebody who spoils requests; `direct` is the same, with credentials."""

    store: Store
    between: Between
    direct: Store


@pytest.fixture(params=["with credentials", "signed"])
async def reached(request: pytest.FixtureRequest, moto_server: Server) -> AsyncIterator[Reached]:
    async with (
        Between(moto_server.url) as between,
        S3Store(moto_server.config(endpoint_url=between.url), FEW) as direct,
        SignedStore(S3Signer(direct, ""), patience=FEW) as signed,
    ):
        assert await direct.conditional()
        yield Reached(signed if request.param == "signed" else direct, between, direct)


async def test_what_passes_is_tried_again(reached: Reached) -> None:
    for name, fault in PASSING.items():
        reached.between.will(fault)
        await reached.store.create("c/1", DATA)
        assert len(reached.between.seen) > 1, name
        reached.between.will(fault)
        assert await reached.store.get("c/1") == DATA, name
        assert len(reached.between.seen) > 1, name
        reached.between.will(fault)
        assert await reached.store.get("c/1", 10, 5) == DATA[10:15], name
        reached.between.will(fault)
        assert await keys(reached.store) == ["c/1"], name
        reached.between.will(fault)
        await reached.store.delete(["c/1"])
        assert await keys(reached.store) == [], name


async def test_a_store_that_falls_silent_is_asked_again(reached: Reached) -> None:
    for key in ("c/1", "d/1"):
        await reached.direct.create(key, DATA)
    reached.between.will(*[hangs] * 5)
    await asyncio.gather(
        reached.store.create("e/1", DATA),
        reached.store.delete(["d/1"]),
        reads(reached.store, "c/1", 0, None),
        reads(reached.store, "c/1", 10, 5),
        lists(reached.store, "c/", ["c/1"]),
    )
    assert await keys(reached.store) == ["c/1", "e/1"]
    assert await reached.store.get("e/1") == DATA


@pytest.mark.parametrize("fault", [cuts, hangs_in_the_body])
async def test_bodies_that_end_early_are_read_again(reached: Reached, fault: Fault) -> None:
    await reached.direct.create("p/1", DATA)
    reached.between.will(*[fault] * 4)
    await asyncio.gather(
        reads(reached.store, "p/1", 0, None),
        reads(reached.store, "p/1", 100, 1_000),
        reads(reached.store, "p/1", 500_000, None),
        lists(reached.store, "p/", ["p/1"]),
    )
    assert len(reached.between.seen) > 4


async def reads(store: Store, key: str, start: int, length: int | None) -> None:
    """What is in it of DATA."""
    end = None if length is None else start + length
    assert await store.get(key, start, length) == DATA[start:end]


async def lists(store: Store, prefix: str, expected: list[str]) -> None:
    assert await keys(store, prefix) == expected


@pytest.mark.parametrize("fault", [answers(503, "SlowDown"), drops, hangs], ids=["503", "dropped", "hanging"])
async def test_what_does_not_pass_ends(reached: Reached, fault: Fault) -> None:
    """After as many attempts as there is patience for; the store goes on when it does."""
    reached.between.will(*[fault] * FEW.attempts * 2)  # aiohttp makes two requests of one that was dropped
    with pytest.raises(StoreError) as told:
        await reached.store.get("c/1")
    assert told.value.retryable
    assert told.value.message.startswith("The store ")
    assert FEW.attempts <= len(reached.between.seen) <= FEW.attempts * 2
    reached.between.will()
    with pytest.raises(Missing):
        await reached.store.get("c/1")


async def test_what_lasts_is_said(reached: Reached) -> None:
    """At once: not more is tried than a fresh signature, or the region that the server names."""
    for fault, message in LASTING:
        for call in (
            lambda: reached.store.get("c/1"),
            lambda: reached.store.create("c/1", b"1"),
            lambda: reached.store.delete(["c/1"]),
            lambda: keys(reached.store),
        ):
            reached.between.will(*[fault] * 4)
            with pytest.raises(StoreError) as told:
                await call()
            assert told.value.message == message
            assert not told.value.retryable
            assert told.value.action.startswith("Ask the operator to ")
            assert len(reached.between.seen) < 4, message
    reached.between.will()
    assert await keys(reached.store) == []


async def test_an_answer_that_was_lost_is_no_other_writer(reached: Reached) -> None:
    reached.between.will(loses_the_answer, loses_the_answer)
    await reached.store.create("c/1", DATA)
    reached.between.will(loses_the_answer, answers(409, "ConditionalRequestConflict"))
    await reached.store.create("c/2", DATA)
    reached.between.will(answers(409, "ConditionalRequestConflict"))
    await reached.store.create("c/3", DATA)
    await reached.direct.create("c/4", b"another's")
    reached.between.will(answers(503, "SlowDown"))
    with pytest.raises(Taken):
        await reached.store.create("c/4", DATA)
    assert [await reached.direct.get(f"c/{number}") for number in (1, 2, 3, 4)] == [DATA, DATA, DATA, b"another's"]


async def test_answers_that_claim_to_be_huge(reached: Reached) -> None:
    """Of what the store never wrote, not more is read than it writes."""

    async def claims(exchange: Exchange) -> None:
        exchange.answer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {LARGEST_BYTES + 1}\r\n\r\n".encode())
        await exchange.client.read()

    reached.between.will(claims)
    with pytest.raises(StoreError, match="is larger than any") as told:
        await reached.store.get("p/1")
    assert not told.value.retryable


async def test_somebody_in_between_is_not_the_store(reached: Reached) -> None:
    """No store is empty, and nothing is stored, because a page says so."""
    page = answers(200, "", body=b"<html>Please log in</html>")
    for call in (lambda: reached.store.create("c/1", b"1"), lambda: keys(reached.store)):
        reached.between.will(*[page] * FEW.attempts**2)  # a signer asks the store, too, as often for each attempt
        with pytest.raises(StoreError, match="Somebody else answers"):
            await call()


async def test_wrong_bytes_are_as_many(reached: Reached) -> None:
    """The store cannot know them: whoever reads compares them with their digest, as versions do."""
    await reached.direct.create("p/1", DATA)
    reached.between.will(garbles)
    read = await reached.store.get("p/1")
    assert len(read) == len(DATA)
    assert hashlib.sha256(read).digest() != hashlib.sha256(DATA).digest()


async def test_servers_that_know_no_ranges(reached: Reached) -> None:
    whole = answers(200, "", body=b"0123456789")
    for start, length, expected in ((2, 3, b"234"), (8, 5, b"89"), (4, None, b"456789"), (0, 4, b"0123"), (20, 3, b"")):
        reached.between.will(whole)
        assert await reached.store.get("p/1", start, length) == expected


async def test_a_deletion_of_which_a_part_fails(reached: Reached) -> None:
    for number in range(3):
        await reached.direct.create(f"c/{number}", b"1")
    partly = b"<DeleteResult><Error><Key>x</Key><Code>InternalError</Code></Error></DeleteResult>"
    reached.between.will(answers(200, "", body=partly))
    await reached.store.delete(["c/0", "c/1"])
    assert await keys(reached.store) == ["c/2"]
    denied = partly.replace(b"InternalError", b"AccessDenied")
    reached.between.will(answers(200, "", body=denied))
    with pytest.raises(StoreError, match=r"forbids this \(AccessDenied\)"):
        await reached.store.delete(["c/2"])


async def test_being_cancelled_does_not_wait_for_the_store(reached: Reached) -> None:
    reached.between.will(hangs)
    reading = asyncio.create_task(reached.store.get("c/1"))
    async with asyncio.timeout(30):
        while not reached.between.seen:
            await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    reached.between.will(passes)
    with pytest.raises(Missing):
        await reached.store.get("c/1")
