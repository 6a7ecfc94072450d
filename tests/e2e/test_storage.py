"""Where a browser forbids storage, as in a frame of another site, everything works; only what is remembered is not."""

from playwright.sync_api import Page, expect

from tests.e2e.serving import Served
from tests.e2e.workbench import begin, run, terminal, type_into_editor

FORBIDDEN = """for (const name of ["sessionStorage", "localStorage"]) Object.defineProperty(window, name, {
    configurable: true, get() { throw new DOMException("The operation is insecure.", "SecurityError"); } });"""


def test_everything_works_where_storage_is_forbidden(page: Page, served: Served) -> None:
    page.add_init_script(FORBIDDEN)
    begin(page, served, "forbidden", "Forbidden")
    type_into_editor(page, "print('as', 'typed')\n")
    expect(run(page)).to_contain_text("Exit code 0")
    expect(terminal(page)).to_contain_text("as typed")
    page.keyboard.press("Control+b")
    expect(page.get_by_role("tree")).to_be_hidden()
