"""A page without scripts: one sentence, one thing to do. For errors, and for what is waited for."""

import html
from typing import NamedTuple

from starlette.responses import HTMLResponse, Response

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors {ancestors}; base-uri 'none'"

_PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width">{refresh}<style>
body{{font:14px/1.5 Inter,system-ui,sans-serif;display:grid;place-content:center;justify-items:center;gap:10px}}
body{{margin:0 16px;min-height:90vh;text-align:center;color:#1d222b;background:#fff}}
h1{{font-size:20px;font-weight:620;margin:0}}p{{margin:0;color:#5d6675}}:focus-visible{{outline-offset:2px}}
a{{display:block;margin:6px;padding:6px 14px;border-radius:6px;color:#fff;background:#4059de;text-decoration:none}}
i{{width:28px;height:28px;border-radius:50%;border:3px solid #d5dae3;border-top-color:#4059de}}
i{{box-sizing:border-box;animation:turn 1s linear infinite}}@keyframes turn{{to{{rotate:360deg}}}}
@media(prefers-reduced-motion){{i{{animation-duration:8s}}}}
@media(prefers-color-scheme:dark){{body{{color:#d9dde6;background:#14171d}}p{{color:#929bab}}
a{{color:#0e1330;background:#8ea0ff}}i{{border-color:#333a47;border-top-color:#8ea0ff}}}}</style></head>
<body><main style="display:contents">{body}</main></body></html>"""


class PageLink(NamedTuple):
    """`within` stays in the frame that shows the page; otherwise the whole window goes there."""

    label: str
    href: str
    within: bool = False


def plain_page(
    title: str,
    explanation: str,
    status: int,
    *,
    link: PageLink | None = None,
    refresh_s: int | None = None,
    ancestors: str = "'none'",
) -> Response:
    """With `refresh_s` it shows that something is going on, and asks again by itself."""
    parts = [f"<h1>{html.escape(title)}</h1>", f"<p>{html.escape(explanation)}</p>"]
    if refresh_s is not None:
        parts.insert(0, '<i role="status" aria-label="Working"></i>')
    if link is not None:
        target = "_self" if link.within else "_top"
        parts.append(f'<a href="{html.escape(link.href)}" target="{target}">{html.escape(link.label)}</a>')
    refresh = "" if refresh_s is None else f'<meta http-equiv="refresh" content="{refresh_s}">'
    page = _PAGE.format(title=html.escape(title), refresh=refresh, body="\n".join(parts))
    headers = {"Content-Security-Policy": POLICY.format(ancestors=ancestors), "Cache-Control": "no-store"}
    return HTMLResponse(page, status, headers=headers)
