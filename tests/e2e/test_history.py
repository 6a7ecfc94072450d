"""Nothing is lost: versions are seen, compared and brought back, and what was acknowledged survives every death."""

import os
import re
import signal
from pathlib import Path

import psutil
from playwright.sync_api import Locator, Page, expect

from tests.e2e.serving import Served
from tests.e2e.test_crash import BACK_MS, started
from tests.e2e.workbench import begin, editor, terminal, type_into_editor
from tests.getting_around import command, said, versions
from tests.ports import free_port


def save_version(page: Page) -> None:
    with said(page, "A version is saved."):
        command(page, "Save a version")
    expect(page.locator(".dx-receipt > button")).to_contain_text(re.compile(r"Safe in the store at \d\d:\d\d:\d\d"))


def bottom_of(locator: Locator) -> float:
    box = locator.bounding_box()
    assert box
    return box["y"] + box["height"]


def version_that_says(page: Page, text: str) -> None:
    """Choose, in the history of main.py, the newest version in which it holds this text."""
    saved = re.sub(r"/repl/(\w+).*", r"/repls/\1/snapshots", page.url)
    main = "path=main.py"
    listed = [one["version"] for one in page.request.get(saved, params=main).json()["versions"]]
    found = next(one for one in listed if text in page.request.get(f"{saved}/{one}/file", params=main).text())
    page.locator(f"[role=option][id$='-{found}']").click()
    expect(page.locator(".dx-history-texts .cm-content").first).to_contain_text(text)


def restore_file(page: Page) -> None:
    page.get_by_role("button", name="Restore this file").click()
    page.get_by_role("dialog", name=re.compile("Restore “main.py” from")).get_by_role("button", name="Restore").click()
    expect(page.locator(".dx-history-said")).to_contain_text("1 file restored.")


def history_of(page: Page, name: str) -> None:
    page.get_by_role("treeitem", name=name).click(button="right")
    page.get_by_role("menuitem", name="History of this file").click()
    expect(page.get_by_role("heading", name=f"History of {name}")).to_be_visible()


def test_an_older_text_is_compared_and_comes_back_into_the_editor(page: Page, served: Served) -> None:
    begin(page, served, "historian", "Past")
    type_into_editor(page, "print('the old text')\n")
    save_version(page)
    type_into_editor(page, "print('the new text')\n")
    save_version(page)
    status = page.locator(".dx-status").bounding_box()
    assert status
    assert bottom_of(page.locator(".q-notification").last) <= status["y"]  # what is saved is never covered
    page.get_by_role("button", name="History", exact=True).click()
    expect(versions(page).first).to_contain_text("Saved by hand")
    expect(versions(page).first).to_contain_text("historian")
    texts = page.locator(".dx-history-texts .cm-content")
    expect(texts.first).to_contain_text("the old text")
    expect(texts.last).to_contain_text("the new text")
    expect(page.locator(".dx-history-texts .cm-changedText").first).to_be_visible()
    page.keyboard.press("Escape")
    expect(editor(page)).to_contain_text("the new text")
    history_of(page, "main.py")
    version_that_says(page, "the old text")
    expect(texts.last).to_contain_text("the new text")  # as it is now
    restore_file(page)
    expect(versions(page).first).to_contain_text("Restored main.py from the version of")
    expect(page.locator(".dx-receipt > button")).to_contain_text("Safe in the store at")
    page.get_by_role("button", name="Close the history").click()
    expect(editor(page)).to_contain_text("the old text")
    expect(page.locator(".dx-saved")).to_have_text("Saved to disk")
    page.keyboard.press("Control+`")
    page.keyboard.type("cat main.py\n")
    expect(terminal(page)).to_contain_text("print('the old text')")


