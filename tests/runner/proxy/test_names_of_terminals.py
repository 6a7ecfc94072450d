"""Shells are named by people; the name outlives the proxy."""

import pytest

from tests.runner.proxy.stage import Stage


async def title(stage: Stage, terminal: str) -> tuple[str, bool]:
    listed = (await stage.http.get("/terminals")).json()["terminals"]
    return next((one["title"], one["named"]) for one in listed if one["id"] == terminal)


@pytest.mark.parametrize(
    ("asked", "kept"),
    [
        ("  two\twords \n", "two words"),
        ("<b>bold</b>", "<b>bold</b>"),
        ("é日\u202e\x1b]0;x\x07", "é日 ]0;x"),
        ("x" * 60, "x" * 60),
    ],
)
async def test_a_name_is_one_line_of_text(stage: Stage, asked: str, kept: str) -> None:
    terminal = await stage.open_terminal()
    assert (await stage.http.patch(f"/terminals/{terminal}", json={"title": asked})).status_code == 204
    assert await title(stage, terminal) == (kept, True)
    assert (await stage.http.patch(f"/terminals/{terminal}", json={"title": " "})).status_code == 204
    assert await title(stage, terminal) == ("Shell 1", False)


async def test_what_is_no_name_is_refused(stage: Stage) -> None:
    terminal = await stage.open_terminal()
    for name in ("x" * 61, 5, None):
        assert (await stage.http.patch(f"/terminals/{terminal}", json={"title": name})).status_code == 400
    assert (await stage.http.patch("/terminals/sh-9-00000000", json={"title": "x"})).status_code == 404
    reader = {"X-Test-Role": "reader"}
    assert (await stage.http.patch(f"/terminals/{terminal}", json={"title": "x"}, headers=reader)).status_code == 403
    assert await title(stage, terminal) == ("Shell 1", False)


async def test_the_next_proxy_knows_the_name(stage: Stage) -> None:
    terminal, other = await stage.open_terminal(), await stage.open_terminal()
    await stage.http.patch(f"/terminals/{terminal}", json={"title": "server"})
    await stage.restart_proxy()
    assert await title(stage, terminal) == ("server", True)
    assert await title(stage, other) == ("Shell 2", False)
