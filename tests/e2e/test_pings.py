"""On every WebSocket of a workbench something is said in both directions, again and again, while nobody works."""

import sys
import time

from playwright.sync_api import Page, expect

from components.repl import PING_EVERY_S
from tests.chromium import PATIENCE_MS
from tests.e2e import quick_pings
from tests.e2e.serving import Served, serving
from tests.e2e.workbench import begin
from tests.network import Network
from tests.ports import free_port

IDLE_S = 5.0  # so long the network lets each direction be silent; less than ten times the pause between two pings
PROXIES_CUT_AFTER_S = 60.0  # of silence: nginx's proxy_read_timeout, as it comes
SOCKETS = {"/_nicegui_ws/", "/documents", "/events", "/terminals/"}


def test_it_is_said_so_often_that_one_may_be_late_before_a_network_cuts() -> None:
    assert 3 * PING_EVERY_S <= PROXIES_CUT_AFTER_S


def test_a_network_that_cuts_what_is_silent_cuts_nothing(page: Page) -> None:
    port = free_port()
    within = [sys.executable, "-m", "tests.e2e.quick_pings"]
    with (
        serving(within=within, sign_up="open", allowed_hosts=f"127.0.0.1:{port}") as served,
        Network(port, server_port=int(served.url.rpartition(":")[2]), idle_s=IDLE_S).running() as network,
    ):
        begin(page, Served(network.url, served.setup_url, served.data_dir), "still", "Still")
        expect(page.locator(".dx-connection").get_by_text("Connected")).to_be_visible()
        sockets = list(network.sockets)
        assert {one for one in SOCKETS for socket in sockets if one in socket.path} == SOCKETS
        longer = 2 * IDLE_S / quick_pings.EVERY_S
        deadline = time.monotonic() + PATIENCE_MS / 1000
        while min(min(socket.passed) for socket in sockets) < longer:
            page.wait_for_timeout(100)
            assert not network.cut_for_silence
            assert time.monotonic() < deadline, [(socket.path, socket.passed) for socket in sockets]
        assert sockets == list(network.sockets)
