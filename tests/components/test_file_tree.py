"""The file tree in a browser, over a real workspace that programs change at the same time."""

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Locator, Page, expect

from tests.components.conftest import Served
from tests.getting_around import until

MANY = 50_000


@pytest.fixture(autouse=True)
def files(served: Served) -> None:
    """What every test starts with; runs before the page is opened."""
    for path in served.workspace.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (served.workspace / "src" / "deep").mkdir(parents=True)
    (served.workspace / "src" / "deep" / "inner.py").write_text("x = 1\n")
    (served.workspace / "src" / "app.py").write_text("print('hello needle')\n")
    (served.workspace / "docs").mkdir()
    (served.workspace / "main.py").write_text("print(1)\n")
    (served.workspace / "README.md").write_text("# read\n")


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("treeitem").filter(has=page.locator(f".dx-tree-name:text-is({name!r})"))


def type_at_once(page: Page, letters: str) -> None:
    """Into the tree, which takes letters after a pause for the beginning of another name."""
    page.get_by_role("tree").evaluate(
        "(tree, letters) => [...letters].map((key) => tree.dispatchEvent(new KeyboardEvent('keydown', { key })))",
        letters,
    )


def names(page: Page) -> list[str]:
    return page.locator(".dx-tree-name").all_inner_texts()


def test_folders_come_first_and_open_on_demand(page: Page) -> None:
    expect(page.get_by_role("treeitem")).to_have_count(4)
    assert names(page) == ["docs", "src", "main.py", "README.md"]
    row(page, "src").click()
    expect(row(page, "app.py")).to_have_attribute("aria-level", "2")
    expect(row(page, "src")).to_have_attribute("aria-expanded", "true")
    row(page, "app.py").click()
    expect(page.locator("#heard")).to_have_text("open src/app.py")


