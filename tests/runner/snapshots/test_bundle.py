"""Files that `devex import` may be given: what we write, what was cut off, and what somebody made to do harm."""

import io
import json
import subprocess
import tarfile
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.snapshots import bundle, layout
from runner.snapshots.bundle import BadBundle, Member
from runner.snapshots.layout import Commit, Name

COMMIT = Commit(
    epoch=1,
    seq=2,
    root=(),
    index=(),
    parent=None,
    at="2026-01-01T00:00:00+00:00",
    author="ada",
    message="test",
    files=0,
    size_bytes=0,
    added=0,
)
PACK = b"the content of a pack" * 100
_NAMED = layout.name_bytes(Name(name="release", author="ada", at="2026-01-01T00:00:00+00:00"))
NAME = Member(layout.name_key("1-2", _NAMED), _NAMED)
MEMBERS = [
    NAME,
    Member(layout.pack_key("p", PACK), PACK),
    Member(layout.pack_key("t", b""), b""),
    Member(layout.commit_key("1-2"), layout.commit_bytes(COMMIT)),
]


def written(about: dict[str, object] | None = None, members: list[Member] | None = None) -> bytes:
    file = io.BytesIO()
    bundle.write_about(file, {"name": "ä"} if about is None else about)
    for member in MEMBERS if members is None else members:
        bundle.write_member(file, *member)
    bundle.write_end(file)
    return file.getvalue()


def read(data: bytes) -> list[Member]:
    file = io.BytesIO(data)
    assert bundle.read_about(file)["format"] == 1
    return list(bundle.read_members(file))


def test_what_was_written_is_read() -> None:
    assert read(written()) == MEMBERS


def test_any_tar_reads_it(tmp_path: Path) -> None:
    (tmp_path / "bundle").write_bytes(written())
    listed = subprocess.run(["tar", "-tf", tmp_path / "bundle"], check=True, capture_output=True, text=True).stdout
    assert listed.splitlines() == ["devex.json", *(member.name for member in MEMBERS)]


def test_one_that_was_cut_off_is_refused() -> None:
    whole = written()
    for length in range(0, len(whole) - 512, 100):
        with pytest.raises(BadBundle):
            read(whole[:length])


def crafted(**header: object) -> bytes:
    """A good beginning, and then a member that tarfile writes as it is told."""
    file = io.BytesIO()
    bundle.write_about(file, {})
    info = tarfile.TarInfo(str(header.pop("name", MEMBERS[0].name)))
    for name, value in header.items():
        setattr(info, name, value)
    file.write(info.tobuf(tarfile.GNU_FORMAT))
    file.write(PACK + bytes(-len(PACK) % 512))
    bundle.write_end(file)
    return file.getvalue()


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "p/../../x", "q/" + "0" * 40, "p/" + "0" * 39, "x"]
)
def test_names_of_others_are_refused(name: str) -> None:
    with pytest.raises(BadBundle, match="it has a member"):
        read(crafted(name=name, size=len(PACK)))


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE, tarfile.GNUTYPE_SPARSE],
)
def test_what_is_no_plain_file_is_refused(kind: bytes) -> None:
    with pytest.raises(BadBundle, match="no plain file"):
        read(crafted(type=kind, linkname="/etc/passwd"))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_headers_that_change_others_are_refused(kind: bytes) -> None:
    """Their content is read as a whole by who obeys them, however large it says it is."""
    with pytest.raises(BadBundle, match="no plain file"):
        read(crafted(type=kind, size=1 << 40))


@pytest.mark.parametrize("size", [1 << 40, (32 << 20) + 1, 1 << 62])
def test_what_is_too_large_is_not_read(size: int) -> None:
    with pytest.raises(BadBundle, match="too large"):
        read(crafted(size=size))


def test_what_is_not_what_its_name_says_is_refused() -> None:
    for name in (MEMBERS[0].name, layout.index_key(layout.digest_of(PACK)), layout.commit_key("1-3"), NAME.name):
        content = PACK[:-1] + b"!" if name == MEMBERS[0].name else layout.commit_bytes(COMMIT)
        with pytest.raises(BadBundle, match="is not what its name says"):
            read(written(members=[Member(name, content)]))


