"""The output pane is a terminal: programs ask there, people answer, and its line says how and when they ended."""

import re

from playwright.sync_api import Page, expect

from tests.e2e.serving import Served
from tests.e2e.workbench import arrive, run, terminal, type_into_editor

ASKS = """
import os, sys
print(sys.stdin.isatty(), sys.stdout.isatty(), "HOST" in os.environ, int(os.environ["PORT"]) > 0)
name = input("who? ")
print(f"hello {name}", len(name))
"""


def test_a_program_asks_and_is_answered(page: Page, served: Served) -> None:
    arrive(page, served, "asker", "Asks")
    type_into_editor(page, ASKS)
    line = run(page)
    expect(terminal(page)).to_contain_text("True True True True")
    expect(terminal(page)).to_contain_text("who?")
    expect(line).to_contain_text("Running")
    page.locator(".dx-tabpanel:not(.dx-behind) .xterm-screen").click()
    page.keyboard.type("Zoë 名前 🎉")
    page.keyboard.press("Enter")
    expect(terminal(page)).to_contain_text("hello Zoë 名前 🎉 8")
    expect(line).to_contain_text(re.compile(r"Exit code 0 after \d+(\.\d)? m?s, \d+(\.\d)? MB"))


def test_a_program_is_stopped(page: Page, served: Served) -> None:
    arrive(page, served, "stopper", "Stops")
    type_into_editor(page, "import time\nprint('up', flush=True)\ntime.sleep(1000)\n")
    line = run(page)
    expect(terminal(page)).to_contain_text("up")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(line).to_contain_text("Stopped (SIGTERM) after")
    expect(terminal(page)).to_contain_text("The program was stopped.")
    expect(page.get_by_role("button", name="Run", exact=True)).to_be_visible()
