"""The preview opens by itself for the first port with a web page, and for no other; it reads no clipboard."""

from playwright.sync_api import Page, expect

from tests.e2e.serving import Served
from tests.e2e.workbench import begin, terminal, type_into_editor

TALKER = """
import socket, time
with socket.create_server(("127.0.0.1", 4000)) as server:
    while True:
        visitor, _ = server.accept()
        visitor.sendall(b"220 not a web page\\r\\n")
        print("asked", "once", flush=True)
"""


def test_a_port_that_speaks_something_else_opens_nothing(page: Page, served: Served) -> None:
    begin(page, served, "ports", "Ports")
    type_into_editor(page, TALKER)
    page.keyboard.press("Control+`")
    page.keyboard.type("python3 main.py &\n")
    expect(terminal(page)).to_contain_text("asked once")
    expect(page.get_by_label("Port")).to_be_hidden()
    page.keyboard.type("echo '<h1>A page</h1>' > index.html; python3 -m http.server 5000\n")
    shown = page.frame_locator("iframe[title=Preview]")
    expect(shown.get_by_role("heading")).to_have_text("A page")
    expect(page.get_by_label("Port")).to_have_value("5000")
    may = ["clipboard-read", "clipboard-write"]
    page.context.grant_permissions(may, origin=served.url)  # as for pasting into a terminal
    page.evaluate("navigator.clipboard.writeText('a secret')")
    shown.get_by_role("heading").click()
    read = "navigator.clipboard.readText().then(text => text, error => error.name)"
    assert shown.locator("body").evaluate(read) == "NotAllowedError"
