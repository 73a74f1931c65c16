"""Queues of one connection: the bytes that wait for its client."""

from __future__ import annotations

from gateway.connections.outbound.connection import Connection


def queued_bytes_of(connection: Connection) -> int:
    """Return the bytes in the outbox and in the transport of a connection."""
    outbox = connection.outbox
    return connection.transport.waiting_bytes() + (0 if outbox is None else outbox.waiting_bytes)
