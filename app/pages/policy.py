"""The content security policy of pages: NiceGUI's own inline scripts get a nonce, nothing else runs."""

import secrets

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGE_MARK = (b"x-nicegui-content", b"page")

# Vue compiles templates in the browser and NiceGUI evaluates what it sends: 'unsafe-eval' cannot be avoided.
POLICY = (
    "default-src 'self'; script-src 'self' 'nonce-{nonce}' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    "frame-src {previews}; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

# Where a browser blocks storage, NiceGUI's script would stop at its first touch of sessionStorage.
STORAGE_SHIM = (
    "<script>try{void sessionStorage}catch(e){Object.defineProperty(window,'sessionStorage',{value:{}})}</script>"
)


class PagePolicy:
    """ASGI middleware inside compression. User content in a page is escaped by NiceGUI: it holds no `<script`."""

    def __init__(self, app: ASGIApp, previews: str) -> None:
        self._app = app
        self._previews = previews

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message | None = None
        nonce = secrets.token_urlsafe(16)
        body = bytearray()

        async def with_nonces(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and PAGE_MARK in message["headers"]:
                start = message  # held back until its length is known
            elif start is None:
                await send(message)
            else:
                body.extend(message.get("body", b""))
                if not message.get("more_body", False):
                    await self._send_page(start, bytes(body), nonce, send)

        await self._app(scope, receive, with_nonces)

    async def _send_page(self, start: Message, body: bytes, nonce: str, send: Send) -> None:
        body = body.replace(b"<script", b'<script nonce="%s"' % nonce.encode())
        policy = POLICY.format(nonce=nonce, previews=self._previews)
        headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        headers += [(b"content-length", b"%d" % len(body)), (b"content-security-policy", policy.encode())]
        await send({**start, "headers": headers})
        await send({"type": "http.response.body", "body": body})
