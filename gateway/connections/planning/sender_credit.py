"""Sender credit: bytes of events that may wait for a receiver of many senders before their publishes wait.

Without one, half of the bound of its queue waits first: on a slow link each event comes a minute late then, although
senders that await their publishes could wait instead.
"""

from __future__ import annotations

from typing import Final

from gateway.connections.outbound.connection import Connection

SENDERS_PART: Final = 0.5
"""Part of what a receiver takes that its senders may send as long as what had waited before a credit is delivered."""


def bound_senders(connection: Connection, nbytes: int) -> bool:
    """Have publishes to a connection wait once so many bytes wait for it; 0: half of the bound of its queue.

    Messages that wait already are delivered bit by bit: see :func:`drain_for_senders`. Publishes wait even if it has
    counted as slow: by another bound it may not be.

    Returns:
        False for a client that is gone.
    """
    if connection.closed:
        return False
    outbox = connection.made_outbox()
    outbox.events.set_sender_credit(nbytes)
    outbox.hold.least_bytes = outbox.events.least_bytes
    outbox.hold.slow = not outbox.hold.max_hold_s
    connection.drain()
    return True


def drain_for_senders(connection: Connection, taken_bytes: int) -> None:
    """Shorten the queue of a connection with a credit by a part of what it has taken since the last call.

    If publishes waited until all that had waited before the credit is delivered, they would wait for a minute, and time
    out. So the queue gets shorter at half of its pace, and senders go on at the other half.

    Args:
        connection: the receiver.
        taken_bytes: bytes that it has taken since the last call.
    """
    outbox = connection.outbox
    if outbox is not None and not connection.closed and outbox.events.crowd_bytes > outbox.events.least_bytes:
        outbox.events.lower_crowd(int((1 - SENDERS_PART) * taken_bytes))
