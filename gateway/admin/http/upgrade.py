"""Upgrade: the request by which a client of the admin port asks for a WebSocket."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final

WEBSOCKET_PATH: Final = "/ws"
"""Path of the gateway's WebSocket on the admin port."""

TakeSocket = Callable[[asyncio.Transport, bytes], None]
"""Function that takes a socket over, with the bytes that were read from it; nothing more is read until it does."""

_REQUEST: Final = re.compile(rb"GET " + re.escape(WEBSOCKET_PATH.encode()) + rb"(?:\?[!-~]*)? HTTP/1\.1\r\n")
_HEAD_END: Final = b"\r\n\r\n"
_HEADERS: Final = (
    re.compile(rb"\r\nupgrade:[ \t]*websocket[ \t]*\r\n", re.IGNORECASE),
    re.compile(rb"\r\nconnection:(?:[^\r\n]*,)?[ \t]*upgrade[ \t]*(?:,[^\r\n]*)?\r\n", re.IGNORECASE),
)


def header_of(data: bytes, name: bytes) -> str | None:
    """Return the value of a header in a complete head; ``None``: it has none. Several are one, with commas between."""
    head = data[: data.index(_HEAD_END) + 2]
    found = re.findall(rb"\r\n" + re.escape(name) + rb":[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)", head, re.IGNORECASE)
    return b", ".join(found).decode("latin-1") if found else None


def asks_for_websocket(data: bytes, max_head_bytes: int) -> bool:
    """Return whether bytes begin with the complete head of a request for the gateway's WebSocket.

    Args:
        data: bytes of a client, from the beginning of a request.
        max_head_bytes: a longer head is none.
    """
    if _REQUEST.match(data) is None:
        return False
    end = data.find(_HEAD_END, 0, max_head_bytes)
    return end >= 0 and all(header.search(data, 0, end + len(_HEAD_END)) for header in _HEADERS)
