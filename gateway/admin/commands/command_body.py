"""Body of a command of an operator: JSON, as no page of another site can send it without being asked."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

from gateway.errors import Code, RequestRefused
from gateway.protocol.arguments import nearest
from gateway.protocol.json_body import JsonBody

JSON: Final = "application/json"
SCHEMES: Final = ("ws", "wss")
MAX_BODY_BYTES: Final = 4096

BODY_TIMEOUT_S: Final = 10.0
"""Longest time that a body may take to come, as a head may: each holds the place of a request that is answered."""


async def command_body(
    request: Request, name: str, keys: Collection[str], timeout_s: float = BODY_TIMEOUT_S
) -> JsonBody:
    """Return the fields of a command; a body without bytes has none.

    Args:
        request: the request.
        name: name of the command, for the error.
        keys: keys that it knows.
        timeout_s: longest time that the body may take to come.

    Raises:
        HTTPException: 415, the content type is not JSON; 408, the body has not come in time.
        ClientDisconnect: the client has left within the body.
        RequestRefused: ``INVALID_REQUEST``, the body is no JSON object, too large, or has an unknown key.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"send content-type: {JSON}")
    body = b""
    try:
        async with asyncio.timeout(timeout_s):
            async for part in request.stream():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    raise RequestRefused(Code.INVALID_REQUEST, f"the body has more than {MAX_BODY_BYTES} bytes")
    except TimeoutError:
        problem = f"{len(body)} bytes of the body have come in {timeout_s:g} s, without its end, and nothing was done"
        detail = f"{problem}: send as many as content-length says"
        raise HTTPException(HTTPStatus.REQUEST_TIMEOUT, detail, {"connection": "close"}) from None
    fields = JsonBody.parse(name, body or b"{}")
    for key, _ in fields.items():
        if key not in keys:
            # A key that is misspelt would count for nothing: clients would come back to this gateway, for one.
            close = nearest(key, keys)
            known = f"known are {', '.join(keys)}" if keys else "it has none"
            hint = f"did you mean {close}?" if close else known
            raise RequestRefused(Code.INVALID_REQUEST, f"{name} has no key {key[:40]!r}, and nothing was done: {hint}")
    return fields


def address_in(fields: JsonBody) -> str | None:
    """Return the ``address`` of a command: the URL of a gateway, to which clients go; ``None``: there is none.

    Raises:
        RequestRefused: ``INVALID_REQUEST``, it is no such URL.
    """
    address = fields.text_or_none("address")
    if address is not None:
        try:
            url = urlsplit(address)
            known = url.scheme in SCHEMES and bool(url.hostname) and not url.fragment and url.port != 0
            # Clients connect to what they are told: no blanks, nothing that a terminal would take for its own, and no
            # password that all of them would know.
            known = known and url.username is None and address.isprintable() and " " not in address
        except ValueError:
            known = False
        if not known:
            problem = f"{address!r} is not a gateway's URL such as wss://gateway-2.example.com:8765"
            raise RequestRefused(Code.INVALID_REQUEST, problem)
    return address


def asker_of(request: Request) -> str:
    """Return the one who orders, in words for the log."""
    return "http" if request.client is None else f"http from {request.client.host}"
