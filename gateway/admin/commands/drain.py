"""Drain over HTTP: ``POST /api/v1/drain`` stops the gateway as SIGTERM does, ``GET`` tells how far it has come."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from gateway.connections.core import Core
from gateway.errors import Code, RequestRefused
from gateway.protocol.arguments import nearest
from gateway.protocol.json_body import JsonBody

JSON: Final = "application/json"
SCHEMES: Final = ("ws", "wss")
MAX_BODY_BYTES: Final = 4096
KEYS: Final = ("address",)


class Drain:
    """Handler of an operator's wish to stop the gateway.

    Args:
        core: the gateway.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    async def handle(self, request: Request) -> JSONResponse:
        """Begin to stop if the method is POST, and answer with the progress; ``address`` tells clients where to go.

        Raises:
            HTTPException: the content type is not JSON, which no page of another site can send.
            RequestRefused: ``INVALID_REQUEST``, the body is no JSON object, or has an unknown key, or its ``address``
                is no URL of a gateway.
        """
        if request.method != "POST":
            return self._progress(HTTPStatus.OK)
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
            raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send content-type: {JSON}")
        address = _address_of(await _body_of(request))
        core = self._core
        if core.drain_ends_s is None:
            core.drain_address = address
            # Clients are told in the next turns; the answer has the time already.
            core.drain_ends_s = core.clock.monotonic_s() + core.on_drain(_asker_of(request))
        return self._progress(HTTPStatus.ACCEPTED)

    def _progress(self, status: HTTPStatus) -> JSONResponse:
        core = self._core
        fields = {
            "draining": core.draining or core.drain_ends_s is not None,
            "connections": len(core.pool),
            "untold": 0 if core.told is None else core.told.left,
            "left_s": None
            if core.drain_ends_s is None
            else round(max(0.0, core.drain_ends_s - core.clock.monotonic_s()), 3),
        }
        return JSONResponse(fields, status)


async def _body_of(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MAX_BODY_BYTES:
            raise RequestRefused(Code.INVALID_REQUEST, f"the body has more than {MAX_BODY_BYTES} bytes")
    return body or b"{}"


def _asker_of(request: Request) -> str:
    return "http" if request.client is None else f"http from {request.client.host}"


def _address_of(body: bytes) -> str | None:
    fields = JsonBody.parse("drain", body)
    for key, _ in fields.items():
        if key not in KEYS:
            # A key that is misspelt would count for nothing, and the clients would come back to this gateway.
            close = nearest(key, KEYS)
            hint = f"did you mean {close}?" if close else f"the only key is {KEYS[0]}"
            problem = f"drain has no key {key[:40]!r}, and the gateway does not stop: {hint}"
            raise RequestRefused(Code.INVALID_REQUEST, problem)
    address = fields.text_or_none("address")
    if address is not None:
        try:
            url = urlsplit(address)
            known = url.scheme in SCHEMES and bool(url.hostname) and not url.fragment and url.port != 0
        except ValueError:
            known = False
        if not known:
            problem = f"{address!r} is not a gateway's URL such as wss://gateway-2.example.com:8765"
            raise RequestRefused(Code.INVALID_REQUEST, problem)
    return address