def test_the_history_of_a_stopped_repl_is_read(page: Page, served: Served) -> None:
    begin(page, served, "archivist", "Asleep")
    type_into_editor(page, "print('kept')\n")
    save_version(page)
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitem", name="Stop this REPL").click()
    expect(page.get_by_role("heading", name="is stopped")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text="is stopped")).to_contain_text("safe in the store, as version")
    page.get_by_role("button", name="History", exact=True).click()
    expect(versions(page).first).to_be_visible()
    versions(page).last.click()
    expect(page.get_by_text("To bring something back, start this REPL.")).to_be_visible()
    expect(page.get_by_role("button", name="Restore everything")).to_have_count(0)
    page.keyboard.press("Escape")
    page.locator(".dx-shelf").get_by_role("treeitem", name="main.py").click(button="right")
    page.get_by_role("menuitem", name="History of this file").click()
    version_that_says(page, "kept")
    original = page.url
    page.get_by_role("button", name="Fork").click()
    page.get_by_role("dialog").get_by_role("button", name="Fork").click()
    expect(page).not_to_have_url(original)
    expect(editor(page)).to_contain_text("kept")


def test_a_stop_whose_last_changes_are_not_in_the_store_says_so(page: Page, served: Served) -> None:
    begin(page, served, "unlucky", "Unsafe")
    save_version(page)
    store = served.data_dir / "store"
    away = store.rename(store.with_name("store-away"))
    type_into_editor(page, "print('only on disk')\n")
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitem", name="Stop this REPL").click()
    expect(page.locator(".dx-cover")).to_contain_text("Its last changes are not in the store yet:")
    page.goto(served.url)
    card = page.get_by_role("article")
    expect(card).to_contain_text("Not safe in the store:")
    expect(card).to_contain_text("Its files are kept here")
    away.rename(store)
    expect(card).not_to_contain_text("Not safe in the store:")
    expect(card.locator(".dx-chip")).to_have_text("Stopped")


def test_what_was_acknowledged_survives_the_death_of_everything(page: Page, tmp_path: Path) -> None:
    port = free_port()
    served = Served(f"http://127.0.0.1:{port}", "", tmp_path / "data")
    with started(tmp_path, port) as server:
        begin(page, served, "ada", "Phoenix")
        type_into_editor(page, "print('yesterday')\n")
        save_version(page)
        type_into_editor(page, "print('today')\n")
        kill_everything(served.data_dir, server.pid)
        server.wait()
    expect(page.locator(".dx-connection").get_by_text("Connecting…")).to_be_visible()
    with started(tmp_path, port):
        page.reload()
        expect(editor(page)).to_contain_text("print('today')", timeout=BACK_MS)
        history_of(page, "main.py")
        version_that_says(page, "yesterday")
        restore_file(page)
        page.get_by_role("button", name="Close the history").click()
        expect(editor(page)).to_contain_text("print('yesterday')")


def kill_everything(data_dir: Path, server_pid: int) -> None:
    """The server first, so that it cannot react; then the launcher and all that lives below it."""
    launchers = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(data_dir) in (line := process.info["cmdline"] or []) and "orchestrator.backends.local.launcher" in line
    ]
    assert launchers
    below = [child for launcher in launchers for child in launcher.children(recursive=True)]
    os.kill(server_pid, signal.SIGKILL)
    for process in [*launchers, *below]:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            pass


def test_what_a_fork_lacks_is_said_in_it_and_on_its_card(page: Page, served: Served) -> None:
    begin(page, served, "forker", "Torn")
    save_version(page)
    (packs,) = served.data_dir.glob(f"store/{page.url.rpartition('/')[2]}/p")
    for pack in packs.iterdir():
        pack.write_bytes(bytes(pack.stat().st_size))
    command(page, "History")
    versions(page).first.click()
    page.get_by_role("button", name="Fork", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Fork").click()
    expect(page.get_by_role("heading", name="Torn (copy)")).to_be_visible()
    lacks = "“main.py” cannot be brought back: what the store holds of it is damaged"
    told = page.get_by_role("alert").filter(has_text=lacks)
    expect(told).to_be_visible()
    page.reload()
    expect(told).to_be_visible()
    told.get_by_role("button", name="Close").click()
    expect(page.get_by_text(lacks)).to_have_count(0)
    page.goto(served.url)
    expect(page.get_by_role("article").filter(has_text="Torn (copy)").get_by_text(lacks)).to_be_visible()
