"""Opening the address of a program whose REPL is stopped: REPL and program start, and the page comes by itself."""

from playwright.sync_api import Page, expect

from tests.e2e.serving import Served
from tests.e2e.test_stopped import stop
from tests.e2e.workbench import begin, run, type_into_editor

SERVER = """
from http.server import HTTPServer, BaseHTTPRequestHandler

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<h1>Good morning</h1>")

HTTPServer(("127.0.0.1", 5000), Answer).serve_forever()
"""


def test_a_visit_wakes_the_program(page: Page, served: Served) -> None:
    begin(page, served, "sleeper", "Sleeper")
    type_into_editor(page, SERVER)
    run(page)
    shown = page.frame_locator("iframe[title=Preview]")
    expect(shown.get_by_role("heading")).to_have_text("Good morning")
    address = page.locator("iframe[title=Preview]").evaluate("frame => new URL(frame.src).origin")
    stop(page)
    visitor = page.context.new_page()
    visitor.goto(address)  # its cookie is the frame's: it is led through the application for one of its own
    expect(visitor).to_have_url(f"{address}/")
    expect(visitor.get_by_role("heading", name="Good morning")).to_be_visible()
    expect(page.locator(".dx-chip")).to_have_text("Running")

    page.bring_to_front()
    type_into_editor(page, "raise SystemExit(3)\n")
    stop(page)
    visitor.bring_to_front()
    visitor.goto(address)
    expect(visitor.get_by_text("its program ended with exit code 3")).to_be_visible()
