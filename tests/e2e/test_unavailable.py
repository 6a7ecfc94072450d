"""A template whose tool this machine lacks is shown, says what is missing, and cannot be chosen."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from orchestrator.backends.environment import SYSTEM_PATH
from tests.e2e.serving import Served, serving
from tests.e2e.workbench import sign_up
from tests.faults.server import mounted


@pytest.fixture
def without_node() -> Iterator[Served]:
    with serving(
        within=mounted(f"mount --bind /dev/null {shutil.which('node', path=SYSTEM_PATH)}"), sign_up="open"
    ) as server:
        yield server


def test_it_says_what_is_missing(page: Page, without_node: Served) -> None:
    sign_up(page, without_node, "nodeless")
    page.get_by_role("button", name="New REPL").click()
    missing = page.get_by_role("radio").filter(has=page.get_by_text("Node.js", exact=True))
    expect(missing).to_be_disabled()
    expect(missing).to_contain_text("node is not installed on this server. The operator can install")
    expect(page.get_by_role("radio", name="Python").first).to_have_attribute("aria-checked", "true")
