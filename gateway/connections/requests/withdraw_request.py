"""Takes a REQUEST back from the one who should reply to it (spec section 8.1)."""

from __future__ import annotations

from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.stream_queue import Cursor, StreamQueue
from gateway.connections.sessions.send_in_order import follow
from gateway.errors import Code
from gateway.protocol.signals import Abort, Cancel
from gateway.protocol.wire import DATA_HEADER, Opcode
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run, Source


def withdraw_request(connection: Connection, source: Source, cancel: Cancel) -> None:
    """A request is not wanted any more: it is not sent if it still waits, and the peer is told if it has it.

    Args:
        connection: of the replier; nothing of the request is on its way to its outbox any more.
        source: the mailbox in which the request is.
        cancel: names the asker and the correlation.
    """
    lane = None if connection.outbox is None else connection.outbox.queue_of(source)
    if lane is None or not lane.entries:
        connection.send(cancel)
        return
    waiting = _withdraw(lane, cancel)
    if waiting is None:
        # It was sent, and what waits came later; or it waits as text. Behind it in any case.
        follow(connection, source, cancel)
    elif isinstance(waiting, Cursor) and waiting.started:
        connection.send(Abort(waiting.message.plan.transfer, Code.CANCELLED))
    connection.drain()


def _withdraw(lane: StreamQueue, cancel: Cancel) -> Run | Cursor | None:
    for entry in lane.entries:
        if isinstance(entry, Run) and _named(entry) == cancel:
            lane.waiting_bytes -= entry.size
        elif isinstance(entry, Cursor) and _named_large(entry.message) == cancel:
            lane.waiting_bytes -= entry.message.plan.payload_bytes
        else:
            continue
        lane.entries.remove(entry)
        return entry
    return None


def _named(run: Run) -> Cancel | None:
    """By what a CANCEL names a request; ``None`` if this is none, or one whose frame is gone because it is text."""
    if run.text is not None:
        return None
    _, opcode, _, _, _, publisher, correlation, _ = DATA_HEADER.unpack_from(run.buffers[0])
    return Cancel(publisher, correlation) if opcode == Opcode.REQUEST else None


def _named_large(message: LargeMessage) -> Cancel | None:
    return Cancel(message.publisher, message.offset or 0) if message.opcode == Opcode.REQUEST else None
