"""The history and the receipt in Chromium, over real routes, a real worker and a real store."""

import os
import re
import shutil

from playwright.sync_api import Page, expect

from tests.components.history.serving import Served, changed, open_history, sides, visit
from tests.getting_around import command, versions

BEFORE_AUTOSAVE_MS = 20_000  # it would say so by itself half a minute after the change


def test_what_changed_is_seen_and_an_older_text_comes_back(page: Page, served: Served) -> None:
    served.write("a.py", "print('one')\nsame\n")
    served.write("sub/b.txt", "untouched\n")
    served.save()
    served.write("a.py", "print('two')\nsame\n")
    newest = served.save()
    visit(page, served)
    listed = open_history(page)
    expect(listed).to_have_count(2)
    expect(listed.first).to_contain_text("Saved by hand")
    expect(listed.first).to_contain_text("ada · 1 file changed")
    expect(changed(page)).to_have_count(1)
    expect(changed(page)).to_contain_text("a.py")
    expect(sides(page)).to_have_count(2)
    expect(sides(page).first).to_contain_text("print('one')")
    expect(sides(page).last).to_contain_text("print('two')")
    expect(page.locator(".cm-merge-b .cm-changedText")).to_have_text("two")
    listed.last.click()
    expect(changed(page)).to_have_count(3)  # with the folder
    expect(sides(page).first).to_have_text("")
    expect(sides(page).last).to_contain_text("print('one')")
    page.get_by_role("button", name="What changed since").click()
    expect(sides(page).first).to_contain_text("print('one')")
    expect(sides(page).last).to_contain_text("print('two')")
    page.get_by_role("button", name="Restore this file").click()
    dialog = page.get_by_role("dialog", name=re.compile("Restore “a.py” from"))
    expect(dialog).to_contain_text("1 file changes. First, everything as it is now is saved")
    dialog.get_by_role("button", name="Cancel").click()
    assert "two" in served.text("a.py")
    page.get_by_role("button", name="Restore this file").click()
    dialog.get_by_role("button", name="Restore").click()
    expect(page.locator(".dx-history-said")).to_contain_text("1 file restored.")
    expect(page.locator(".dx-receipt > button")).to_contain_text("Safe in the store at", timeout=BEFORE_AUTOSAVE_MS)
    expect(listed.first).to_contain_text("Restored a.py from the version of")
    assert served.text("a.py") == "print('one')\nsame\n"
    expect(sides(page).last).to_contain_text("print('one')")
    expect(page.locator(".dx-history-sides")).to_contain_text("the same")
    assert served.http.get(f"/snapshots/{newest}/file?path=a.py").text == "print('two')\nsame\n"


def test_any_two_are_compared(page: Page, served: Served) -> None:
    served.write("a.txt", "first\n")
    served.write("gone.txt", "was here\n")
    served.save("the oldest")
    served.write("a.txt", "second\n")
    (served.workspace / "gone.txt").unlink()
    served.save()
    served.write("a.txt", "third\n")
    served.write("b.txt", "new\n")
    served.save()
    visit(page, served)
    listed = open_history(page)
    expect(changed(page)).to_have_text([re.compile("a.txt"), re.compile("b.txt")])
    expect(sides(page).first).to_contain_text("second")
    page.get_by_label("Compared with").select_option("the oldest")
    expect(changed(page)).to_have_text([re.compile("a.txt"), re.compile("b.txt"), re.compile("gone.txt")])
    expect(sides(page).first).to_contain_text("first")
    expect(sides(page).last).to_contain_text("third")
    expect(page.locator(".dx-history-sides")).to_contain_text("the oldest")
    changed(page).filter(has_text="gone.txt").click()
    expect(sides(page).first).to_contain_text("was here")
    page.get_by_role("button", name="Bring it back").click()
    dialog = page.get_by_role("dialog", name="Restore “gone.txt” from the oldest?")
    dialog.get_by_role("button", name="Restore").click()
    expect(page.locator(".dx-history-said")).to_contain_text("1 file restored.")
    assert served.text("gone.txt") == "was here\n"
    listed.nth(2).click()  # the second
    expect(page.get_by_label("Compared with")).to_have_count(0)  # there is only one before it
    expect(changed(page)).to_have_text([re.compile("a.txt"), re.compile("gone.txt")])
    expect(sides(page)).to_have_count(2)


