"""Canaries in what is recorded, cut at every place where a piece may end."""

from collections.abc import Iterator

from hypothesis import example, given
from hypothesis import strategies as st

from runner.protocol.ring import Ring
from runner.proxy.records.about import About, Origin, Subject
from runner.proxy.records.entries import Output
from runner.proxy.records.masking import Masking
from runner.proxy.records.recording import Recording
from runner.proxy.run_config import RunConfig

# Few letters: secrets overlap, begin alike, contain one another, and are everywhere.
SECRETS = st.lists(st.text("abc\n", min_size=1, max_size=6), max_size=4)
PIECES = st.lists(st.text("abcx\r\n", max_size=9).map(str.encode), max_size=12)


def covered(raw: bytes, secrets: list[str]) -> bytes:
    """Each byte looked at by itself."""
    masked = bytearray(raw)
    for secret in {form for one in secrets for form in (one.encode(), one.encode().replace(b"\n", b"\r\n"))}:
        for at in range(len(raw)):
            if raw.startswith(secret, at):
                masked[at : at + len(secret)] = b"*" * len(secret)
    return bytes(masked)


def recorded(ring: Ring, recording: Recording, masking: Masking) -> Iterator[Output]:
    if recording.waits:
        pending = recording.pending(masking)
        entries = [entry for entry in pending.entries(masking) if isinstance(entry, Output)]
        yield from entries
        recording.took(pending, max((one.offset + len(one.data) for one in entries), default=0), whole=True)


def a_recording(ring: Ring, masking: Masking, written: int = 0) -> Recording:
    about = About.of(Subject("sh-1-00000000", "shell", "Shell 1"), Origin(), (80, 24), masking)
    return Recording(about, ring, written, wake=lambda hurry: None)


@given(SECRETS, PIECES)
@example(["abc", "cab"], [b"ab", b"c", b"a", b"b"])
@example(["a\nb"], [b"a\r", b"\nb"])
def test_no_byte_of_a_secret_is_recorded_however_it_is_cut(secrets: list[str], pieces: list[bytes]) -> None:
    masking, ring = Masking(secrets), Ring()
    recording, found = a_recording(ring, masking), bytearray()
    for piece in pieces:
        ring.append(ring.end, piece)
        recording.output(ring.end - len(piece))
        for entry in recorded(ring, recording, masking):
            assert entry.offset == len(found)
            found += entry.data
        assert ring.end - len(found) <= max(masking.longest - 1, 0), "what is held back is bounded"
    recording.ended({"status": 0, "signal": 0}, 1.0)
    found += b"".join(entry.data for entry in recorded(ring, recording, masking))
    assert bytes(found) == covered(b"".join(pieces), secrets)


@given(SECRETS, PIECES, st.data())
def test_nor_by_a_recording_that_goes_on_where_another_one_was_killed(
    secrets: list[str], pieces: list[bytes], data: st.DataObject
) -> None:
    masking, ring = Masking(secrets), Ring()
    recording, found = a_recording(ring, masking), bytearray()
    killed_at = data.draw(st.integers(0, len(pieces)))
    for number, piece in enumerate(pieces):
        if number == killed_at:
            recording = a_recording(ring, masking, len(found))
        ring.append(ring.end, piece)
        found += b"".join(entry.data for entry in recorded(ring, recording, masking))
    recording.ended({"status": 0, "signal": 0}, 1.0)
    found += b"".join(entry.data for entry in recorded(ring, recording, masking))
    assert bytes(found) == covered(b"".join(pieces), secrets)


@given(
    st.text(
        "abcdefghij",
        min_size=8,
        max_size=12,
    ),
    st.integers(0, 12),
    st.lists(st.integers(1, 4), max_size=8),
)
def test_no_rest_of_a_secret_is_left_behind_a_gap(secret: str, lost: int, cuts: list[int]) -> None:
    """Its first bytes have left the ring before they were recorded."""
    masking, ring = Masking([secret]), Ring(100)
    rest = secret.encode()[min(lost, len(secret) - 1) :]
    recording, found = a_recording(ring, masking), bytearray()
    said = rest + b"--" + secret.encode()
    for cut in [*cuts, len(said)]:
        ring.append(ring.end, said[ring.end - 100 : ring.end - 100 + cut])
        found += b"".join(entry.data for entry in recorded(ring, recording, masking))
    recording.ended({"status": 0, "signal": 0}, 1.0)
    found += b"".join(entry.data for entry in recorded(ring, recording, masking))
    assert bytes(found) == b"*" * len(rest) + b"--" + b"*" * len(secret)


def test_what_is_known_of_a_run_is_masked_too() -> None:
    masking = Masking(["s3cret"])
    run = RunConfig(command="curl -H s3cret", environment={"A": "b"})
    about = About.of(Subject("run-1-00000000", "run", "s3cret"), Origin(run=run), (80, 24), masking)
    assert (about.title, about.command, about.run) == ("******", "curl -H ******", None)
    hidden = RunConfig(command="true", environment={"KEY": "is s3cret"})
    assert About.of(Subject("run-1-00000000", "run", "Run"), Origin(run=hidden), (80, 24), masking).run is None
    kept = RunConfig(command="true", environment={"KEY": "is not"})
    assert About.of(Subject("run-1-00000000", "run", "Run"), Origin(run=kept), (80, 24), masking).run == kept


def test_a_secret_that_repeats_itself_costs_no_more() -> None:
    """As many looks as it has lengths in the text: not one for each byte."""
    masking = Masking(["a" * 500])
    assert masking.released(b"a" * 1_000_000, final=True) == b"*" * 1_000_000
    assert masking.released(b"a" * 499 + b"b" + b"a" * 499, final=True) == b"a" * 499 + b"b" + b"a" * 499
