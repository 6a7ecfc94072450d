"""Cut again and again while a program talks: every byte comes once, and nothing is left behind."""

from tests.bench.reconnect import UNSAVED, run_cycles
from tests.bench.server import running


def test_cuts_lose_nothing_and_leave_nothing_behind() -> None:
    with running(UNSAVED, counted=True) as server:
        done = run_cycles(server, count=50, warm_up=20)
    assert (done.after.descriptors, done.after.tasks) == (done.before.descriptors, done.before.tasks)
