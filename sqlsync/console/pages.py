"""The few pages a person sees in a browser. Pure: values in, HTML out.

No script and no outside source; what comes from elsewhere is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

from starlette.responses import HTMLResponse

_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
    " frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}
_STYLE = "body{font:16px/1.5 system-ui;max-width:36em;margin:4em auto;padding:0 1em}"


def page(title: str, *paragraphs: str | None, status_code: int = 200) -> HTMLResponse:
    """A title and some paragraphs of plain text; those that are None are left out."""
    return _html(title, "".join(f"<p>{html.escape(p)}</p>" for p in paragraphs if p), status_code)


def choice_page(
    provider: str, state: str, companies: Sequence[tuple[str, str]], *, says: str | None = None
) -> HTMLResponse:
    """One button for each company (id, name) that a consent covers."""
    buttons = "".join(
        f"<p><button name=company value='{html.escape(company_id)}'>{html.escape(name)}</button>"
        f" {html.escape(company_id)}</p>"
        for company_id, name in companies
    )
    words = f"<p>{html.escape(says)}</p>" if says else ""
    return _html(
        "Which company?",
        f"{words}<p>The consent covers several companies. This connection is for one of them.</p>"
        f"<form method=post action='/oauth/choose/{html.escape(provider)}'>"
        f"<input type=hidden name=state value='{html.escape(state)}'>{buttons}</form>",
        200,
    )


def _html(title: str, body: str, status_code: int) -> HTMLResponse:
    return HTMLResponse(
        "<!doctype html><html lang=en><meta charset=utf-8>"
        f"<title>{html.escape(title)} · sqlsync</title><style>{_STYLE}</style>"
        f"<h1>{html.escape(title)}</h1>{body}",
        status_code=status_code,
        headers=_HEADERS,
    )
