"""Start page of the admin port, at ``/``: links to everything else."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse

from gateway import __version__

LINKS: Final = (
    ("/api/v1/summary", "summary"),
    ("/api/v1/streams", "streams"),
    ("/api/v1/connections", "connections"),
    ("/api/v1/workflows", "workflows"),
    ("/api/v1/presence", "presence"),
    ("/api/v1/overload", "overload"),
    ("/api/v1/plans", "plans"),
    ("/api/v1/timeline", "timeline"),
    ("/metrics", "metrics"),
    ("/healthz", "health"),
    ("/readyz", "readiness"),
    ("/api/v1/openapi.json", "OpenAPI"),
)

_ITEMS = "\n".join(f'<li><a href="{path}">{label}</a></li>' for path, label in LINKS)
_PAGE = f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Frys Gateway</title></head>
<body>
<h1>Frys Gateway {__version__}</h1>
<ul>
{_ITEMS}
</ul>
</body>
</html>
"""


async def show_page(request: Request) -> HTMLResponse:
    """Answer with links to the rest of the admin port."""
    return HTMLResponse(_PAGE)
