"""How the page comes back after its network was gone, and what it says when that cannot be."""

from html import escape
from typing import Final

from nicegui import ui
from nicegui.element import Element

from components import BUNDLE

# On each WebSocket, by the page and by the server: proxies on the way cut what is silent for 60 s in either direction,
# some for 30.
PING_EVERY_S: Final = 10.0


class Network(Element, component="devex_network.js", esm=BUNDLE):
    """A line that says that the browser is signed out, with a way in, or that its network blocks WebSockets; takes no
    room otherwise. While a WebSocket of the page is down the server is asked over HTTP, and all dial when it answers.
    A page that finds somebody else than `user_id` signed in sends nothing more and is loaded anew.
    """

    def __init__(self, user_id: str) -> None:
        super().__init__()
        told = {"user": user_id, "ping-s": f"{PING_EVERY_S:g}"}
        ui.add_head_html("".join(f'<meta name="devex-{name}" content="{escape(said)}">' for name, said in told.items()))
