"""The editor in Chromium, over the real route and a real folder."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, WebSocketRoute, expect

from tests.chromium import at_home, opened
from tests.getting_around import said
from tests.ports import free_port

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
DEADLINE_S = 60
MOST_UNDOS = 40  # more than the keys that any test types


class Server:
    """The pages in a process of its own, which may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTEST", "NICEGUI"))}
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "editor_page.py"), str(self.folder), str(self.port)],
            cwd=self.folder,
            env={**clean, "PYTHONPATH": str(ROOT)},
        )
        wait_for(lambda: is_up(self.url))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(how)
        self.process.wait(DEADLINE_S)


def is_up(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 404  # there is no page without a folder
    except httpx.TransportError:
        return False


def wait_for(condition: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < ends_at, "waited too long"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("editor"))
    server.start()
    yield server
    server.stop()


@dataclass(frozen=True)
class Served:
    """A folder and its page."""

    server: Server
    repl_id: str

    @property
    def root(self) -> Path:
        return self.server.folder / self.repl_id

    @property
    def url(self) -> str:
        return f"{self.server.url}/{self.repl_id}"


@pytest.fixture
def served(server: Server) -> Served:
    served = Served(server, secrets.token_hex(4))
    root = served.root
    (root / "src").mkdir(parents=True)
    (root / "a.py").write_text("def greet(name):\n    return 'hello ' + name\n")
    (root / "src" / "b.md").write_text("# Title\n\nthird line\n")
    (root / "x.bin").write_bytes(b"\0\1\2")
    return served


@pytest.fixture
def visit(browser: Browser, served: Served) -> Iterator[Callable[..., Page]]:
    with ExitStack() as pages:

        def open_page(width: int = 900, cookie: str = "") -> Page:
            is_first = len(browser.contexts[0].pages) == 1
            opening = (
                at_home(browser, width=width, height=600)
                if is_first
                else opened(browser, viewport={"width": width, "height": 600})
            )
            page = pages.enter_context(opening)
            if cookie:
                page.context.add_cookies([{"name": cookie, "value": "1", "url": served.url}])
            page.goto(served.url)
            expect(page.locator(".cm-content")).to_be_visible()
            return page

        yield open_page


def content(page: Page) -> str:
    text: str = page.locator(".dx-editor-view:visible .cm-content").evaluate(
        "element => element.cmTile.view.state.doc.toString()"
    )
    return text


def shows(page: Page, text: str) -> None:
    wait_for(lambda: text in content(page))


def undo(page: Page, text: str) -> None:
    """Until `text` is what it holds: of what is typed on a slow machine, each pause begins another step."""
    for _ in range(MOST_UNDOS):
        if content(page) == text:
            return
        page.keyboard.press("Control+z")
    raise AssertionError(content(page))


def test_two_pages_and_the_disk_converge(visit: Callable[..., Page], served: Served) -> None:
    one, two = visit(), visit()
    file = served.root / "a.py"
    one.locator(".cm-content").click()
    one.keyboard.press("Control+Home")
    one.keyboard.type("# by one 😀\n")
    two.locator(".cm-content").click()
    two.keyboard.press("Control+End")
    two.keyboard.type("# by two\n")
    shows(one, "# by two")
    shows(two, "# by one 😀")
    wait_for(lambda: file.read_text() == content(one) == content(two))
    expect(one.locator("[data-dirty]")).to_have_count(0)

    file.write_text(file.read_text().replace("hello", "good morning"))
    shows(one, "good morning")
    shows(two, "good morning")

    one.reload()
    expect(one.locator(".cm-content")).to_be_visible()
    shows(one, "# by one 😀")
    assert content(one) == content(two) == file.read_text()

    undo(two, content(two).replace("# by two\n", ""))
    wait_for(lambda: content(one) == content(two))
    assert "# by one 😀" in content(one)


def test_typing_survives_a_killed_server(visit: Callable[..., Page], served: Served) -> None:
    page = visit()
    page.locator(".cm-content").click()
    page.keyboard.press("Control+Home")
    page.keyboard.type("# before\n")
    served.server.stop(signal.SIGKILL)
    page.keyboard.type("# while away\n")
    expect(page.get_by_text("Reconnecting… your typing is kept.")).to_be_visible()
    kept = content(page)
    served.server.start()
    wait_for(lambda: (served.root / "a.py").read_text() == kept)
    assert kept.startswith("# before\n# while away\n")
    assert kept.count("# before") == 1


class Link:
    """Between the editor of a page that is loaded from now on and its server."""

    def __init__(self, page: Page) -> None:
        self._dialled = self._swallowed = 0
        page.route_web_socket("**/documents", self._pass_on)

    def swallow(self) -> None:
        """What the page sends until it dials again is lost, and nobody is told."""
        self._swallowed = self._dialled

    def _pass_on(self, socket: WebSocketRoute) -> None:
        self._dialled += 1
        number, server = self._dialled, socket.connect_to_server()
        socket.on_message(lambda message: server.send(message) if number > self._swallowed else None)


def test_what_was_sent_and_not_saved_survives_a_reload(visit: Callable[..., Page], served: Served) -> None:
    """As where a page comes back with all its sockets at once, and is then loaded anew."""
    page = visit()
    link = Link(page)
    page.reload()
    page.locator(".cm-content").click()
    page.keyboard.press("Control+Home")
    page.keyboard.type("# saved\n")
    expect(page.get_by_text("Saved to disk")).to_be_visible()
    link.swallow()
    page.keyboard.type("# sent\n")
    page.reload()
    expect(page.locator(".cm-content")).to_contain_text("# sent")
    expect(page.get_by_text("Saved to disk")).to_be_visible()
    assert (served.root / "a.py").read_text().startswith("# saved\n# sent\n")
    assert content(page).count("# sent") == 1


def test_tabs_open_switch_and_close(visit: Callable[..., Page], served: Served) -> None:
    page = visit(width=400)
    page.locator("#open-b").click()
    page.locator("#open-bin").click()
    tabs = page.get_by_role("tab")
    expect(tabs).to_have_count(3)
    expect(page.get_by_role("tabpanel").get_by_text("This file is not text.", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Download")).to_have_attribute(
        "href", f"/repls/{served.repl_id}/files?path=x.bin"
    )
    tabs.nth(2).focus()
    page.keyboard.press("ArrowLeft")
    expect(tabs.nth(1)).to_have_attribute("aria-selected", "true")
    expect(tabs.nth(1)).to_be_focused()
    shows(page, "third line")
    page.keyboard.press("Delete")
    expect(tabs).to_have_count(2)
    tabs.nth(0).click(button="middle")
    expect(tabs).to_have_count(1)
    page.reload()
    expect(page.get_by_role("tab")).to_have_count(1)
    page.get_by_role("button", name="Close x.bin").click()
    expect(page.get_by_text("No file is open")).to_be_visible()


def test_tabs_follow_a_renamed_file_and_let_go_of_a_deleted_one(visit: Callable[..., Page], served: Served) -> None:
    one, two = visit(), visit()
    one.locator("#open-b").click()
    expect(one.get_by_role("tab", name="b.md")).to_have_attribute("aria-selected", "true")
    one.get_by_role("tab", name="a.py").click()
    one.locator(".cm-content:visible").click()
    one.keyboard.press("Control+Home")
    one.keyboard.type("before ")
    one.evaluate("document.getElementById('move').click()")
    one.keyboard.type("during ")
    for page in (one, two):
        expect(page.get_by_role("tab", name="c.md")).to_have_attribute("aria-selected", "true")
        expect(page.get_by_role("tab", name="a.py")).to_have_count(0)
        expect(page.get_by_role("textbox", name="src/c.md")).to_be_visible()
    one.keyboard.type("after ")
    wait_for(lambda: (served.root / "src" / "c.md").read_text().startswith("before during after def greet"))
    assert not (served.root / "a.py").exists()
    undo(one, content(one).removeprefix("before during after "))
    wait_for(lambda: (served.root / "src" / "c.md").read_text().startswith("def greet"))

    one.locator("#remove").click()
    for page in (one, two):
        gone = page.get_by_role("tabpanel").get_by_text("This file does not exist any more.", exact=True)
        expect(gone.locator("visible=true")).to_be_visible()
    one.locator("#close").click()
    expect(one.get_by_text("No file is open")).to_be_visible()
    assert not (served.root / "src").exists()


def test_the_command_saves_at_once(visit: Callable[..., Page], served: Served) -> None:
    page = visit()
    page.locator(".cm-content").click()
    before = (served.root / "a.py").read_text()
    page.keyboard.press("Control+Home")
    page.keyboard.type("x = 1")
    with said(page, "Saved"):
        page.keyboard.press("Control+s")
    assert (served.root / "a.py").read_text() == f"x = 1{before}"
    expect(page.locator("#saved [data-tone=ok]")).to_have_text("Saved to disk")
    expect(page.locator("#cursor")).to_have_text("Ln 1, Col 6")
    page.keyboard.press("Control+f")
    expect(page.locator(".cm-search")).to_be_visible()
    page.locator("#open-bin").click()
    expect(page.locator("#cursor")).to_have_text("")


def test_a_viewer_cannot_type(visit: Callable[..., Page], served: Served) -> None:
    viewer, editor = visit(cookie="viewer"), visit()
    viewer.locator(".cm-content").click()
    viewer.keyboard.type("VIEWER")
    editor.locator(".cm-content").click()
    editor.keyboard.type("EDITOR")
    shows(viewer, "EDITOR")
    assert "VIEWER" not in content(viewer)
    expect(viewer.locator("#saved [data-tone=warn]")).to_have_text("Read-only")


def test_a_file_that_nobody_may_write_is_shown_read_only(visit: Callable[..., Page], served: Served) -> None:
    file = served.root / "src" / "b.md"
    file.chmod(0o444)
    page = visit()
    page.locator("#open-b").click()
    shows(page, "third line")
    expect(page.locator("#saved [data-tone=warn]")).to_have_text("Read-only")
    before = content(page)
    page.locator(".dx-editor-view:visible .cm-content").click()
    page.keyboard.type("TYPED")
    assert content(page) == before == file.read_text()


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"line\n" * 1_200_000, "This file is larger than 5 MB."), (b"\x7fELF\0\xff", "This file is not text.")],
    ids=["large", "binary"],
)
def test_a_file_that_cannot_be_edited_can_be_downloaded(
    visit: Callable[..., Page], served: Served, content: bytes, why: str
) -> None:
    (served.root / "src" / "b.md").write_bytes(content)
    page = visit()
    page.locator("#open-b").click()
    refusal = page.get_by_role("tabpanel").get_by_text(why, exact=True)
    expect(refusal).to_be_visible()
    expect(page.get_by_role("link", name="Download")).to_have_attribute(
        "href", f"/repls/{served.repl_id}/files?path=src%2Fb.md"
    )


