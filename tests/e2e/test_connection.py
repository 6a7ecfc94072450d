"""A lost connection is told at once, in the browser, and nothing that is typed meanwhile is lost."""

from playwright.sync_api import Page, expect

from tests.e2e.serving import Served
from tests.e2e.workbench import begin, editor


def test_a_lost_connection_is_told_and_typing_kept(page: Page, served: Served) -> None:
    begin(page, served, "tunnel", "Tunnel")
    connection = page.locator(".dx-connection")
    expect(connection.get_by_text("Connected")).to_be_visible()
    page.context.set_offline(True)
    expect(connection.get_by_text("Connecting…")).to_be_visible()
    editor(page).click()
    page.keyboard.insert_text("# typed in the tunnel\n")
    page.context.set_offline(False)
    expect(connection.get_by_text("Connected")).to_be_visible()
    expect(page.locator(".dx-saved")).to_have_text("Saved to disk")
    page.reload()
    expect(editor(page)).to_contain_text("typed in the tunnel")
