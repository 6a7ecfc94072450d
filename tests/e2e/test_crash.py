"""A server that is killed: programs run on, and the open page finds its way back to the next server by itself."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
from playwright.sync_api import Browser, Page, Request, expect

from tests.chromium import opened
from tests.e2e.serving import ROOT, STOP_DEADLINE_S, Served
from tests.e2e.workbench import PROMPT, begin, editor, screen, terminal, type_into_editor
from tests.ports import free_port

BACK_MS = 60_000  # the page asks again with growing pauses, up to 10 s, and is then loaded anew
# One process: Ctrl+C that comes to a loop of the shell's just as a command of it ends would stop nothing.
COUNTER = """python3 -uc 'import time; [time.sleep(0.1) for i in range(10**6) if not print(f"tick-{i}")]'"""


@contextmanager
def started(folder: Path, port: int, public_url: str = "") -> Iterator[subprocess.Popen[str]]:
    """A server on these data that answers; ended with Ctrl-C unless it has ended."""
    settings = {"DEVEX_PORT": str(port), "DEVEX_DATA_DIR": f"{folder}/data", "DEVEX_SIGN_UP": "open"}
    settings["DEVEX_PUBLIC_URL"] = public_url
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)} | settings
    command = [sys.executable, str(ROOT / "main.py")]
    with (
        (folder / "log").open("a") as log,
        subprocess.Popen(command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True) as server,
    ):
        assert server.stdout
        assert "DEVEX is at" in server.stdout.readline(), (folder / "log").read_text()
        try:
            yield server
        finally:
            server.send_signal(signal.SIGINT)
            server.communicate(timeout=STOP_DEADLINE_S)


@contextmanager
def begun_and_killed(page: Page, folder: Path, port: int) -> Iterator[None]:
    """A page with a REPL that runs, of a server that is killed after the block."""
    with started(folder, port) as server:
        begin(page, Served(f"http://127.0.0.1:{port}", "", folder / "data"), "ada", "Survivor")
        yield
        server.kill()
        server.wait()


def test_keys_typed_while_it_was_away_arrive(page: Page, tmp_path: Path) -> None:
    port = free_port()
    with begun_and_killed(page, tmp_path, port):
        pass
    expect(page.get_by_text("Reconnecting… what you type is kept").last).to_be_visible()
    page.evaluate("window.isFirstLoad = true")
    page.locator(".dx-tabpanel:not(.dx-behind) .xterm-screen").click()
    page.keyboard.type("echo typed-$((20+3))\n")
    with started(tmp_path, port):
        page.wait_for_function("!window.isFirstLoad", timeout=BACK_MS)
        expect(terminal(page)).to_contain_text("typed-23", timeout=BACK_MS)
        page.reload()
        expect(terminal(page)).to_contain_text("typed-23")
        page.locator(".dx-tabpanel:not(.dx-behind) .xterm-screen").click()
        page.keyboard.type("echo again-$((20+3))\n")
        expect(terminal(page)).to_contain_text("again-23")
        assert terminal(page).inner_text().count("typed-23") == 1


def _programs(workspace: Path) -> list[int]:
    """The processes that work in this folder: an agent and its shells."""
    found = []
    for process in Path("/proc").iterdir():
        with suppress(OSError):
            if process.name.isdecimal() and (process / "cwd").samefile(workspace):
                found.append(int(process.name))
    return found


def _agent(workspace: Path) -> psutil.Process:
    programs = [psutil.Process(pid) for pid in _programs(workspace)]
    around = {*programs, *(parent for program in programs for parent in program.parents())}
    [agent] = [one for one in around if one.cmdline()[1:] == ["-I", "-S", "/opt/runner/agent.py"]]
    return agent


def test_an_agent_that_is_slow_to_come_back_is_waited_for(page: Page, tmp_path: Path) -> None:
    port = free_port()
    with begun_and_killed(page, tmp_path, port):
        pass
    programs = _programs(tmp_path / "data" / "workspaces" / page.url.rpartition("/")[2])
    assert programs
    for pid in programs:
        os.kill(pid, signal.SIGSTOP)

    def let_go_on(asked: Request) -> None:
        if asked.is_navigation_request():
            for pid in programs:
                os.kill(pid, signal.SIGCONT)

    with started(tmp_path, port):
        page.on("request", let_go_on)  # the server has it, and has not heard of the agent
        page.reload()
        expect(terminal(page)).to_be_visible()
        expect(page.get_by_text("could not run")).to_have_count(0)


def test_programs_run_on_and_the_page_comes_back(page: Page, tmp_path: Path) -> None:
    port = free_port()
    with begun_and_killed(page, tmp_path, port):
        page.keyboard.press("Control+`")
        page.keyboard.type(f"mark=4$((1+1))7; {COUNTER}\n")
        expect(terminal(page)).to_contain_text("tick-3")
        editor(page).click()
        page.keyboard.press("Control+Home")
        page.keyboard.insert_text("# typed before\n")
        expect(page.locator(".dx-saved")).to_have_text("Saved to disk")
    connection = page.locator(".dx-connection")
    expect(connection.get_by_text("Connecting…")).to_be_visible()
    editor(page).click()
    page.keyboard.press("Control+Home")
    page.keyboard.insert_text("# typed while it was away\n")
    with started(tmp_path, port):
        expect(connection.get_by_text("Connected")).to_be_visible(timeout=BACK_MS)
        expect(page.locator(".dx-saved")).to_have_text("Saved to disk", timeout=BACK_MS)
        text = (tmp_path / "data" / "workspaces" / page.url.rpartition("/")[2] / "main.py").read_text()
        assert text.startswith("# typed while it was away\n# typed before\n")
        expect(terminal(page)).to_contain_text(re.compile(r"tick-\d{3,}"))  # the same program, still counting
        page.locator(".dx-tabpanel:not(.dx-behind) .xterm-screen").click()
        page.keyboard.press("Control+c")
        expect(terminal(page)).to_contain_text(re.compile(r"\^C.*\$"))  # what is typed before is thrown away
        ticks = [line for line in screen(page, scrollback=True) if line.startswith("tick-")]
        assert ticks == [f"tick-{number}" for number in range(len(ticks))]  # none is missing, none is there twice
        page.keyboard.type("clear; echo same-$((1+1))-shell $mark\n")
        expect(terminal(page)).to_contain_text("same-2-shell 427")
        page.get_by_role("button", name="Run", exact=True).click()
        expect(page.locator(".dx-output-line")).to_contain_text("Exit code 0")


def test_an_agent_that_is_killed_takes_its_terminals_and_nothing_else(
    page: Page, browser: Browser, tmp_path: Path
) -> None:
    port = free_port()
    served = Served(f"http://127.0.0.1:{port}", "", tmp_path / "data")
    with started(tmp_path, port):
        begin(page, served, "ada", "Struck")
        workspace = served.data_dir / "workspaces" / page.url.rpartition("/")[2]
        type_into_editor(page, "print('kept')\n")
        with opened(browser, viewport=page.viewport_size) as beside:
            begin(beside, served, "eve", "Beside")
            _agent(workspace).kill()
            expect(page.get_by_text("Its sandbox ended by itself")).to_be_visible()
            beside.locator(".dx-tabpanel:not(.dx-behind) .xterm-screen").click()
            beside.keyboard.type("echo alive-$((20+3))\n")
            expect(terminal(beside)).to_contain_text("alive-23")
        page.locator(".dx-shelf").get_by_role("treeitem", name="main.py").click()
        expect(page.locator(".dx-shelf .cm-content")).to_contain_text("print('kept')")
        page.get_by_role("button", name="Recover").click()
        expect(page.locator(".dx-chip")).to_have_text("Running")
        expect(page.locator(".dx-shelf .cm-content")).to_have_count(0)
        expect(editor(page)).to_contain_text("print('kept')")
        expect(terminal(page)).to_contain_text(PROMPT)
        page.locator(".dx-tabpanel:not(.dx-behind) .xterm-screen").click()
        page.keyboard.type("python3 main.py\n")
        expect(terminal(page)).to_contain_text(re.compile("main.py.*kept"))
