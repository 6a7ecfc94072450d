"""What a person at a browser waits for, in a real Chromium."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from playwright.sync_api import BrowserContext, Page, sync_playwright

from components.build import HERE
from tests.bench import bare
from tests.bench.beside_terminado import terminado
from tests.bench.figures import Measured
from tests.bench.server import Server
from tests.chromium import CHROMIUM, CHROMIUM_ARGUMENTS

LOADS = 5
TYPED = "abcdefgh"
BIG_FILE_BYTES = 1_000_000
SAVES = 8
SAVE_DEADLINE_S = 20
QUIET_MS = 1500  # what the last change had sent is sent
CLICKS = 15
FLOODS_SHOWN, FLOOD_MB = 3, 20
REST_S, REST_SHARE, REST_DEADLINE_S = 0.3, 0.05, 30
TERMINAL_READY = ".xterm-rows"
EDITOR_READY = ".cm-content"
XTERM = HERE / "node_modules" / "@xterm" / "xterm"  # as the bundle is made of it


@contextmanager
def chromium(server: Server) -> Iterator[BrowserContext]:
    """A browser with an empty cache that is signed in."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(CHROMIUM_ARGUMENTS))
        context = browser.new_context(viewport={"width": 1280, "height": 800})
        cookies = [{"name": name, "value": value, "url": server.url} for name, value in server.http.cookies.items()]
        context.add_cookies(cookies)  # type: ignore[arg-type]
        yield context
        browser.close()


def _at_rest(context: BrowserContext) -> None:
    """Return once Chromium has finished starting: its own windows are pages too, and no page's load."""
    assert context.browser
    session = context.browser.new_browser_cdp_session()

    def cpu_s() -> float:
        return float(sum(process["cpuTime"] for process in session.send("SystemInfo.getProcessInfo")["processInfo"]))

    before, deadline = cpu_s(), time.perf_counter() + REST_DEADLINE_S
    while True:
        time.sleep(REST_S)
        now = cpu_s()
        if now - before < REST_S * REST_SHARE:
            return
        assert time.perf_counter() < deadline, "Chromium does not come to rest"
        before = now


def open_workbench(context: BrowserContext, server: Server, repl: str) -> Page:
    """A page on which the terminal shows a prompt and the editor a file."""
    page = context.new_page()
    page.goto(f"{server.url}/repl/{repl}")
    page.wait_for_selector(EDITOR_READY)
    page.wait_for_function("() => [...document.querySelectorAll('.xterm')].some(x => x.offsetParent)")
    return page


def _wire_bytes(page: Page) -> dict[str, int]:
    """Counts what comes over the wire, headers and compression as sent."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    total = {"received": 0, "sent": 0, "frames": 0}

    def finished(event: dict[str, Any]) -> None:
        total["received"] += int(event["encodedDataLength"])

    def frame_sent(event: dict[str, Any]) -> None:
        response = event["response"]
        data = response["payloadData"]
        total["sent"] += len(data) * 3 // 4 if response["opcode"] == 2 else len(data.encode())
        total["frames"] += 1

    session.on("Network.loadingFinished", finished)
    session.on("Network.webSocketFrameSent", frame_sent)
    return total


def workbench_load(server: Server) -> Measured:
    """Kilobytes over the wire for a first visit."""
    repl = server.create(name="load")["id"]
    with chromium(server) as context:
        page = context.new_page()
        total = _wire_bytes(page)
        page.goto(f"{server.url}/repl/{repl}")
        page.wait_for_selector(EDITOR_READY)
        page.wait_for_load_state("networkidle")
        received = total["received"]
    server.delete(repl)
    return Measured(received / 1000)


def _usable_ms(server: Server, selector: str, check: str) -> Measured:
    """Milliseconds until `selector` is there and `check` holds, nothing cached; the limit is an empty answer."""
    repl = server.create(name="usable")["id"]
    times, limits = [], []
    for _ in range(LOADS):
        with chromium(server) as context:
            page = context.new_page()
            _at_rest(context)
            started = time.perf_counter()
            page.goto(f"{server.url}/healthz")
            limits.append((time.perf_counter() - started) * 1000)
            started = time.perf_counter()
            page.goto(f"{server.url}/repl/{repl}", wait_until="commit")
            page.wait_for_selector(selector)
            page.wait_for_function(check)
            times.append((time.perf_counter() - started) * 1000)
    server.delete(repl)
    return Measured(median(times), median(limits))


def terminal_usable(server: Server) -> Measured:
    """Until the shell's prompt is on the screen of the page's terminal."""
    prompt = f"() => [...document.querySelectorAll('{TERMINAL_READY}')].some(rows => /[$#]/.test(rows.textContent))"
    return _usable_ms(server, TERMINAL_READY, prompt)


def editor_usable(server: Server) -> Measured:
    """Until the template's file is on the screen and takes keys."""
    text = f"() => [...document.querySelectorAll('{EDITOR_READY}')].some(e => e.isContentEditable && e.textContent)"
    return _usable_ms(server, EDITOR_READY, text)


# From the click, as the browser dates it, to the change of the page that the server's answer to it makes.
ANSWERED = """() => {
  window.answeredMs = [];
  let clickedMs = null;
  addEventListener("click", (event) => (clickedMs = event.timeStamp), true);
  const files = document.querySelector(".dx-pane-files").closest(".dx-split");
  new MutationObserver(() => {
    if (clickedMs !== null) window.answeredMs.push(performance.now() - clickedMs);
    clickedMs = null;
  }).observe(files, { attributeFilter: ["data-collapsed"] });
}"""


