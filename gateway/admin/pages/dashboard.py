"""Dashboard: the page at ``/`` with its files below ``/assets/``, and links in its place where it was not built."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from gateway import __version__
from gateway.admin.pages.built_files import BuiltFiles
from gateway.admin.pages.folders import DASHBOARD, INDEX

POLICY: Final = "; ".join(
    [
        "default-src 'none'",
        # WebAssembly: codecs that the client loads when it meets them.
        "script-src 'self' 'wasm-unsafe-eval'",
        "worker-src 'self'",
        "connect-src 'self' data:",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "font-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
"""Content security policy of the page, and of its workers, which have that of their own file."""

HEADERS: Final = {
    "content-security-policy": POLICY,
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

HOW_TO_BUILD: Final = "run `make dashboard` in a checkout, with Node 20 or newer, or use the container image"

LINKS: Final = (
    ("/api/v1/summary", "summary"),
    ("/api/v1/timeline", "timeline"),
    ("/api/v1/streams", "streams"),
    ("/api/v1/connections", "connections"),
    ("/api/v1/workflows", "workflows"),
    ("/api/v1/presence", "presence"),
    ("/api/v1/overload", "overload"),
    ("/api/v1/plans", "plans"),
    ("/metrics", "metrics"),
    ("/healthz", "health"),
    ("/readyz", "readiness"),
    ("/api/v1/openapi.json", "OpenAPI"),
)

_ITEMS = "\n".join(f'<li><a href="{path}">{label}</a></li>' for path, label in LINKS)
_LINKS_PAGE = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Frys Gateway</title></head>
<body>
<h1>Frys Gateway {__version__}</h1>
<p>The dashboard was not built: {HOW_TO_BUILD}.</p>
<ul>
{_ITEMS}
</ul>
</body>
</html>
"""


class Dashboard:
    """Handlers of the page and of its files.

    Args:
        folder: the files; it may be missing.
    """

    def __init__(self, folder: Path = DASHBOARD) -> None:
        self._page = BuiltFiles(folder, HEADERS, "")
        absence = f"the dashboard has no such file: reload the page; if there is none, {HOW_TO_BUILD}"
        self.assets = BuiltFiles(folder / "assets", HEADERS, absence)

    async def show(self, request: Request) -> Response:
        """Answer with the page, or with links to the rest of the admin port."""
        page = await self._page.answer(request, INDEX)
        return HTMLResponse(_LINKS_PAGE, headers=HEADERS) if page is None else page
