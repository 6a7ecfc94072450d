"""What DEVEX is for, from the first visit to the day after, as one person sees it."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.serving import Served
from tests.e2e.workbench import PROMPT, create, editor, run, sign_up, terminal, type_into_editor

pytestmark = [pytest.mark.xdist_group("story"), pytest.mark.waits]
STOP_DEADLINE_MS = 90_000  # idle for 60 s, and then the stop

SERVER = """\
import http.server

class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<h1>It is served</h1>")

    def log_message(self, *args):
        pass

http.server.HTTPServer(("127.0.0.1", 3000), Page).serve_forever()
"""


def test_from_sign_up_to_the_day_after(page: Page, served: Served) -> None:
    sign_up(page, served, "ada")
    create(page, "Python", "Story")

    type_into_editor(page, "import sys\nprint(6 * 7)\nsys.exit(3)\n")
    line = run(page)
    expect(line).to_contain_text("Exit code 3")
    expect(terminal(page)).to_contain_text("42")

    page.keyboard.press("Control+`")
    expect(terminal(page)).to_contain_text(PROMPT)
    page.keyboard.type("python3 -c 'print(\"from the terminal\", 2 ** 10)'; echo kept > note.txt")
    page.keyboard.press("Enter")
    expect(terminal(page)).to_contain_text("from the terminal 1024")
    expect(page.get_by_role("treeitem", name="note.txt")).to_be_visible()

    type_into_editor(page, SERVER)
    run(page)
    shown = page.frame_locator("iframe[title=Preview]")
    expect(shown.get_by_role("heading")).to_have_text("It is served")

    page.reload()
    expect(editor(page)).to_contain_text("It is served")
    expect(page.get_by_role("treeitem", name="note.txt")).to_be_visible()
    expect(shown.get_by_role("heading")).to_have_text("It is served")
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    page.keyboard.press("Control+`")
    expect(terminal(page)).to_contain_text("from the terminal 1024")

    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_visible()
    expect(page.get_by_role("heading", name="Story is stopped")).to_be_visible(timeout=STOP_DEADLINE_MS)
    expect(page.get_by_text("It was idle")).to_be_visible()
    expect(page.locator(".dx-shelf").get_by_role("treeitem", name="note.txt")).to_be_visible()

    page.get_by_role("link", name="Your REPLs").last.click()
    page.get_by_role("link", name="Story").click()
    expect(editor(page)).to_contain_text("It is served")
    page.get_by_role("treeitem", name="note.txt").click()
    expect(editor(page)).to_contain_text("kept")
    run(page)
    expect(shown.get_by_role("heading")).to_have_text("It is served")
