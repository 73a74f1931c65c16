"""Limit on the requests that are answered at once, so that an orchestrator's probes always find a place."""

from __future__ import annotations

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.admin.http.failures import failure
from gateway.errors import Code

PROBES: Final = ("/healthz", "/readyz")
"""Paths that are answered however many requests are; an answer takes one step."""


class RequestLimit:
    """ASGI application that refuses requests, but no probes, while another one answers many.

    Args:
        application: answers the requests.
        max_requests: requests at once. Above that the answer is 503, and the end of the connection.
    """

    def __init__(self, application: ASGIApp, max_requests: int) -> None:
        self._application = application
        self._max_requests = max_requests
        self._answering = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["path"] in PROBES:
            await self._application(scope, receive, send)
        elif self._answering >= self._max_requests:
            problem = f"{self._answering} requests are being answered, which is the limit: try again later"
            refusal = failure(Code.TOO_MANY_CONNECTIONS, problem)
            # Or the connection would hold its place for the requests that wait behind this one.
            refusal.headers["connection"] = "close"
            await refusal(scope, receive, send)
        else:
            self._answering += 1
            try:
                await self._application(scope, receive, send)
            finally:
                self._answering -= 1
