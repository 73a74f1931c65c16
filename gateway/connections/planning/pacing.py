"""Pacing: versions of states leave for a receiver only as it reads those before.

A receiver that reads less than is published has versions wait in its transport and in the buffers of the system, where
no newer one can take their place: each comes late. A paced receiver has them wait in its outbox, and the window of its
bulk, which holds back large messages, holds back states of any size: so what leaves is the newest version, and what was
sent before it has been read. Messages of other kinds go as ever, and find no versions before them.
"""

from __future__ import annotations

from typing import Final

from gateway.connections.outbound.bulk_window import MIN_WINDOW_BYTES, BulkWindow
from gateway.connections.outbound.connection import Connection

FIRST_PACED_WINDOW_BYTES: Final = 16 * 1024
"""Bytes of states under way at first: the window grows as long as they do not wait on their way."""


def begin_pacing(connection: Connection) -> bool:
    """Have states wait in the outbox of a connection until those before have been read.

    Returns:
        False for a client that is gone, or whose library does not answer PINGs.
    """
    if connection.closed or not connection.format.answers_pings:
        return False
    window = connection.bulk_window
    if window is None:
        window = connection.bulk_window = BulkWindow()
    window.bulk = connection.fall_behind().bulk
    window.bulk.paced = True
    window.window_bytes = min(window.window_bytes, FIRST_PACED_WINDOW_BYTES)
    return True


def end_pacing(connection: Connection) -> None:
    """Have states leave as fast as the transport takes them."""
    window = connection.bulk_window
    if window is not None:
        window.bulk.paced = False
        window.window_bytes = max(window.window_bytes, MIN_WINDOW_BYTES)
        connection.drain()
