"""Networks that fail: the page finds its way back by itself, is not loaded anew, and nothing that is typed is lost."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.serving import Served, serving
from tests.e2e.workbench import begin, editor, terminal
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
    page.keyboard.type("echo typed-$((20+3))\n")
    expect(page.get_by_text("Reconnecting… what you type is kept").last).to_be_visible()
    expect(connection.get_by_text("Connecting…")).to_be_visible()
    editor(page).click()
    page.keyboard.insert_text("# typed in the tunnel\n")
    screen.click()
    page.keyboard.type("echo again-$((20+3))\n")
    behind.network.restore()
    expect(terminal(page)).to_contain_text("again-23")
    expect(connection.get_by_text("Connected")).to_be_visible()
    expect(page.locator(".dx-saved")).to_have_text("Saved to disk")
    page.get_by_role("button", name="Panel (Ctrl+J)").click()  # answered by the server, over NiceGUI's own socket
    expect(terminal(page)).to_be_hidden()
    assert page.evaluate("window.isFirstLoad")
    page.reload()
    expect(editor(page)).to_contain_text("typed in the tunnel")