def test_the_keyboard_does_everything(page: Page, served: Served) -> None:
    expect(row(page, "main.py")).to_be_visible()
    page.get_by_role("tree").focus()
    page.keyboard.press("s")  # type ahead
    expect(row(page, "src")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowRight")
    expect(row(page, "app.py")).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(row(page, "deep")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowLeft")
    expect(row(page, "src")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("End")
    page.keyboard.press("F2")
    page.keyboard.type("NOTES")
    page.keyboard.press("Enter")
    expect(row(page, "NOTES.md")).to_have_attribute("aria-selected", "true")
    assert (served.workspace / "NOTES.md").read_text() == "# read\n"
    page.keyboard.press("Enter")
    expect(page.locator("#heard")).to_have_text("open NOTES.md")
    page.keyboard.press("Delete")
    page.get_by_role("button", name="Delete").press("Enter")
    expect(row(page, "NOTES.md")).to_have_count(0)
    assert not (served.workspace / "NOTES.md").exists()


def test_a_refused_deletion_deletes_nothing(page: Page, served: Served) -> None:
    row(page, "main.py").click()
    page.keyboard.press("Delete")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert (served.workspace / "main.py").exists()


def test_what_programs_do_shows_up(page: Page, served: Served) -> None:
    row(page, "src").click()
    expect(row(page, "app.py")).to_be_visible()
    (served.workspace / "src" / "new.py").write_text("")
    expect(row(page, "new.py")).to_be_visible()
    (served.workspace / "src" / "app.py").rename(served.workspace / "src" / "moved.py")
    expect(row(page, "moved.py")).to_be_visible()
    expect(row(page, "app.py")).to_have_count(0)
    shutil.rmtree(served.workspace / "src")
    expect(row(page, "src")).to_have_count(0)
    expect(row(page, "new.py")).to_have_count(0)


def test_new_files_and_folders(page: Page, served: Served) -> None:
    row(page, "docs").click()
    page.get_by_role("button", name="New file").click()
    page.get_by_label("Name of the new file").fill("guide.md")
    page.keyboard.press("Enter")
    expect(page.locator("#heard")).to_have_text("open docs/guide.md")
    expect(row(page, "guide.md")).to_have_attribute("aria-selected", "true")
    assert (served.workspace / "docs" / "guide.md").read_bytes() == b""
    page.get_by_role("button", name="New folder").click()
    page.keyboard.type("pictures/")
    page.keyboard.press("Enter")
    expect(row(page, "pictures")).to_be_visible()
    assert (served.workspace / "docs" / "pictures").is_dir()
    page.get_by_role("button", name="New file").click()
    page.keyboard.press("Escape")
    expect(page.get_by_label("Name of the new file")).to_have_count(0)


def test_a_name_that_is_being_typed_outlives_a_change_of_the_files(page: Page, served: Served) -> None:
    row(page, "main.py").click()
    page.get_by_role("button", name="New folder").click()
    page.keyboard.type("pic")
    (served.workspace / "from a program").touch()
    expect(row(page, "from a program")).to_be_visible()
    page.keyboard.type("tures")
    page.keyboard.press("Enter")
    expect(row(page, "pictures")).to_be_visible()


def test_a_name_that_is_taken_is_refused_with_a_sentence(page: Page, served: Served) -> None:
    row(page, "main.py").click()
    page.get_by_role("button", name="New file").click()
    page.keyboard.type("main.py")
    page.keyboard.press("Enter")
    expect(page.locator("#heard")).to_contain_text("failed")
    assert (served.workspace / "main.py").read_text() == "print(1)\n"


def test_dragging_moves(page: Page, served: Served) -> None:
    row(page, "main.py").drag_to(row(page, "src"))
    expect(row(page, "main.py")).to_have_attribute("aria-level", "2")
    assert (served.workspace / "src" / "main.py").exists()
    assert not (served.workspace / "main.py").exists()


def test_a_name_that_is_no_text_can_be_renamed_and_deleted_but_not_opened(page: Page, served: Served) -> None:
    (served.workspace / "src" / "raw\udcff.txt").write_text("1")
    row(page, "src").click()
    row(page, "raw\\xff.txt").click()
    expect(page.locator("#heard")).to_contain_text("failed The editor cannot open a file whose path is not UTF-8 text.")
    page.keyboard.press("F2")
    page.get_by_label("New name").fill("good.txt")
    page.keyboard.press("Enter")
    row(page, "good.txt").click()
    expect(page.locator("#heard")).to_have_text("open src/good.txt")
    (served.workspace / "raw\udcff.txt").write_text("1")
    row(page, "raw\\xff.txt").click()
    page.keyboard.press("Delete")
    page.get_by_role("button", name="Delete").press("Enter")
    expect(row(page, "raw\\xff.txt")).to_have_count(0)
    assert not (served.workspace / "raw\udcff.txt").exists()


def selected(page: Page) -> list[str]:
    return page.locator(".dx-tree-row[aria-selected=true] .dx-tree-name").all_inner_texts()


def test_several_are_deleted_together(page: Page, served: Served) -> None:
    row(page, "main.py").click()
    row(page, "docs").click(modifiers=["Control"])
    assert selected(page) == ["docs", "main.py"]
    row(page, "src").click(modifiers=["Shift"])
    assert selected(page) == ["docs", "src"]
    page.keyboard.press("Shift+ArrowDown")
    assert selected(page) == ["docs", "src", "main.py"]
    row(page, "src").click(button="right")
    expect(page.get_by_role("menuitem")).to_have_text(["Download 3", "Delete 3Del"])
    page.keyboard.press("Escape")
    page.keyboard.press("Delete")
    expect(page.get_by_role("dialog")).to_contain_text("Delete 3 files and folders?")
    page.get_by_role("button", name="Delete").press("Enter")
    expect(page.get_by_role("treeitem")).to_have_count(1)
    assert [path.name for path in served.workspace.iterdir()] == ["README.md"]


def test_several_are_moved_together_and_what_is_inside_goes_along(page: Page, served: Served) -> None:
    row(page, "src").click()
    row(page, "app.py").click(modifiers=["Control"])
    row(page, "main.py").click(modifiers=["Control"])
    row(page, "main.py").drag_to(row(page, "docs"))
    expect(row(page, "main.py")).to_have_attribute("aria-level", "2")
    assert (served.workspace / "docs" / "src" / "app.py").exists()
    assert selected(page) == ["src", "main.py"]


def test_everything_is_selected_and_escape_goes_back_to_one(page: Page) -> None:
    row(page, "main.py").click()
    page.keyboard.press("Control+a")
    assert selected(page) == ["docs", "src", "main.py", "README.md"]
    page.keyboard.press("Escape")
    assert selected(page) == ["main.py"]


def test_a_folder_is_uploaded_whole(page: Page, served: Served, tmp_path: Path) -> None:
    (tmp_path / "site" / "css").mkdir(parents=True)
    (tmp_path / "site" / "index.html").write_text("<h1>")
    (tmp_path / "site" / "css" / "look.css").write_text("h1{}")
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload a folder").click()
    chooser.value.set_files(tmp_path / "site")
    expect(row(page, "site")).to_be_visible()
    row(page, "site").click()
    row(page, "css").click()
    expect(row(page, "look.css")).to_be_visible()
    assert (served.workspace / "site" / "index.html").read_text() == "<h1>"


def test_the_menu_offers_what_can_be_done(page: Page) -> None:
    row(page, "src").click(button="right")
    menu = page.get_by_role("menu")
    expect(menu.get_by_role("menuitem")).to_have_count(8)
    page.keyboard.press("ArrowUp")
    expect(menu.get_by_role("menuitem", name="Delete")).to_be_focused()
    page.keyboard.press("Escape")
    expect(menu).to_have_count(0)
    row(page, "main.py").click(button="right")
    with page.expect_download() as download:
        menu.get_by_role("menuitem", name="Download").click()
    assert download.value.suggested_filename == "main.py"


def test_uploads_small_and_in_pieces(page: Page, served: Served) -> None:
    large = bytes(range(256)) * (9 << 12)  # 9 MiB: more than one piece
    chosen: list[FilePayload] = [
        {"name": "large.bin", "mimeType": "application/octet-stream", "buffer": large},
        {"name": "a b#?.txt", "mimeType": "text/plain", "buffer": b"small"},
    ]
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload files").click()
    chooser.value.set_files(chosen)
    expect(row(page, "a b#?.txt")).to_be_visible()
    assert (served.workspace / "large.bin").read_bytes() == large
    assert (served.workspace / "a b#?.txt").read_bytes() == b"small"
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Upload files").click()
    chooser.value.set_files([chosen[1] | {"buffer": b"newer"}])
    with page.expect_response(lambda answer: answer.request.method == "PUT"):
        page.get_by_role("button", name="Replace").click()
    until(page, "async () => (await (await fetch('/repls/r1/files?path=a%20b%23%3F.txt')).text()) === 'newer'")


def test_files_are_dropped_from_the_desktop(page: Page, served: Served) -> None:
    drag = page.evaluate_handle(
        """() => {
            const drag = new DataTransfer();
            drag.items.add(new File(["dropped"], "from-desktop.txt"));
            return drag;
        }"""
    )
    row(page, "docs").dispatch_event("dragover", {"dataTransfer": drag})
    expect(row(page, "docs")).to_have_attribute("data-drop", "true")
    row(page, "docs").dispatch_event("drop", {"dataTransfer": drag})
    row(page, "docs").click()
    expect(row(page, "from-desktop.txt")).to_have_attribute("aria-level", "2")
    assert (served.workspace / "docs" / "from-desktop.txt").read_text() == "dropped"


def test_open_folders_survive_a_reload(page: Page) -> None:
    row(page, "src").click()
    row(page, "deep").click()
    expect(row(page, "inner.py")).to_be_visible()
    page.reload()
    expect(row(page, "inner.py")).to_have_attribute("aria-level", "3")


def test_names_that_are_no_text(page: Page, served: Served) -> None:
    with open(bytes(served.workspace) + b"/caf\xe9.txt", "wb") as file:
        file.write(b"1")
    odd = page.get_by_role("treeitem").filter(has_text="caf")
    expect(odd).to_be_visible()
    odd.click()
    page.keyboard.press("Delete")
    page.get_by_role("button", name="Delete").click()
    expect(odd).to_have_count(0)


def test_fifty_thousand_entries_stay_smooth(page: Page, served: Served) -> None:
    many = served.workspace / "node_modules"
    many.mkdir()
    for number in range(MANY):
        (many / f"f{number:05}").touch()
    row(page, "node_modules").click()
    expect(row(page, "f00000")).to_be_visible()
    page.get_by_role("tree").focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    expect(page.get_by_role("treeitem").and_(page.locator("[aria-selected=true]"))).to_be_visible()
    type_at_once(page, "f49999")
    expect(row(page, "f49999")).to_be_visible()
    assert page.get_by_role("treeitem").count() < 100
    expect(row(page, "f49999")).to_have_attribute("aria-setsize", str(MANY))
