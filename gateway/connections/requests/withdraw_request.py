"""Withdrawal of a REQUEST from the connection that should reply to it (spec section 8.1)."""

from __future__ import annotations

from gateway.connections.lagging.cursor import Cursor
from gateway.connections.outbound.connection import Connection
from gateway.connections.sessions.send_in_order import follow
from gateway.errors import Code
from gateway.protocol.signals import Abort, Cancel
from gateway.protocol.wire import DATA_HEADER, FRAME_START, Opcode
from gateway.streams.large import LargeMessage
from gateway.streams.run import RequestText, Run, Source


def withdraw_request(connection: Connection, source: Source, cancel: Cancel) -> None:
    """Withdraw a request: remove it from the outbox if it still waits there, else send CANCEL to the replier.

    Args:
        connection: of the replier. The request must have reached its outbox or its transport already.
        source: the mailbox of the request.
        cancel: names the asker and the correlation.
    """
    outbox = connection.outbox
    queue = None if outbox is None else outbox.queue_of(source)
    if outbox is None or queue is None or not queue.entries:
        connection.send(cancel)
        return
    waiting = outbox.withdraw(source, lambda entry: _name_of(entry) == cancel)
    if waiting is None:
        # The request was sent and later ones wait: CANCEL must stay behind it in any case.
        follow(connection, source, cancel)
    elif isinstance(waiting, Cursor) and waiting.started:
        connection.send(Abort(waiting.message.plan.transfer, Code.CANCELLED))
    connection.drain()


def _name_of(entry: Run | Cursor) -> Cancel | None:
    return _named(entry) if isinstance(entry, Run) else _named_large(entry.message)


def _named(run: Run) -> Cancel | None:
    """Return the CANCEL that names a request; ``None`` for another message."""
    if isinstance(run, RequestText):
        return run.cancel
    if run.is_text or FRAME_START.unpack_from(run.buffers[0])[1] != Opcode.REQUEST:
        return None
    _, _, _, _, _, publisher, correlation, _ = DATA_HEADER.unpack_from(run.buffers[0])
    return Cancel(publisher, correlation)


def _named_large(message: LargeMessage) -> Cancel | None:
    return Cancel(message.publisher, message.offset or 0) if message.opcode == Opcode.REQUEST else None
