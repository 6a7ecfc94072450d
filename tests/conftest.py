"""Guards every test runs under: no asyncio task, open descriptor or child process may outlive the test that made it,
and a test that cannot run has failed.
"""

import asyncio
import gc
import inspect
import os
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from hypothesis import HealthCheck, settings

from tests.folders import folder_of
from tests.stores import Server, moto

LONGEST_ID = 200
Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # cores may be shared
settings.load_profile("patient")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A folder's tests with a browser go to one worker: their Chromium and their server start once. Who waits long
    begins early, beside others that compute.
    """
    items.sort(key=lambda item: item.get_closest_marker("waits") is None)
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()) and not item.get_closest_marker("xdist_group"):
            item.add_marker(pytest.mark.xdist_group(folder_of(item).nodeid))


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """A test is not named after a value that nobody reads: workers tell each other the names of all of them."""
    if isinstance(val, str | bytes) and len(val) > LONGEST_ID:
        return f"{argname} of {len(val)}"
    return None


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An S3 server for all tests of a worker, each of which has an empty store there: it takes seconds to start."""
    with moto(tmp_path_factory.mktemp("moto")) as server:
        yield server


def pytest_collection_finish() -> None:
    """What was imported is no garbage: each full collection, of which every module has one, would look at it again."""
    gc.freeze()


@pytest.fixture
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Fail when tasks the test started are still pending once everything it set up is torn down."""
    before = asyncio.all_tasks()
    yield
    leaked = {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task()}
    assert not leaked, f"tasks outlive the test: {sorted(task.get_name() for task in leaked)}"


@pytest.fixture(autouse=True)
def guards(request: pytest.FixtureRequest) -> None:
    """Set up first, so torn down last."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("no_leaked_tasks")


def _descriptors() -> dict[str, str]:
    found = {}
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            found[descriptor] = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:
            continue
    return found


@pytest.fixture(scope="module", autouse=True)
def no_leaked_descriptors(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail when a module's tests leave files open; what the session shares (PostgreSQL, Chromium) is let through."""
    before = _descriptors()
    yield
    gc.collect()
    leaked = {fd: target for fd, target in _descriptors().items() if before.get(fd) != target}
    files = {
        fd: target for fd, target in leaked.items() if target.startswith(str(Path("/tmp"))) or "/workspace" in target
    }
    assert not files, f"descriptors outlive the module: {files}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _failed_if_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _failed_if_skipped((yield))


def _failed_if_skipped(report: Report) -> Report:
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"skipped, which is no way to pass: {report.longrepr}"
    return report


LEFT_BEHIND = pytest.StashKey[list[str]]()  # by xdist's workers, each of which can only see its own children


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LEFT_BEHIND] = []


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has ended, perhaps by a crash."""
    node.config.stash[LEFT_BEHIND] += getattr(node, "workeroutput", {}).get("left_behind", [])


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A child process left behind fails the run, whatever the tests said."""
    left = [*session.config.stash[LEFT_BEHIND], *_left_behind()]
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["left_behind"] = left
    elif left:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nchild processes outlive the tests: {left}")


def _left_behind() -> list[str]:
    """The command lines of our children."""
    children = [child for child in psutil.Process().children(recursive=False) if child.status() != psutil.STATUS_ZOMBIE]
    return [" ".join(child.cmdline())[:120] for child in children if not _belongs_to_the_runner(child)]


def _belongs_to_the_runner(child: psutil.Process) -> bool:
    """xdist's workers are children of the controller; Python's resource tracker goes with us."""
    try:
        line = " ".join(child.cmdline())
    except psutil.Error:
        return True
    return "execnet" in line or "resource_tracker" in line or "import sys;exec(eval(sys.stdin.readline()))" in line