def ui_roundtrip(server: Server) -> Measured:
    """A click answered by the server while a terminal of the same page shows `yes` at full speed."""
    repl = server.create(name="busy")["id"]
    with chromium(server) as context:
        page = open_workbench(context, server, repl)
        page.locator(".xterm-helper-textarea").last.focus()
        page.keyboard.type("yes\n")
        page.wait_for_function(
            f"() => [...document.querySelectorAll('{TERMINAL_READY}')].some(r => r.textContent.includes('yyyy'))"
        )
        page.evaluate(ANSWERED)
        button = page.get_by_role("button", name="Files (Ctrl+B)")
        for number in range(CLICKS):
            button.click()
            page.wait_for_function("count => window.answeredMs.length > count", arg=number)
        times = page.evaluate("() => window.answeredMs")
        page.keyboard.press("Control+c")
    server.delete(repl)
    return Measured(median(times))


FLOOD_LINES = 20_000_000 // 77  # lines of base64 with their ends
FLOOD_SHOWN = f"head -c {FLOOD_LINES * 57} /dev/zero | base64; echo fini''shed"
# From Enter, as the page dates it, to the frame that shows the last line.
SHOWN = """() => {
  window.shownMs = null;
  let typedMs = null;
  addEventListener("keydown", (event) => event.key === "Enter" && (typedMs ??= event.timeStamp), true);
  const look = () => {
    const rows = [...document.querySelectorAll(".xterm-rows")].find((rows) => rows.offsetParent);
    if (typedMs !== null && /finished/.test(rows.textContent)) window.shownMs = performance.now() - typedMs;
    else requestAnimationFrame(look);
  };
  look();
}"""
CLEARED = f"() => [...document.querySelectorAll('{TERMINAL_READY}')].every(rows => !/finished/.test(rows.textContent))"


def flood_rendered(server: Server) -> Measured:
    """Seconds from Enter until the last of 20 MB is on the screen, in rounds with terminado behind an xterm.js as it
    comes; the limit is a bare PTY that nobody shows.
    """
    repl = server.create(name="flood")["id"]
    ours, theirs, limits = [], [], []
    with chromium(server) as context, terminado() as port:
        page, other = open_workbench(context, server, repl), _plain_terminal(context, port)
        for _ in range(FLOODS_SHOWN):
            limits.append(FLOOD_MB / bare.flood_mb_s(FLOOD_SHOWN.encode(), FLOOD_MB * 1_000_000))
            ours.append(_flood_shown_s(page))
            theirs.append(_flood_shown_s(other))
    server.delete(repl)
    beside = {"terminado": median(theirs), "JupyterLab": 4.4, "ttyd": 6.0, "code-server": 16}
    return Measured(median(ours), median(limits), beside)


def _flood_shown_s(page: Page) -> float:
    page.bring_to_front()
    page.locator(".xterm-helper-textarea").last.focus()
    page.keyboard.type("clear\n")
    page.wait_for_function(CLEARED)  # of what the last one left
    page.keyboard.type(FLOOD_SHOWN)
    page.evaluate(SHOWN)
    page.keyboard.press("Enter")
    page.wait_for_function("() => window.shownMs !== null", polling=100)  # looked for seldom: it costs the page
    shown_s: float = page.evaluate("() => window.shownMs / 1000")
    return shown_s


# What terminado's own clients do: what comes is written, nothing is acknowledged.
PLAIN_TERMINAL = """() => {
  const terminal = new Terminal({ scrollback: 10_000 });
  terminal.open(document.body);
  const socket = new WebSocket(`ws://${location.host}/terminals/`);
  socket.onmessage = ({ data }) => {
    const [kind, text] = JSON.parse(data);
    if (kind === "stdout") terminal.write(text);
  };
  terminal.onData((text) => socket.send(JSON.stringify(["stdin", text])));
}"""


def _plain_terminal(context: BrowserContext, port: int) -> Page:
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{port}/")
    page.add_style_tag(path=XTERM / "css" / "xterm.css")
    page.add_script_tag(path=XTERM / "lib" / "xterm.js")
    page.evaluate(PLAIN_TERMINAL)
    page.wait_for_function(f"() => /[$#]/.test(document.querySelector('{TERMINAL_READY}').textContent)")
    return page


def save(server: Server) -> tuple[Measured, Measured]:
    """Bytes sent for one changed character of an open 1 MB file, and milliseconds until it is on disk."""
    repl = server.create(name="save")["id"]
    line = b"# " + b"x" * 77 + b"\n"
    content = line * (BIG_FILE_BYTES // len(line))
    server.http.put(f"/repls/{repl}/files/big.py", content=content).raise_for_status()
    path = next((server.directory / "data").glob(f"**/{repl}/big.py"))
    sizes, times = [], []
    with chromium(server) as context:
        page = open_workbench(context, server, repl)
        total = _wire_bytes(page)
        page.reload()
        page.wait_for_selector(EDITOR_READY)
        page.locator('[role="treeitem"]', has_text="big.py").click()
        editor = page.locator(f'{EDITOR_READY}[aria-label="big.py"]')
        editor.filter(has_text="xxxxxx").click()
        for index in range(SAVES):
            page.wait_for_timeout(QUIET_MS)
            sent, before = total["sent"], path.stat().st_mtime_ns
            started = time.perf_counter()
            page.keyboard.type(TYPED[index])
            while path.stat().st_mtime_ns == before:
                assert time.perf_counter() - started < SAVE_DEADLINE_S, "never saved"
                time.sleep(0.002)
            times.append((time.perf_counter() - started) * 1000)
            sizes.append(float(total["sent"] - sent))
    server.delete(repl)
    return Measured(median(sizes)), Measured(median(times))
