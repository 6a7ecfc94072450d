"""A full disk pauses programs: that is said for as long as it lasts, and the file tree makes room."""

from playwright.sync_api import Browser, expect

from tests.chromium import opened
from tests.e2e.serving import serving
from tests.e2e.workbench import begin, terminal


def test_it_is_said_until_there_is_room(browser: Browser) -> None:
    with serving(sign_up="open", disk_mib="64") as served, opened(browser) as page:
        begin(page, served, "hoarder", "Attic")
        page.keyboard.press("Control+`")
        page.keyboard.type("for i in 1 2; do head -c 40000000 /dev/zero > filler$i; done\n")
        full = page.get_by_role("alert").filter(has_text="The disk is full: 64 MiB")
        expect(full).to_contain_text(
            "Programs are paused, shells too. Delete files you no longer need in the file tree."
        )
        page.reload()
        expect(full).to_be_visible()
        page.get_by_role("treeitem", name="filler1").click(button="right")
        page.get_by_role("menuitem", name="Delete").click()
        page.get_by_role("button", name="Delete", exact=True).click()
        expect(full).to_have_count(0)
        page.keyboard.press("Control+`")
        page.keyboard.type("echo goes-on-$((1+1))\n")
        expect(terminal(page)).to_contain_text("goes-on-2")
