"""The pages around the workbench."""

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chromium import opened
from tests.e2e.serving import Served, new_setup_url
from tests.e2e.workbench import PASSWORD, arrive, come_in, editor, sign_up
from tests.getting_around import said


def test_an_administrator_invites(page: Page, served: Served, browser: Browser) -> None:
    page.goto(new_setup_url(served))
    page.get_by_label("User name").fill("grace")
    page.get_by_label("Password").fill("short")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("at least 10 characters")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your REPLs")).to_be_visible()
    page.goto(f"{served.url}/admin")
    expect(page.locator(".dx-grow", has_text="grace").get_by_text("Admin · since")).to_be_visible()
    page.get_by_role("button", name="Make a link").click()
    expect(page.get_by_label("Link to send")).to_have_value(re.compile("/sign-up.invite="))
    link = page.get_by_label("Link to send").input_value()
    with said(page, "The link is copied."):
        page.get_by_role("button", name="Copy").click()
    expect(page.get_by_text("is written, listed, read and deleted from.")).to_be_visible()
    expect(page.get_by_text("It refuses to replace an object.")).to_be_visible()
    with opened(browser) as guest:
        guest.goto(link)
        come_in(guest, "guest")
        guest.goto(f"{served.url}/admin")
        expect(guest.get_by_text("Only an administrator may do this.")).to_be_visible()


def test_wrong_passwords_get_a_sentence_and_the_right_one_leads_on(page: Page, served: Served) -> None:
    sign_up(page, served, "bob")
    page.get_by_role("button", name="Account of bob").click()
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page).to_have_url(re.compile("/sign-in"))
    page.goto(f"{served.url}/account")
    expect(page).to_have_url(re.compile(r"/sign-in\?then="))
    page.get_by_label("User name").fill("bob")
    page.get_by_label("Password").fill("something else entirely")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The name or the password is wrong.")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Signed in as bob")).to_be_visible()


@pytest.fixture
def other(browser: Browser) -> Iterator[Page]:
    with opened(browser) as page:
        yield page


def test_a_changed_password_signs_other_browsers_out(page: Page, other: Page, served: Served) -> None:
    sign_up(page, served, "carol")
    other.goto(f"{served.url}/sign-in")
    come_in(other, "carol")
    page.goto(f"{served.url}/account")
    expect(page.get_by_role("button", name="Sign out")).to_have_count(1)
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_label("New password").fill(PASSWORD + " again")
    page.get_by_role("button", name="Change password").click()
    expect(page.get_by_text("Your password is changed.")).to_be_visible()
    expect(other).to_have_url(re.compile("/sign-in"), timeout=15_000)  # as promised


def test_a_token_is_shown_once_and_revoked(page: Page, served: Served) -> None:
    sign_up(page, served, "olga")
    page.goto(f"{served.url}/account")
    page.get_by_label("What it is for").fill("nightly job")
    page.keyboard.press("Enter")
    token = page.get_by_label("The token: it is shown this once")
    expect(token).to_have_value(re.compile("^devex_"))
    bearing = {"Authorization": f"Bearer {token.input_value()}"}
    with said(page, "The token is copied."):
        page.get_by_role("button", name="Copy").click()
    with httpx.Client(base_url=served.url, headers=bearing, trust_env=False) as script:
        assert script.get("/api/session").json()["name"] == "olga"
        page.reload()
        expect(page.get_by_text("nightly job")).to_be_visible()
        expect(page.get_by_text("shown this once")).to_be_hidden()
        page.get_by_role("button", name="Revoke nightly job").click()
        page.get_by_role("dialog").get_by_role("button", name="Revoke").click()
        expect(page.get_by_text("nightly job", exact=True)).to_be_hidden()
        assert script.get("/api/session").status_code == 401


def test_repls_are_renamed_forked_deleted_and_taken_back(page: Page, served: Served) -> None:
    arrive(page, served, "dora", "First")
    page.goto(served.url)
    card = page.get_by_role("article").filter(has_text="First")
    expect(card.get_by_text("Running")).to_be_visible()
    card.get_by_role("button", name="Stop", exact=True).click()
    expect(card.get_by_text("Stopped")).to_be_visible()
    card.get_by_role("button", name="More for First").click()
    page.get_by_role("menuitem", name="Rename").click()
    page.get_by_label("Name", exact=True).fill("Second")
    page.keyboard.press("Enter")
    card = page.get_by_role("article").filter(has_text="Second")
    card.get_by_role("button", name="More for Second").click()
    page.get_by_role("menuitem", name="Fork").click()
    expect(page.get_by_role("heading", name="Second (copy)")).to_be_visible()
    expect(editor(page)).to_be_visible()
    page.goto(served.url)
    expect(page.get_by_role("article")).to_have_count(2)
    page.get_by_role("button", name="More for Second (copy)").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(page.get_by_role("article")).to_have_count(1)
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_role("article")).to_have_count(2)
    page.get_by_role("button", name="More for Second (copy)").click()
    page.get_by_role("menuitem", name="Delete").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("button", name="Delete for good").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete for good").click()
    expect(page.get_by_role("button", name="Restore")).to_have_count(0)
    expect(page.get_by_role("article")).to_have_count(1)
    page.reload()
    expect(page.get_by_role("heading", name="Trash")).to_have_count(0)


def test_somebody_else_sees_nothing(page: Page, other: Page, served: Served) -> None:
    arrive(page, served, "erin", "Private")
    sign_up(other, served, "frank")
    other.goto(page.url)
    expect(other.get_by_text("There is no such REPL.")).to_be_visible()
    expect(other.get_by_text("Private")).to_have_count(0)


def test_a_dark_page_is_dark_before_its_scripts_run(browser: Browser, served: Served) -> None:
    with opened(browser, java_script_enabled=False, color_scheme="dark") as page:
        page.goto(f"{served.url}/sign-in")
        expect(page.locator("body")).to_have_css("background-color", "rgb(20, 23, 29)")
        page.emulate_media(color_scheme="light")
        expect(page.locator("body")).to_have_css("background-color", "rgb(255, 255, 255)")