@pytest.mark.parametrize(
    "fields",
    [
        {"epoch": "1"},
        {"files": None},
        {"at": "yesterday"},
        {"at": "2026-01-01T00:00:00"},
        {"author": 7},
        {"root": ["../c/1"]},
        {"index": [7]},
        {"notes": [["a", 7]]},
        {"parent": 7},
        {"surplus": 1},
        {"notes": [["a", "b"]] * 101},
        {"author": "a" * (1 << 20)},
        {"message": "a" * (1 << 20)},
    ],
)
def test_a_commit_that_we_do_not_write_is_refused(fields: dict[str, object]) -> None:
    plain = json.loads(layout.decompressed(layout.commit_bytes(COMMIT), 1 << 20, "commit"))
    commit = layout.compressed(json.dumps({**plain, **fields}).encode())
    with pytest.raises(BadBundle, match="is not what its name says"):
        read(written(members=[Member(layout.commit_key("1-2"), commit)]))


@pytest.mark.parametrize(
    "blob",
    [
        ["0" * 40, 0, -1, 1, 1],
        ["0" * 40, 0, 0, 1, 1 << 40],
        ["0" * 40, 0, 0, 1.5, 1],
        ["0" * 40, 0, 0, True, 1],
        ["0" * 40, 0, 0, 1],
        ["0" * 40, 1, 0, 1, 1],
        ["short", 0, 0, 1, 1],
    ],
)
def test_an_index_that_we_do_not_write_is_refused(blob: list[object]) -> None:
    index = layout.compressed(json.dumps({"packs": ["p/" + "0" * 40], "blobs": [blob]}).encode())
    with pytest.raises(BadBundle, match="is not what its name says"):
        read(written(members=[Member(layout.index_key(layout.digest_of(index)), index)]))


@pytest.mark.parametrize(
    "filler",
    ["[],", "{},", '[{"a":0}],', "   ", '[["' + "0" * 40 + '",0,0,0,0],'],
    ids=["lists", "objects", "both", "nothing", "places"],
)
def test_an_index_that_fills_the_memory_is_refused(filler: str) -> None:
    """Some kilobytes in the bundle; read as JSON, a gigabyte."""
    blobs = filler * ((15 << 20) // len(filler))
    index = layout.compressed(f'{{"packs": [], "blobs": [{blobs}[]]}}'.encode())
    assert len(index) < 1 << 20
    tracemalloc.start()
    with pytest.raises(BadBundle, match="is not what its name says"):
        read(written(members=[Member(layout.index_key(layout.digest_of(index)), index)]))
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()


def test_more_versions_than_there_ever_are_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "VERSIONS", 3)
    members = [
        Member(layout.commit_key(f"1-{number}"), layout.commit_bytes(replace(COMMIT, seq=number)))
        for number in range(1, 5)
    ]
    assert len(read(written(members=members[:3]))) == 3
    with pytest.raises(BadBundle, match="larger than any"):
        read(written(members=members))
    endless = layout.commit_bytes(replace(COMMIT, index=("0" * 40,) * 201))
    with pytest.raises(BadBundle, match="larger than any"):
        read(written(members=[Member(layout.commit_key("1-2"), endless)]))


@pytest.mark.parametrize("pack", ["../other/p/1", "c/099999999-09999999999", 7])
def test_an_index_that_points_elsewhere_is_refused(pack: object) -> None:
    index = layout.compressed(json.dumps({"packs": [pack], "blobs": []}).encode())
    with pytest.raises(BadBundle, match="is not what its name says"):
        read(written(members=[Member(layout.index_key(layout.digest_of(index)), index)]))


@pytest.mark.parametrize("about", [b"", b"[]", b"{", b'{"format": 2}', b"[" * 60_000])
def test_one_of_another_kind_is_refused(about: bytes) -> None:
    file = io.BytesIO()
    bundle.write_member(file, bundle.ABOUT, about)
    bundle.write_end(file)
    with pytest.raises(BadBundle):
        read(file.getvalue())
    with pytest.raises(BadBundle, match="does not begin with"):
        read(written()[1024:])


@given(st.binary(max_size=4096), st.integers(0, 4096))
def test_nonsense_is_refused_and_nothing_else_happens(noise: bytes, at: int) -> None:
    whole = written()
    for data in (noise, whole[:at] + noise, whole[:at] + noise + whole[at + len(noise) :]):
        try:
            assert set(read(data)) <= set(MEMBERS)
        except BadBundle:
            continue
