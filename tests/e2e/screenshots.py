"""Pictures of every page for people to look at: `python -m tests.e2e.screenshots` writes them to test-results/."""

from typing import Literal

from playwright.sync_api import Browser, Page, expect

from tests.chromium import chromium
from tests.e2e.serving import ROOT, Served, serving
from tests.e2e.workbench import come_in, create, run, sign_up, terminal

RESULTS = ROOT / "test-results"
SIZES: dict[str, tuple[int, int, Literal["light", "dark"]]] = {
    "light": (1280, 800, "light"),
    "dark": (1280, 800, "dark"),
    "narrow": (400, 800, "dark"),
}
VIEWS = ("Files", "Editor", "Terminal", "Output", "Preview")


def picture(page: Page, look: str, name: str) -> None:
    page.screenshot(path=RESULTS / f"{look}-{name}.png")


def pages(browser: Browser, served: Served, look: str) -> None:
    """One visitor's way through all pages, in one size and theme."""
    width, height, scheme = SIZES[look]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(f"{served.url}/sign-in")
    expect(page.get_by_label("User name")).to_be_focused()
    picture(page, look, "sign-in")
    sign_up(page, served, f"ada-{look}")
    picture(page, look, "dashboard-empty")
    page.get_by_role("button", name="New REPL").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    picture(page, look, "new")
    page.get_by_role("button", name="Cancel").click()
    workbench(page, look)
    page.goto(served.url)
    expect(page.get_by_role("article")).to_be_visible()
    picture(page, look, "dashboard")
    page.goto(f"{served.url}/account")
    expect(page.get_by_role("heading", name="Password")).to_be_visible()
    picture(page, look, "account")
    context.close()


def workbench(page: Page, look: str) -> None:
    """A web program with its preview, a terminal, the palette."""
    create(page, "Node.js", "Demo")
    expect(terminal(page)).to_contain_text("$")
    history(page, look)
    run(page)
    if look == "narrow":
        for view in VIEWS:
            page.get_by_role("tab", name=view, exact=True).last.click()
            picture(page, look, f"workbench-{view.lower()}")
        return
    shown = page.frame_locator("iframe[title=Preview]").locator("body")
    expect(shown).not_to_be_empty()
    picture(page, look, "workbench-output")
    page.keyboard.press("Control+`")
    page.keyboard.type("ls -la --color && node --version\n")
    expect(terminal(page)).to_contain_text("v")
    picture(page, look, "workbench-terminal")
    page.keyboard.press("Control+Shift+P")
    expect(page.get_by_role("dialog").get_by_role("option").first).to_be_visible()
    picture(page, look, "workbench-palette")
    page.keyboard.press("Escape")


def history(page: Page, look: str) -> None:
    """Two versions by hand, the newer one open; on a narrow screen one step after the other."""
    for number in (1, 2):
        page.locator(".cm-content:visible").click()
        page.keyboard.press("Control+End")
        page.keyboard.insert_text(f"// a line for version {number}\n")
        expect(page.locator(".dx-saved")).to_have_text("Saved to disk")
        page.keyboard.press("Control+Shift+P")
        page.keyboard.type("Save a version")
        page.keyboard.press("Enter")
        expect(page.get_by_text("A version is saved.").last).to_be_visible()
    page.keyboard.press("Control+Shift+P")
    page.keyboard.type("History")
    page.keyboard.press("Enter")
    versions = page.get_by_role("listbox", name="Versions").get_by_role("option")
    expect(versions.first).to_have_attribute("aria-selected", "true")
    if look == "narrow":
        picture(page, look, "history-versions")
        versions.first.click()
        picture(page, look, "history-files")
        page.get_by_role("listbox", name="Changed files").get_by_role("option").first.click()
    expect(page.locator(".dx-history-texts .cm-content").last).to_be_visible()
    picture(page, look, "history")
    if look != "narrow":
        page.get_by_role("button", name="Restore everything").click()
        expect(page.get_by_role("dialog")).to_be_visible()
        picture(page, look, "history-restore")
        page.get_by_role("button", name="Cancel").click()
        page.get_by_role("button", name="Close the history").click()
        page.locator(".dx-receipt > button").click()
        picture(page, look, "receipt")
        page.keyboard.press("Escape")
    else:
        page.get_by_role("button", name="Close the history").click()


def main() -> None:
    RESULTS.mkdir(exist_ok=True)
    with serving(sign_up="open") as served, chromium() as browser:
        for look in SIZES:
            pages(browser, served, look)
        admin = browser.new_page()
        admin.goto(served.setup_url)
        come_in(admin, "root")
        admin.goto(f"{served.url}/admin")
        expect(admin.get_by_role("heading", name="This machine")).to_be_visible()
        picture(admin, "light", "admin")


if __name__ == "__main__":
    main()
