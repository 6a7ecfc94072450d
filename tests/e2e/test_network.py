"""Networks that fail: the page finds its way back by itself, is not loaded anew, and nothing that is typed is lost."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.serving import Served, serving
from tests.e2e.workbench import PASSWORD, begin, editor, terminal
from tests.network import Network
from tests.ports import free_port


class Behind(NamedTuple):
    """A server as seen through a network."""

    network: Network
    served: Served


@pytest.fixture(scope="module")
def behind() -> Iterator[Behind]:
    port = free_port()
    with (
        serving(sign_up="open", allowed_hosts=f"127.0.0.1:{port}") as served,
        Network(port, server_port=int(served.url.rpartition(":")[2])).running() as network,
    ):
        yield Behind(network, replace(served, url=network.url))


FAILURES: dict[str, Callable[[Network], None]] = {"refused": Network.refuse, "swallowed": Network.swallow}


@pytest.mark.parametrize("kind", FAILURES)
def test_a_page_comes_back_as_it_was(page: Page, behind: Behind, kind: str) -> None:
    begin(page, behind.served, f"away-{kind}", "Away")
    page.evaluate("window.isFirstLoad = true")
    screen = page.locator(".dx-tabpanel:not(.dx-behind) .xterm-screen")
    connection = page.locator(".dx-connection")
    screen.click()
    FAILURES[kind](behind.network)
    page.keyboard.type("echo typed-$((20+3))\n")  # before anybody has noticed
    expect(page.get_by_text("Reconnecting… what you type is kept").last).to_be_visible()
    expect(connection.get_by_text("Connecting…")).to_be_visible()
    editor(page).click()
    page.keyboard.insert_text("# typed in the tunnel\n")
    screen.click()
    page.locator(".xterm-helper-textarea:focus").evaluate(
        PASTE, "x" * 70_000
    )  # with its end cut off the shell would be deaf
    expect(page.get_by_text("bytes are too many to keep").last).to_be_visible()
    page.keyboard.type("echo again-$((20+3))\n")
    behind.network.restore()
    expect(terminal(page)).to_contain_text("again-23")
    assert re.findall("(?:typed|again)-23", terminal(page).inner_text()) == ["typed-23", "again-23"]
    expect(connection.get_by_text("Connected")).to_be_visible()
    expect(page.locator(".dx-saved")).to_have_text("Saved to disk")
    page.get_by_role("button", name="Panel (Ctrl+J)").click()  # answered by the server, over NiceGUI's own socket
    expect(terminal(page)).to_be_hidden()
    assert page.evaluate("window.isFirstLoad")
    page.reload()
    expect(editor(page)).to_contain_text("typed in the tunnel")


PASTE = """(element, text) => {
    const clipboardData = new DataTransfer();
    clipboardData.setData("text/plain", text);
    element.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }));
}"""


def test_a_network_without_websockets_is_told(page: Page, behind: Behind) -> None:
    begin(page, behind.served, "blocked", "Blocked")
    behind.network.refuse()
    behind.network.blocks = True
    behind.network.restore()
    told = page.get_by_role("alert").filter(has_text="blocks WebSockets")
    expect(told).to_be_visible()
    with page.expect_popup() as opened:
        told.get_by_role("link", name="What is wrong?").click()
    diagnosis = opened.value
    verdict = diagnosis.locator("#verdict")
    expect(verdict).to_have_attribute("data-state", "bad")
    expect(verdict).to_contain_text("This network lets pages through but blocks WebSockets")
    expect(verdict).to_contain_text(f"Please allow WebSockets to {behind.network.url.replace('http', 'ws')}/")
    behind.network.blocks = False
    expect(told).to_be_hidden()
    expect(page.locator(".dx-connection").get_by_text("Connected")).to_be_visible()
    diagnosis.get_by_role("button", name="Try again").click()
    expect(verdict).to_have_attribute("data-state", "ok")
    expect(diagnosis.locator("#checks li[data-state=ok]")).to_have_count(5)
    diagnosis.get_by_role("button", name="Copy the report").click()
    expect(diagnosis.get_by_text("Copied.")).to_be_visible()
    diagnosis.context.grant_permissions(["clipboard-read"])
    assert "echo in" in diagnosis.evaluate("navigator.clipboard.readText()")


def sign_out_elsewhere(served: Served, name: str) -> None:
    """As its user does from another device, by the list of sessions."""
    with httpx.Client(base_url=served.url, headers={"Origin": served.url}) as elsewhere:
        elsewhere.post("/api/session", json={"name": name, "password": PASSWORD}).raise_for_status()
        for one in elsewhere.get("/api/account/sessions").json():
            if not one["current"]:
                elsewhere.delete(f"/api/account/sessions/{one['id']}").raise_for_status()


def sign_in_beside(page: Page, name: str) -> None:
    """By the pop-up of a page that is signed out, which closes by itself."""
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Sign in").click()
    popup = opened.value
    with popup.expect_event("close"):
        popup.get_by_label("User name").fill(name)
        popup.get_by_label("Password").fill(PASSWORD)
        popup.keyboard.press("Enter")


def type_while_signed_out(page: Page) -> None:
    expect(page.get_by_role("alert").filter(has_text="You were signed out.")).to_be_visible()
    editor(page).click()
    page.keyboard.press("Control+Home")
    page.keyboard.insert_text("# typed by nobody\n")
    page.locator(".dx-tabpanel:not(.dx-behind) .xterm-screen").click()
    page.keyboard.type("echo typed-$((20+3))\n")


def test_who_is_signed_out_signs_in_beside_and_goes_on(page: Page, behind: Behind) -> None:
    begin(page, behind.served, "expired", "Expired")
    named = "Object.assign(document.createElement('iframe'), { name: 'devex-sign-in' })"
    page.evaluate(f"document.body.append({named})")  # as a previewed page may call itself, to keep the pop-up away
    sign_out_elsewhere(behind.served, "expired")
    type_while_signed_out(page)
    sign_in_beside(page, "expired")
    expect(terminal(page)).to_contain_text("typed-23")
    expect(editor(page)).to_contain_text("typed by nobody")
    expect(page.locator(".dx-saved")).to_have_text("Saved to disk")
    repl = page.url.rpartition("/")[2]
    assert "typed by nobody" in (behind.served.data_dir / "workspaces" / repl / "main.py").read_text()


def test_what_one_typed_is_not_sent_as_another(page: Page, behind: Behind) -> None:
    with httpx.Client(base_url=behind.served.url, headers={"Origin": behind.served.url}) as other:
        other.post("/api/users", json={"name": "colleague", "password": PASSWORD}).raise_for_status()
    begin(page, behind.served, "hurried", "Hurried")
    sign_out_elsewhere(behind.served, "hurried")
    type_while_signed_out(page)
    dialled: list[str] = []
    page.on("websocket", lambda socket: dialled.append(socket.url))
    sign_in_beside(page, "colleague")
    expect(page.get_by_role("heading", name="There is no such REPL.")).to_be_visible()
    assert not any("/repls/" in url for url in dialled)
    kept: dict[str, str] = page.evaluate("({...localStorage, ...sessionStorage})")
    assert any("hurried" not in key and "typed" in key for key in kept)  # for who typed it, by his id
