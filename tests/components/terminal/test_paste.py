"""Whatever is pasted: nothing of it ends the paste, or is a key, and nothing else of it is lost."""

import re
from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page

from tests.chromium import at_home
from tests.components.terminal.at_terminal import at_prompt, enter, focus
from tests.components.terminal.serving import Served

END = "\x1b[201~"
ENDS = ["\x1b", "\x9b", "[", "201~", "[201~", "[20", "1~", END, f"\x1b[20{END}1~", f"\x1b{END}[201~", "\x9b201~"]
BREAKS = ["\r", "\n", "\r\n", "\n\r", "\t"]
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")  # but for tabs and the ends of lines
CONTROLS = [chr(code) for code in (*range(0x20), *range(0x7F, 0xA0))]
TEXT = (
    st.lists(st.sampled_from(ENDS) | st.sampled_from(CONTROLS + BREAKS) | st.text(max_size=3), max_size=9)
    .map("".join)
    .filter(bool)
)
TEXTS_AT_ONCE = 50
# -> for each text what the terminal types, the whole of it.
PASTE = """async (texts) => {
    const { id } = document.querySelector(".dx-terminal");
    const terminal = getElement(Number(id.slice(1)));
    const typed = [];
    let last = "";
    const turn = new MessageChannel(); // of the page's loop, without the pause that timers make
    const listening = terminal.term.onData((data) => (last += data));
    for (const text of texts) {
        last = "";
        const data = new DataTransfer();
        data.setData("text/plain", text);
        const pasted = new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
        document.querySelector(".xterm-helper-textarea").dispatchEvent(pasted);
        await new Promise((done) => {
            turn.port1.onmessage = done;
            turn.port2.postMessage(0);
        });
        typed.push(last);
    }
    listening.dispose();
    return typed;
}"""


@pytest.fixture(scope="module")
def page(browser: Browser, served: Served) -> Iterator[Page]:
    """A program that knows a paste when it sees one, and takes every byte."""
    with at_home(browser, width=1000, height=700) as page, at_prompt(page, served):
        enter(page, r"stty raw -echo; printf '\033[?2004h'; exec cat > /dev/null")
        page.wait_for_function(
            """() => getElement(Number(document.querySelector(".dx-terminal").id.slice(1)))
                .term.modes.bracketedPasteMode"""
        )
        focus(page)
        yield page


# Not made smaller when one fails: each text is short, and is named.
@settings(max_examples=10, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
@given(texts=st.lists(TEXT, min_size=TEXTS_AT_ONCE, max_size=TEXTS_AT_ONCE))
def test_no_text_ends_its_paste_or_is_a_key(page: Page, texts: list[str]) -> None:
    for text, typed in zip(texts, page.evaluate(PASTE, texts), strict=True):
        shown = CONTROL.sub("", text)
        line_ends = re.sub("\r?\n", "\r", shown)
        assert typed == (f"\x1b[200~{line_ends}{END}" if shown else ""), repr(text)