def test_everything_a_folder_and_a_deleted_file_come_back(page: Page, served: Served) -> None:
    served.write("sub/deep/a.txt", "a\n")
    served.write("sub/b.txt", "b\n")
    served.write("c.txt", "c\n")
    served.save("all there")
    shutil.rmtree(served.workspace / "sub")
    (served.workspace / "c.txt").unlink()
    served.write("new.txt", "new\n")
    served.save()
    visit(page, served)
    open_history(page)
    changed(page).filter(has_text="c.txt").click()
    page.get_by_role("button", name="Bring it back").click()
    page.get_by_role("dialog").get_by_role("button", name="Restore").click()
    expect(page.locator(".dx-history-said")).to_contain_text("1 file restored.")
    assert served.text("c.txt") == "c\n"
    versions(page).filter(has_text="all there").click()
    page.get_by_role("button", name="All files", exact=True).click()
    files = page.get_by_role("listbox", name="Files of this version").get_by_role("option")
    files.filter(has_text="sub").click()
    expect(files).to_have_count(3)  # the folder above, deep and b.txt
    files.filter(has_text="deep").click()
    expect(files.last).to_contain_text("a.txt")
    page.get_by_role("button", name="Restore this folder").click()
    page.get_by_role("dialog").get_by_role("button", name="Restore").click()
    expect(page.locator(".dx-history-said")).to_contain_text("1 file restored.")
    assert served.text("sub/deep/a.txt") == "a\n"
    assert not (served.workspace / "sub" / "b.txt").exists()
    page.get_by_role("button", name="Restore everything").click()
    expect(page.get_by_role("dialog")).to_contain_text("1 file comes back, 1 file is removed.")
    page.get_by_role("dialog").get_by_role("button", name="Restore").click()
    expect(page.locator(".dx-history-said")).to_contain_text("1 file restored, 1 file removed.")
    assert served.text("sub/b.txt") == "b\n"
    assert not (served.workspace / "new.txt").exists()


def test_what_cannot_be_shown_is_said(page: Page, served: Served) -> None:
    served.write("image", b"\x89PNG\0\xff")
    served.write("large", b"x" * 2_000_001)
    served.save()
    visit(page, served)
    open_history(page)
    changed(page).filter(has_text="image").click()
    expect(page.locator(".dx-history-texts")).to_contain_text("This file is not text.")
    changed(page).filter(has_text="large").click()
    expect(page.locator(".dx-history-texts")).to_contain_text("This file is larger than 2 MB.")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download this version of the file").click()
    assert download.value.path().stat().st_size == 2_000_001


def test_a_file_whose_name_is_no_text_comes_back(page: Page, served: Served) -> None:
    strange = os.fsencode(served.workspace) + b"/odd\xff.txt"
    with open(strange, "w") as file:
        file.write("as it was\n")
    served.save()
    with open(strange, "w") as file:
        file.write("as it is\n")
    served.save()
    visit(page, served)
    page.get_by_role("treeitem", name="odd").click(button="right")
    page.get_by_role("menuitem", name="History of this file").click()
    expect(versions(page)).to_have_count(2)
    versions(page).last.click()
    expect(sides(page).first).to_contain_text("as it was")
    expect(sides(page).last).to_contain_text("as it is")
    page.get_by_role("button", name="Restore this file").click()
    page.get_by_role("dialog").get_by_role("button", name="Restore").click()
    expect(page.locator(".dx-history-said")).to_contain_text("1 file restored.")
    with open(strange) as file:
        assert file.read() == "as it was\n"


def test_a_name_is_given_and_taken_away(page: Page, served: Served) -> None:
    served.write("a.txt", "a\n")
    version = served.save()
    visit(page, served)
    listed = open_history(page)
    page.get_by_role("button", name="Name this version").click()
    expect(page.get_by_label("Name of the version")).to_be_focused()
    page.keyboard.type("It works")
    page.keyboard.press("Enter")
    expect(listed.first).to_contain_text("It works")
    assert served.http.get("/snapshots").json()["versions"][0]["name"] == "It works"
    page.get_by_role("button", name="Rename").click()
    page.get_by_label("Name of the version").fill("")
    page.get_by_role("button", name="Keep").click()
    expect(page.locator(".dx-history-said")).to_contain_text("no name any more")
    expect(listed.first).not_to_contain_text("It works")
    assert served.http.get("/snapshots").json()["versions"][0]["version"] == version


