"""Names: Unicode, 300 bytes, `..`, line ends, HTML."""

import json
from urllib.parse import quote

import pytest

from runner.documents.wire import Open, Opened, decode, encode
from runner.proxy.terminals.wire import NO_SUCH_TERMINAL
from tests.faults.browser import Browser, Repl, refusal

pytestmark = pytest.mark.xdist_group("faults")

MARKUP = "<img src=x onerror=alert(1)>"
GOOD = ["ünï ☃ 名前 🙂", MARKUP, "a&b?c#d%41", "-rf *", "  two  ", "'\"`$(reboot)"]
BAD = ["..", "a/../b", "/etc/passwd", "a//b", "./a", "é" * 150, "a\0b", "x/" * 3000 + "x"]


@pytest.mark.parametrize("name", ["Zoë’s ☃ 名前 🙂", MARKUP, "..", "a/b", "x" * 80])
async def test_a_repl_may_be_called_so(ada: Browser, name: str) -> None:
    made = await ada.http.post("/api/repls", json={"name": name, "template": "bash", "start": False})
    assert made.status_code == 201
    assert made.json()["name"] == name
    assert set(made.json()["slug"]) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")
    await ada.http.delete(f"/api/repls/{made.json()['id']}")


@pytest.mark.parametrize("name", ["", " \t", "a\nb", "x" * 300, "x" * 3000, "a\u202eb", "a\0b", "\ud800"])
async def test_a_repl_may_not_be_called_so(ada: Browser, shared_repl: Repl, name: str) -> None:
    given = json.dumps({"name": name, "template": "bash"})  # a lone surrogate can be written so, and only so
    kind = {"Content-Type": "application/json"}
    count = len((await ada.http.get("/api/repls")).json())
    refusal(await ada.http.post("/api/repls", content=given, headers=kind), 422)
    refusal(await ada.http.patch(f"/api/repls/{shared_repl.id}", content=given, headers=kind), 422)
    refusal(await ada.http.post(f"/api/repls/{shared_repl.id}/fork", content=given, headers=kind), 422)
    assert (await shared_repl.about())["name"] == "REPL"
    assert len((await ada.http.get("/api/repls")).json()) == count


@pytest.mark.parametrize("name", ["", "..", "a\nb", "x" * 300, MARKUP, "a\0b", "\ud800"])
async def test_a_user_may_not_be_called_so(ada: Browser, name: str) -> None:
    kind = {"Content-Type": "application/json"}
    given = json.dumps({"name": name, "password": "correct horse battery"})
    refusal(await ada.http.post("/api/users", content=given, headers=kind), 422)
    strange = await ada.http.post("/api/session", content=given, headers=kind)
    refusal(strange, 422 if strange.status_code == 422 else 401)


@pytest.mark.parametrize("name", GOOD)
async def test_a_file_may_be_called_so(shared_repl: Repl, name: str) -> None:
    assert (await shared_repl.put(f"files/{quote(name)}", "text")).status_code == 201
    listing = (await shared_repl.get("tree")).json()["entries"]
    assert name in [entry[0] for entry in listing]
    async with shared_repl.tab(name) as tab:
        await tab.type(0, "more ")
        await tab.flush()
    assert await shared_repl.text(quote(name)) == "more text"
    assert (await shared_repl.delete(f"files/{quote(name)}")).status_code == 204


@pytest.mark.parametrize("name", BAD)
async def test_a_file_may_not_be_called_so(shared_repl: Repl, name: str) -> None:
    path = f"files?path={quote(name, safe='')}"
    for answer in (
        await shared_repl.put(path, "text"),
        await shared_repl.get(path),
        await shared_repl.delete(path),
        await shared_repl.post("mkdir", {"path": name}),
        await shared_repl.post("move", {"from": "kept.txt", "to": name}),
        await shared_repl.browser.http.put(
            shared_repl.at("uploads/abcdefgh?size=1&offset=0&name=" + quote(name, safe="")), content="x"
        ),
    ):
        refusal(answer, 400)
    async with shared_repl.browser.socket(shared_repl.at("documents")) as socket:
        await socket.send(encode(Open(name, "", "")))
        assert decode(await socket.recv(decode=False)) == Opened(name, 0, "", 0, "refused")


async def test_a_line_end_in_a_files_name(shared_repl: Repl) -> None:
    refusal(await shared_repl.put("files/a%0Ab", "text"), 404)  # routers cannot match it; as a parameter it works
    assert (await shared_repl.put("files?path=a%0Ab", "text")).status_code == 201
    async with shared_repl.tab("a\nb") as tab:
        await tab.type(0, "more ")
        await tab.flush()
    assert (await shared_repl.get("files?path=a%0Ab")).text == "more text"


@pytest.mark.parametrize("name", ["%2e%2e", "..%2f..", "a%0Ab", quote(MARKUP), "x" * 300, quote("☃"), "a%00b"])
async def test_no_terminal_and_no_repl_is_called_so(shared_repl: Repl, name: str) -> None:
    refusal(await shared_repl.delete(f"terminals/{name}"), 404)
    refusal(await shared_repl.get(f"tree/{name}/"), 404)
    refusal(await shared_repl.browser.http.get(f"/repls/{name}/tree"), 404)
    refusal(await shared_repl.browser.refused_socket(f"/repls/{name}/documents"), 404)
    if "%2f" not in name:
        async with shared_repl.attached(name) as terminal:
            assert await terminal.until_closed() == NO_SUCH_TERMINAL
