"""The terminal in a browser, before a real shell."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, WebSocketRoute, expect

from runner.proxy.terminals import wire
from tests.chromium import at_home
from tests.components.terminal.at_terminal import enter, eventually, focus, output, paste, place, rows
from tests.components.terminal.serving import Served

# For how many terminals the tab keeps keys.
KEPT = "() => Object.keys(sessionStorage).filter((key) => key.startsWith('devex:keys')).length"


class Link:
    """What pages of a browser have to their terminals; while it is dead, what they send is swallowed."""

    def __init__(self, context: BrowserContext) -> None:
        self.is_dead = False
        self.swallowed: list[str | bytes] = []
        self.urls: list[str] = []
        context.route_web_socket(re.compile("/terminals/"), self._route)

    def _route(self, page: WebSocketRoute) -> None:
        self.urls.append(page.url)
        server = page.connect_to_server()
        page.on_message(lambda message: self.swallowed.append(message) if self.is_dead else server.send(message))


@pytest.fixture
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """A shell at its prompt, with the keyboard; a script error fails the test."""
    asked: list[str] = []
    with at_home(browser, width=1000, height=700) as page:
        page.emulate_media(reduced_motion="reduce")
        page.on("dialog", lambda dialog: asked.append(dialog.message))
        page.goto(served.url)
        expect(page.locator(".dx-terminal[data-state=live]")).to_be_attached()
        expect(rows(page)).to_contain_text("$")
        focus(page)
        yield page
    assert not asked


def test_a_command_is_typed_and_answered(page: Page) -> None:
    enter(page, "echo $((6*7))-ünï-日本")
    expect(rows(page)).to_contain_text("42-ünï-日本")


# What xterm.js has drawn is not said until `release`.
HOLD = """terminal => {
  const { term } = getElement(Number(terminal.id.slice(1)));
  const [write, held] = [term.write.bind(term), []];
  term.write = (data, drawn) => write(data, () => held.push(drawn));
  window.release = () => held.splice(0).forEach((drawn) => drawn?.());
}"""
WANTED = "terminal => getElement(Number(terminal.id.slice(1))).attachment.offset"  # the next byte


def test_output_is_acknowledged_when_it_is_drawn(page: Page) -> None:
    acknowledged = [0]

    def sent(message: str | bytes) -> None:
        if isinstance(message, bytes) and message[0] == wire.ACK:
            acknowledged.append(wire.offset(message[1:]))

    page.on("websocket", lambda socket: socket.on("framesent", sent))
    page.reload()
    expect(rows(page)).to_contain_text("$")
    focus(page)
    terminal = page.locator(".dx-terminal")
    enter(page, "echo bef''ore")
    expect(rows(page)).to_contain_text("before")
    eventually(page, lambda: acknowledged[-1] == terminal.evaluate(WANTED))
    before = list(acknowledged)
    terminal.evaluate(HOLD)
    for number in range(5):  # round trips: each takes longer than an acknowledgement would wait
        enter(page, f"echo he''ld {number}")
        expect(rows(page)).to_contain_text(f"held {number}")
    assert acknowledged == before
    page.evaluate("release()")
    eventually(page, lambda: acknowledged[-1] == terminal.evaluate(WANTED))
    assert acknowledged[-1] > before[-1]


def test_the_window_sets_the_size(page: Page) -> None:
    enter(page, "stty size")
    expect(rows(page)).to_contain_text("$ stty size")
    wide = page.evaluate("document.querySelector('.xterm-screen').offsetWidth")
    page.evaluate("document.getElementById('box').style.width = '380px'")
    page.wait_for_function("before => document.querySelector('.xterm-screen').offsetWidth < before", arg=wide)
    assert page.evaluate("document.querySelector('.xterm-screen').offsetWidth") <= 380
    enter(page, "clear; echo cols:$(stty size | cut -d' ' -f2)")
    expect(rows(page)).to_contain_text("cols:4")


def test_after_a_restart_of_the_proxy_it_goes_on(page: Page, served: Served) -> None:
    enter(page, "echo be''fore; read line; echo got $line")
    expect(rows(page)).to_contain_text("before")
    httpx.post(f"{served.url}/restart", timeout=30, trust_env=False).raise_for_status()
    enter(page, "typed")  # perhaps before the line is back
    expect(rows(page)).to_contain_text("got typed")
    expect(page.locator(".dx-terminal[data-state=live]")).to_be_attached()
    assert rows(page).inner_text().count("before") == 1


def shown_after_reload(page: Page, word: str) -> str:
    """What is there once `word` is, and whatever may have come behind it."""
    page.reload()
    expect(rows(page)).to_contain_text(word)
    focus(page)
    enter(page, "echo do''ne")
    expect(rows(page)).to_contain_text("done")
    return rows(page).inner_text()


def test_keys_typed_while_it_was_away_outlive_a_reload(page: Page, served: Served) -> None:
    address = f"{served.url}/?terminal={page.locator('#terminal').inner_text()}"
    away = ""  # what part of a socket's address has no way to the server

    def answer(socket: WebSocketRoute) -> None:
        if away and away in socket.url:
            socket.close()
        else:
            socket.connect_to_server()

    page.route_web_socket(re.compile("/terminals/"), answer)
    page.goto(address)
    expect(rows(page)).to_contain_text("$")
    focus(page)
    away = address.rpartition("=")[2]
    httpx.post(f"{served.url}/restart", timeout=30, trust_env=False).raise_for_status()
    expect(page.get_by_text("Reconnecting… what you type is kept")).to_be_visible()
    enter(page, "echo ke''pt")
    page.reload()
    page.goto(served.url)  # another terminal in the same tab
    expect(rows(page)).to_contain_text("$")
    focus(page)
    enter(page, "echo an''other")
    expect(rows(page)).to_contain_text("another")
    expect(rows(page)).not_to_contain_text("kept")
    page.goto(address)
    expect(page.get_by_text("Reconnecting… what you type is kept")).to_be_visible()
    focus(page)
    enter(page, "echo af''terwards")
    away = ""
    expect(rows(page)).to_contain_text("afterwards")
    shown = shown_after_reload(page, "afterwards")
    assert shown.count("kept") == 1
    assert shown.index("kept") < shown.index("afterwards")


def test_keys_sent_into_a_dead_link_outlive_a_reload(page: Page, served: Served) -> None:
    link = Link(page.context)
    page.goto(f"{served.url}/?terminal={page.locator('#terminal').inner_text()}")
    expect(page.locator(".dx-terminal[data-state=live]")).to_be_attached()
    focus(page)
    enter(page, "echo 'arr'ived")
    expect(rows(page)).to_contain_text("arrived")
    link.is_dead = True
    enter(page, "echo 'ke'pt")
    eventually(page, lambda: bytes([wire.INPUT]) + b"\r" in link.swallowed)
    link.is_dead = False
    shown = shown_after_reload(page, "kept")
    assert shown.count("arrived") == 1
    assert shown.count("kept") == 1


def test_keys_that_were_answered_are_kept_nowhere(page: Page, served: Served) -> None:
    enter(page, "stty -echo; printf 'pass''word: '; read it; stty echo; echo got ${#it}")
    expect(rows(page)).to_contain_text("password: ")
    page.keyboard.type("hunter22\n")
    expect(rows(page)).to_contain_text("got 8")
    page.goto(f"{served.url}/nowhere")
    assert page.evaluate(KEPT) == 0


def test_a_tab_that_was_copied_is_another_page_to_the_terminal(page: Page, served: Served) -> None:
    link = Link(page.context)
    address = f"{served.url}/?terminal={page.locator('#terminal').inner_text()}"
    page.goto(address)
    expect(page.locator(".dx-terminal[data-state=live]")).to_be_attached()
    expect(rows(page)).to_contain_text("$")
    focus(page)
    link.is_dead = True
    page.keyboard.type("x")
    page.goto(f"{served.url}/nowhere")
    assert page.evaluate(KEPT) == 1
    link.is_dead = False
    with page.expect_popup() as opened:  # with a copy of its storage
        page.evaluate(f"void window.open({served.url!r} + '/nowhere')")
    for one in (page, opened.value):
        one.goto(address)
        expect(one.locator(".dx-terminal[data-state=live]")).to_be_attached()
    ids = [url.partition("page=")[2].partition(".")[0] for url in link.urls]
    assert len(set(ids)) == len(ids) == 3


def test_keys_that_wait_in_a_tab_that_was_copied_are_typed_once(page: Page, served: Served) -> None:
    address = f"{served.url}/?terminal={page.locator('#terminal').inner_text()}"
    is_away = False
    page.context.route_web_socket(
        re.compile("/terminals/"), lambda socket: socket.close() if is_away else socket.connect_to_server()
    )
    page.goto(address)
    expect(rows(page)).to_contain_text("$")
    is_away = True
    httpx.post(f"{served.url}/restart", timeout=30, trust_env=False).raise_for_status()
    expect(page.get_by_text("Reconnecting… what you type is kept")).to_be_visible()
    focus(page)
    enter(page, "echo on''ce")
    page.goto(f"{served.url}/nowhere")
    assert page.evaluate(KEPT) == 1
    is_away = False
    with page.expect_popup() as opened:  # with a copy of its storage
        page.evaluate(f"void window.open({served.url!r} + '/nowhere')")
    for one in (page, opened.value):
        one.goto(address)
        expect(rows(one)).to_contain_text("once")
        focus(one)
        enter(one, "echo do''ne")
        expect(rows(one)).to_contain_text("done")
    assert rows(opened.value).inner_text().count("once") == 1


def test_a_reload_and_a_second_tab_show_the_same(page: Page, served: Served) -> None:
    enter(page, "echo ke''pt")
    expect(rows(page)).to_contain_text("kept")
    terminal = page.locator("#terminal").inner_text()
    other = page.context.new_page()
    other.goto(f"{served.url}/?terminal={terminal}")
    expect(rows(other)).to_contain_text("kept")
    focus(other)
    enter(other, "echo fr''om other")
    expect(rows(page)).to_contain_text("from other")


def test_a_program_that_ends_says_how(page: Page) -> None:
    enter(page, "exit 3")
    expect(rows(page)).to_contain_text("The program ended with exit code 3.")


def test_when_the_sandbox_ends_so_does_the_terminal(page: Page, served: Served) -> None:
    httpx.post(f"{served.url}/agent", timeout=30, trust_env=False).raise_for_status()
    expect(rows(page)).to_contain_text("The sandbox ended")


def test_a_paste_types_no_more_than_it_shows(page: Page, served: Served) -> None:
    enter(page, r"printf '\033[?2004hrea''dy'; cat > pasted")
    expect(rows(page)).to_contain_text("ready")
    paste(page, "one\x1b[20\x1b[201~1~\ntwo\x9b201~")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+d")
    enter(page, "echo do''ne")
    expect(rows(page)).to_contain_text("done")
    pasted = (served.workspace / "pasted").read_bytes()
    assert pasted.startswith(b"\x1b[200~one[20[201~1~\n")
    assert pasted.count(b"\x1b") == 2, "the frame around the paste and nothing in it"


def test_search_finds_and_gives_the_keyboard_back(page: Page) -> None:
    enter(page, "echo ne''edle")
    expect(rows(page)).to_contain_text("needle")
    page.keyboard.press("Control+Shift+F")
    field = page.get_by_label("Find in terminal")
    expect(field).to_be_focused()
    field.fill("needle")
    page.keyboard.press("Enter")
    expect(page.locator(".xterm-selection div").first).to_be_attached()
    page.keyboard.press("Escape")
    expect(field).to_have_count(0)
    enter(page, "echo ba''ck")
    expect(rows(page)).to_contain_text("back")


@pytest.mark.parametrize("address", ["https://example.org/page", "http://example.org/"])
def test_web_addresses_are_links(page: Page, address: str) -> None:
    opened: list[str] = []
    page.expose_function("opened", lambda address: opened.append(address))
    page.evaluate("void (window.open = (address) => void window.opened(address))")
    enter(page, f"clear; echo {address[:6]}''{address[6:]}")
    x, y = place(output(page, address))
    page.mouse.move(x + 30, y)
    page.wait_for_selector(".xterm-cursor-pointer")
    page.mouse.click(x + 30, y)
    eventually(page, lambda: opened == [address])


def test_colours_follow_the_theme(page: Page) -> None:
    def colour() -> str:
        return str(page.evaluate("getComputedStyle(document.querySelector('.xterm-rows')).color"))

    light = colour()
    page.evaluate("document.body.classList.add('body--dark')")
    eventually(page, lambda: colour() != light)


def test_a_flood_can_be_stopped(page: Page) -> None:
    enter(page, "yes flood")
    expect(rows(page)).to_contain_text("floodfloodflood")
    page.keyboard.press("Control+c")
    expect(rows(page)).to_contain_text(re.compile(r"\^C.*\$"))  # what is typed before is thrown away
    enter(page, "clear; echo st''opped")
    expect(rows(page)).to_contain_text("stopped")


def test_how_much_fits_does_not_depend_on_what_is_shown(page: Page) -> None:
    proposed = page.locator(".dx-terminal").evaluate(
        """async element => {
            const { term, fitting } = getElement(+element.id.slice(1)).screen;
            const box = document.getElementById("box");
            const proposed = [];
            for (const cols of [80, 97, 131]) {
                term.resize(cols, 24);
                await new Promise((drawn) => term.write("x", () => requestAnimationFrame(() => setTimeout(drawn))));
                proposed.push(Array.from({ length: 40 }, (_, more) => {
                    box.style.width = `${600 + more}px`;
                    return fitting.proposeDimensions().cols;
                }));
            }
            return proposed;
        }"""
    )
    assert proposed[0] == proposed[1] == proposed[2]
