"""Bearer check: a gateway that asks clients for tokens asks those of its admin port, too (RFC 6750)."""

from __future__ import annotations

from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.admin.http.failures import failure
from gateway.connections.core import Core
from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import ClientType
from gateway.security.bearer import bearer_of

PUBLIC: Final = ("/", "/healthz", "/readyz", "/ws")
"""Paths without a token: the page that asks for it, probes, and the WebSocket, where HELLO has the token."""
PUBLIC_FOLDERS: Final = ("/assets/", "/client/")
"""Folders of files that everybody may have, because the program is public."""
CHALLENGE: Final = 'Bearer realm="frys"'


class BearerCheck:
    """ASGI application that answers 401 to requests without the token of an admin panel.

    Args:
        application: answers the others.
        core: has the authorizer of its clients.
    """

    def __init__(self, application: ASGIApp, core: Core) -> None:
        self._application = application
        self._core = core

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        path = scope.get("path", "")
        if scope["type"] == "http" and path not in PUBLIC and not path.startswith(PUBLIC_FOLDERS):
            token = bearer_of(Headers(scope=scope).getlist("authorization"))
            try:
                now_s = self._core.clock.monotonic_s()
                self._core.access.authenticate(None, ClientType.ADMIN_PANEL, token, now_s)
            except RequestRefused as refusal:
                answer = failure(Code.UNAUTHENTICATED, refusal.message)
                answer.headers["www-authenticate"] = CHALLENGE
                await answer(scope, receive, send)
                return
        await self._application(scope, receive, send)
