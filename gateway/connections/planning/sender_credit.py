"""Sender credit: bytes of events that may wait for a receiver of many senders before their publishes wait.

Without one, half of the bound of its queue waits first: on a slow link each event comes a minute late then, although
senders that await their publishes could wait instead.
"""

from __future__ import annotations

from gateway.connections.outbound.connection import Connection


def bound_senders(connection: Connection, nbytes: int) -> bool:
    """Have publishes to a connection wait once so many bytes wait for it; 0: half of the bound of its queue.

    They wait even if the connection has counted as slow: by another bound it may not be.

    Returns:
        False for a client that is gone.
    """
    if connection.closed:
        return False
    outbox = connection.made_outbox()
    outbox.events.set_sender_credit(nbytes)
    outbox.hold.least_bytes = outbox.events.crowd_bytes
    outbox.hold.slow = not outbox.hold.max_hold_s
    connection.drain()
    return True
