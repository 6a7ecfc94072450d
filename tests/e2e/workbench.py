"""How a person gets around in DEVEX, in Playwright's words."""

import re

from playwright.sync_api import APIResponse, Locator, Page, expect

from tests.e2e.serving import Served

PASSWORD = "correct horse battery staple"
PROMPT = re.compile(r"[$#]")  # a shell's; the tests' own kubelet runs what it is told to as root


def sign_up(page: Page, served: Served, name: str) -> None:
    """Make an account and arrive at one's REPLs."""
    page.goto(f"{served.url}/sign-up")
    come_in(page, name)


def come_in(page: Page, name: str) -> None:
    """Fill in the form in front, which asks for name and password, and arrive at one's REPLs."""
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your REPLs")).to_be_visible()


def create(page: Page, template: str, name: str) -> None:
    """From one's REPLs to the workbench of a new one."""
    page.get_by_role("button", name="New REPL").click()
    page.get_by_role("radio", name=template, exact=False).first.click()
    name_and_create(page, name)


def name_and_create(page: Page, name: str) -> None:
    """From the dialog of a new REPL to its workbench."""
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Create", exact=True).click()
    expect(page).to_have_url(re.compile(r"/repl/\w+"))
    expect(editor(page)).to_be_visible()


def begin(page: Page, served: Served, name: str, repl: str) -> None:
    """Somebody new at the workbench of a Python REPL, whose shell waits at its prompt."""
    arrive(page, served, name, repl)
    expect(terminal(page)).to_contain_text(PROMPT)


def arrive(page: Page, served: Served, name: str, repl: str) -> None:
    """Somebody new at the workbench of a Python REPL, not by way of the other pages."""
    _ask(page, served, "users", {"name": name, "password": PASSWORD})
    made = _ask(page, served, "repls", {"name": repl, "template": "python"})
    page.goto(f"{served.url}/repl/{made.json()['id']}")
    expect(editor(page)).to_be_visible()


def _ask(page: Page, served: Served, path: str, given: dict[str, str]) -> APIResponse:
    """With the page's cookies, which take in what is set."""
    url, headers = f"{served.url}/api/{path}", {"Origin": served.url}
    return page.request.post(url, data=given, headers=headers, fail_on_status_code=True)


def editor(page: Page) -> Locator:
    """The text of the file in front."""
    return page.locator(".cm-content:visible")


def type_into_editor(page: Page, text: str) -> None:
    """Replace what the file in front says."""
    editor(page).click()
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(text)
    expect(page.locator(".dx-saved")).to_have_text("Saved to disk")


def terminal(page: Page) -> Locator:
    """The text of the terminal in front, which goes on."""
    return page.locator(".dx-tabpanel:not(.dx-behind) .dx-terminal:not(.dx-recorded-screen) .xterm-rows")


def run(page: Page) -> Locator:
    """Press Run; the line above the output."""
    page.get_by_role("button", name="Run", exact=True).click()
    return page.locator(".dx-output-line[role=status]")


def screen(page: Page, *, scrollback: bool = False) -> list[str]:
    """What the terminal in front shows, line by line; with what was scrolled out of sight."""
    in_front = page.locator(".dx-tabpanel:not(.dx-behind) .dx-terminal")
    found = in_front.evaluate(
        """(element, scrollback) => {
            const { buffer: { active }, rows } = getElement(+element.id.slice(1)).term;
            const first = scrollback ? 0 : active.baseY;
            return Array.from({ length: active.baseY + rows - first },
                (_, row) => active.getLine(first + row).translateToString(true));
        }""",
        scrollback,
    )
    return [line.rstrip() for line in found]
