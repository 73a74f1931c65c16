"""Address of a peer, as people write it."""

from __future__ import annotations

import asyncio


def peer_address_of(transport: asyncio.BaseTransport) -> str:
    """Return the address of the other side, as ``host:port``; empty if the socket is closed already."""
    address = transport.get_extra_info("peername")
    if not isinstance(address, tuple):
        return ""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
