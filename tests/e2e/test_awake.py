"""The line at the bottom says when a REPL stops and why it is awake; pressed, it keeps it awake for longer."""

from playwright.sync_api import Page, expect

from tests.e2e.serving import Served
from tests.e2e.workbench import arrive, type_into_editor
from tests.getting_around import said


def test_it_is_kept_awake_for_an_hour_and_says_why(page: Page, served: Served) -> None:
    arrive(page, served, "waker", "Night shift")
    expect(page.get_by_text("it stops in 1 min. Press Extend to keep it awake.")).to_be_visible()
    type_into_editor(page, "print('awake')\n")
    lease = page.locator(".dx-lease")
    lease.click()
    told = page.locator(".dx-awake")
    expect(told).to_contain_text("Awake because a file was edited")
    expect(told).to_contain_text("editing 1 min")
    expect(told).to_contain_text("24 h is left for this today.")
    with said(page, "It stays awake for 1 hour."):
        told.get_by_role("button", name="1 h", exact=True).click()
    expect(told).to_have_count(0)
    expect(lease).to_contain_text("Stops in 59 min")
    page.reload()
    expect(lease).to_contain_text("Stops in 5")
    lease.click()
    expect(told).to_contain_text("kept awake")
    expect(told).to_contain_text("23 h is left for this today.")
    for _ in range(2):
        told.get_by_role("button", name="12 h").click()
        expect(lease).to_contain_text("Stops in 11 h 59 min")
        lease.click()
    told.get_by_role("button", name="4 h", exact=True).click()
    expect(lease).to_contain_text("Stops in 11 h 5")