def test_words_are_completed(visit: Callable[..., Page]) -> None:
    page = visit()
    page.locator(".cm-content").click()
    page.keyboard.press("Control+End")
    page.keyboard.type("gree")
    offered = page.locator(".cm-tooltip-autocomplete").get_by_role("option", name="greet")
    expect(offered).to_be_visible()
    offered.click()
    shows(page, "\ngreet")
    expect(page.locator("[data-dirty]")).to_have_count(0)
    expect(page.locator("#saved [data-tone=ok]")).to_have_text("Saved to disk")


def test_what_the_server_refuses_is_said_until_something_is_kept_again(
    visit: Callable[..., Page], served: Served
) -> None:
    file = served.root / "src" / "b.md"
    page = visit()
    page.locator("#open-b").click()
    shows(page, "third line")
    banner = page.locator(".dx-editor-banner[role=alert]")
    page.locator("#small").click()  # the page would refuse what is really too large before the server does
    expect(page.locator("#small")).to_have_text("is small")
    page.locator(".dx-editor-view:visible .cm-content").click()
    page.keyboard.insert_text("x" * 1000)
    expect(banner).to_have_text("The file would become too large to edit. The last change was not kept.")
    expect(page.locator(".dx-editor-view:visible .cm-content")).not_to_contain_text("xxx")
    page.locator(".dx-editor-view:visible .cm-content").click()
    page.keyboard.type("kept")
    wait_for(lambda: "kept" in file.read_text())
    expect(banner).to_have_count(0)
    expect(page.locator("#saved [data-tone=ok]")).to_have_text("Saved to disk")
    final = served.root / "final.md"
    final.write_text("what nobody may write")
    final.chmod(0o444)
    final.replace(file)
    shows(page, "nobody may write")  # the page hears that it may not by its next change
    page.keyboard.type("!")
    expect(banner).to_have_text("The file can only be read now. The last change was not kept.")
    assert "!" not in content(page)


def test_a_megabyte_in_one_line_stays_usable(visit: Callable[..., Page], served: Served) -> None:
    (served.root / "src" / "b.md").write_text("x" * 1_000_000)
    page = visit()
    page.locator("#open-b").click()
    shows(page, "x" * 1000)
    page.locator(".dx-editor-view:visible .cm-content").click(position={"x": 5, "y": 10})
    page.keyboard.type("typed")
    wait_for(lambda: "typed" in (served.root / "src" / "b.md").read_text())


def test_colours_follow_the_theme(visit: Callable[..., Page]) -> None:
    page = visit()
    keyword = page.locator(".dx-s-keyword").first
    expect(keyword).to_have_text("def")
    light = keyword.evaluate("element => getComputedStyle(element).color")
    page.evaluate("document.body.classList.toggle('body--dark')")
    wait_for(lambda: keyword.evaluate("element => getComputedStyle(element).color") != light)
