"""Palette and split panes in a browser."""

import shutil

import pytest
from playwright.sync_api import Page, expect

from tests.components.conftest import Served
from tests.getting_around import until


@pytest.fixture(autouse=True)
def files(served: Served) -> None:
    for path in served.workspace.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    (served.workspace / "src").mkdir()
    (served.workspace / "src" / "app.py").write_text("one\nprint('a needle')\n")
    (served.workspace / "main.py").write_text("print(1)\n")
    (served.workspace / "strange\udcff").write_text("")


def test_keys_work_wherever_the_cursor_is(page: Page) -> None:
    page.get_by_label("Somewhere else").focus()
    page.keyboard.press("Control+Shift+Y")
    expect(page.locator("#heard")).to_have_text("command greet")
    assert page.get_by_label("Somewhere else").input_value() == ""


def test_commands_are_found_by_their_letters(page: Page) -> None:
    page.get_by_label("Somewhere else").focus()
    page.keyboard.press("Control+Shift+P")
    page.keyboard.type("gdby")
    expect(page.get_by_role("option")).to_have_text(["Say goodbye"])
    page.keyboard.press("Enter")
    expect(page.locator("#heard")).to_have_text("command leave")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.get_by_label("Somewhere else")).to_be_focused()


def test_go_to_file(page: Page) -> None:
    page.keyboard.press("Control+P")
    page.keyboard.type("app")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("#heard")).to_have_text("go src/app.py None")


def test_a_file_whose_path_is_no_text_is_found_but_not_opened(page: Page) -> None:
    page.keyboard.press("Control+P")
    page.keyboard.type("strange")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Its path is not UTF-8 text: rename it first.")).to_be_visible()


def test_a_long_list_leaves_the_field_its_height(page: Page, served: Served) -> None:
    for number in range(60):
        (served.workspace / f"{number}-{'long' * 40}.txt").write_text("")
    page.keyboard.press("Control+P")
    field, options = page.get_by_role("combobox"), page.get_by_role("option")
    room = field.bounding_box()
    until(
        page, """async () => (await (await fetch("/repls/r1/find?q=long")).json()).paths.length > 20"""
    )  # the names that the tests before asked for are kept for some seconds
    page.keyboard.type("long")
    expect(options.nth(20)).to_be_attached()
    assert field.bounding_box() == room
    assert options.first.evaluate("option => option.scrollWidth <= option.clientWidth")  # its name ends in an ellipsis


def test_find_in_files(page: Page) -> None:
    page.keyboard.press("Control+Shift+F")
    page.keyboard.type("needle")
    expect(page.get_by_role("option")).to_have_count(1)  # what a part of the word finds may be shown before
    expect(page.get_by_role("option")).to_contain_text("print('a needle')")
    expect(page.get_by_role("option").locator("mark")).to_have_text("needle")
    page.keyboard.press("Enter")
    expect(page.locator("#heard")).to_have_text("go src/app.py 2")
    page.keyboard.press("Control+Shift+F")
    page.keyboard.type("nowhere to be found")
    expect(page.get_by_text("Nothing found")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_panes_are_resized_by_keyboard_and_mouse_and_stay(page: Page) -> None:
    gutter = page.get_by_role("separator", name="Width of the files")
    expect(gutter).to_have_attribute("aria-valuenow", "260")
    gutter.press("ArrowRight")
    expect(gutter).to_have_attribute("aria-valuenow", "276")
    gutter.press("Home")
    expect(gutter).to_have_attribute("aria-valuenow", "140")
    box = gutter.bounding_box()
    assert box
    page.mouse.move(box["x"], 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 100, 300)
    page.mouse.up()
    expect(gutter).to_have_attribute("aria-valuenow", "240")
    page.reload()
    expect(gutter).to_have_attribute("aria-valuenow", "240")
