"""Sending behind the messages that wait in a mailbox; other answers and signals pass the outbox."""

from __future__ import annotations

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.formats import Sendable
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import Signal
from gateway.streams.run import Run, Source, TextRun


def send_in_order(connection: Connection, mailbox: PubSubFanout, message: Sendable) -> None:
    """Send a message to a connection behind everything that its mailbox holds."""
    mailbox.when_delivered(lambda: follow(connection, mailbox.source, message))


def follow(connection: Connection, source: Source, message: Sendable) -> None:
    """Send a message behind the messages of a source that wait in the connection's outbox."""
    queue = None if connection.outbox is None else connection.outbox.queue_of(source)
    if queue is None or not queue.entries:
        connection.send(message)
        return
    form = connection.format
    if form.takes_chunks:
        frame = message.write() if isinstance(message, Signal) else write_session(message)
        connection.enqueue((Run.of_frame(source, 0, (frame,)),))
    else:
        connection.enqueue((TextRun(source, 0, 1, (form.signal(message),)),))