def test_a_file_has_a_history_of_its_own(page: Page, served: Served) -> None:
    for number in range(3):
        served.write("other.txt", f"other {number}\n")
        if number != 1:
            served.write("one.txt", f"one {number}\n")
        served.save()
    visit(page, served)
    page.get_by_role("treeitem", name="one.txt").click(button="right")
    page.get_by_role("menuitem", name="History of this file").click()
    expect(page.get_by_role("heading", name="History of one.txt")).to_be_visible()
    expect(versions(page)).to_have_count(2)
    versions(page).last.click()
    expect(sides(page).first).to_contain_text("one 0")
    expect(sides(page).last).to_contain_text("one 2")
    page.get_by_role("button", name="All files").first.click()
    expect(versions(page)).to_have_count(3)


def test_older_versions_come_as_one_scrolls(page: Page, served: Served) -> None:
    for number in range(35):
        served.write("a.txt", f"{number}\n")
        served.save()
    visit(page, served)
    listed = open_history(page)
    expect(listed).to_have_count(30)
    versions(page).nth(29).scroll_into_view_if_needed()
    expect(listed).to_have_count(35)
    expect(page.get_by_text("This is the oldest version.")).to_be_visible()


def test_by_keyboard_alone(page: Page, served: Served) -> None:
    served.write("a.txt", "one\n")
    served.write("b.txt", "one\n")
    served.save()
    served.write("a.txt", "two\n")
    served.save()
    visit(page, served)
    page.get_by_role("tree").focus()
    listed = open_history(page)
    expect(page.get_by_role("listbox", name="Versions")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(listed.last).to_have_attribute("aria-selected", "true")
    expect(changed(page)).to_have_count(2)
    page.keyboard.press("Enter")
    expect(page.get_by_role("listbox", name="Changed files")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(changed(page).last).to_have_attribute("aria-selected", "true")
    page.get_by_role("button", name="Restore this file").press("Enter")
    expect(page.get_by_role("dialog").get_by_role("button", name="Restore")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("listbox", name="Versions").focus()
    page.keyboard.press("Escape")
    expect(page.get_by_role("region", name="History")).to_have_count(0)
    expect(page.get_by_role("tree")).to_be_focused()


def test_another_command_puts_it_away(page: Page, served: Served) -> None:
    served.write("a.txt", "one\n")
    served.save()
    visit(page, served)
    open_history(page)
    expect(page.get_by_role("tree")).to_be_hidden()
    command(page, "Something")
    expect(page.locator("#heard")).to_have_text("else")
    expect(page.get_by_role("region", name="History")).to_have_count(0)
    expect(page.get_by_role("tree")).to_be_visible()


def test_who_may_only_look_is_offered_nothing_else(page: Page, served: Served) -> None:
    served.write("a.txt", "one\n")
    served.save()
    visit(page, served, "?writable=false")
    open_history(page)
    expect(sides(page).last).to_contain_text("one")
    expect(page.get_by_role("region", name="History")).to_contain_text("Look, but do not touch.")
    for name in ("Restore", "Name", "Save a version"):
        expect(page.get_by_role("region", name="History").get_by_role("button", name=name)).to_have_count(0)


def test_the_receipt_says_what_is_safe(page: Page, served: Served) -> None:
    served.write("a.txt", "one\n")
    served.save()
    visit(page, served)
    receipt = page.locator(".dx-receipt > button")
    expect(receipt).to_contain_text(re.compile(r"Safe in the store at \d\d:\d\d:\d\d"))
    served.write("a.txt", "two\n")
    expect(receipt).to_contain_text(re.compile(r"Not yet in the store: \d+ s"))
    receipt.click()
    expect(page.get_by_text("on disk, but not in the store yet")).to_be_visible()
    page.get_by_role("button", name="Save a version now").click()
    expect(page.locator("#heard")).to_have_text("told A version is saved.")
    expect(receipt).to_contain_text("Safe in the store at")
    served.store.rename(served.store.with_name("away"))
    served.write("a.txt", "three\n")
    expect(receipt).to_contain_text("Not yet in the store")
    command(page, "Save a version")
    expect(page.locator("#heard")).to_contain_text("failed")
    expect(receipt).to_contain_text("Not safe:")
    expect(page.locator(".dx-receipt [role=status]")).to_contain_text("Not safe:")
    served.store.with_name("away").rename(served.store)
    command(page, "Save a version")
    expect(page.locator("#heard")).to_have_text("told A version is saved.")
    expect(receipt).to_contain_text("Safe in the store at")
    command(page, "Save a version")
    expect(page.locator("#heard")).to_have_text("told Nothing has changed since the newest version.")


def test_a_history_without_room_says_so(page: Page, served: Served) -> None:
    served.write("a.txt", "one\n")
    served.save()
    visit(page, served)
    receipt = page.locator(".dx-receipt > button")
    expect(receipt).to_contain_text("Safe in the store at")
    page.evaluate("""async () => {
        const { stored } = await (await fetch(`/repls${location.pathname}/snapshots`)).json();
        const detail = { type: "stored", ...stored, crowded: "7 older versions were removed." };
        window.dispatchEvent(new CustomEvent("devex:repl", { detail }));
    }""")
    expect(receipt).to_have_attribute("data-tone", "warn")
    expect(receipt).to_contain_text("Safe in the store at")
    receipt.click()
    expect(page.get_by_text("7 older versions were removed.")).to_be_visible()


def test_a_new_version_shows_up_by_itself(page: Page, served: Served) -> None:
    served.write("a.txt", "one\n")
    served.save()
    visit(page, served)
    listed = open_history(page)
    expect(listed).to_have_count(1)
    served.write("a.txt", "two\n")
    served.save()
    expect(listed).to_have_count(2)
    expect(listed.last).to_have_attribute("aria-selected", "true")  # what one looks at stays


def test_nothing_yet_and_nothing_to_be_had(page: Page, served: Served) -> None:
    visit(page, served)
    command(page, "History")
    history = page.get_by_role("region", name="History")
    expect(history).to_contain_text("No version yet")
    served.store.rename(served.store.with_name("away"))
    history.get_by_role("button", name="Save a version now").click()
    expect(history).to_contain_text("The versions cannot be listed")
    served.store.with_name("away").rename(served.store)
    served.write("a.txt", "one\n")
    history.get_by_role("button", name="Try again").click()
    expect(history).to_contain_text("No version yet")
    history.get_by_role("button", name="Save a version now").click()
    expect(versions(page)).to_have_count(1)


def test_a_text_is_found_in_a_version(page: Page, served: Served) -> None:
    served.write("sub/old.txt", "nothing\nThe needle is here\n")
    served.save()
    shutil.rmtree(served.workspace / "sub")
    served.save()
    visit(page, served)
    open_history(page)
    versions(page).last.click()
    page.get_by_role("button", name="All files", exact=True).click()
    page.get_by_label("Find in the files of this version").fill("NEEDLE")
    page.keyboard.press("Enter")
    found = page.get_by_role("listbox", name="Files in which it was found").get_by_role("option")
    expect(found).to_have_text(re.compile("old.txt.*2: The needle is here"))
    found.click()
    expect(sides(page).last).to_contain_text("The needle is here")
    page.get_by_label("Find in the files of this version").fill("hay")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing found.")).to_be_visible()


def test_a_list_that_is_cut_says_so(page: Page, served: Served) -> None:
    for number in range(9_000):  # their names alone are more than one answer holds
        (served.workspace / f"{number:0240}").touch()
    served.save()
    visit(page, served)
    open_history(page)
    expect(page.get_by_text("Only the first 5,000 changes are listed.")).to_be_visible()
    expect(changed(page)).to_have_count(500)
    page.get_by_role("button", name="Show more of 5,000").click()
    expect(changed(page)).to_have_count(1_000)
    page.get_by_role("button", name="All files", exact=True).click()
    expect(
        page.get_by_text(re.compile(r"This folder holds more than can be listed: only the first 8,\d+ are here"))
    ).to_be_visible()
