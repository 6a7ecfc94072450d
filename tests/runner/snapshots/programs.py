"""What programs may do to a workspace, step by step, for tests that try whatever comes."""

import os
from pathlib import Path

from hypothesis import strategies as st

names = st.sampled_from([b"a", b"b", b"c.txt", b"\xff\xfe", "é😀".encode(), b" new\nline", b"-rf"])
paths = st.lists(names, min_size=1, max_size=3).map(b"/".join)
changes = st.one_of(  # and versions of them
    st.tuples(st.just("write"), paths, st.binary(max_size=200), st.sampled_from([0o644, 0o755, 0o600, 0o444])),
    st.tuples(st.just("folder"), paths, st.sampled_from([0o755, 0o700, 0o555])),
    st.tuples(st.just("link"), paths, st.sampled_from([b"a", b"..", b"/etc/passwd", b"no where", b"\xff"])),
    st.tuples(st.just("remove"), paths),
    st.tuples(st.just("take")),
)
steps = changes | st.tuples(st.just("restore"), st.integers(0, 10)) | st.tuples(st.just("collect"))


def do(root: Path, step: tuple[object, ...]) -> None:
    """What a program may do; what the file system refuses is not done."""
    verb, path, *rest = step
    assert isinstance(path, bytes)
    whole = os.path.join(os.fsencode(root), path)
    try:
        match verb:
            case "write":
                os.makedirs(os.path.dirname(whole), exist_ok=True)
                with open(whole, "wb") as file:
                    file.write(rest[0])  # type: ignore[arg-type]
                os.chmod(whole, rest[1])  # type: ignore[arg-type]
            case "folder":
                os.makedirs(whole, exist_ok=True)
                os.chmod(whole, rest[0])  # type: ignore[arg-type]
            case "link":
                os.symlink(rest[0], whole)  # type: ignore[arg-type]
            case "remove":
                if os.path.isdir(whole) and not os.path.islink(whole):
                    os.rmdir(whole)
                else:
                    os.unlink(whole)
    except OSError:
        return


def inside(root: Path, step: tuple[object, ...]) -> bool:
    """Writing through a link would leave the workspace."""
    path = os.fsencode(root)
    for name in bytes(step[1]).split(b"/"):  # type: ignore[call-overload]
        path = os.path.join(path, name)
        if os.path.islink(path):
            return step[0] == "remove" and path.endswith(bytes(step[1]))  # type: ignore[call-overload]
    return True
