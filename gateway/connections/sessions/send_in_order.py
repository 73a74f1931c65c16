"""Sends what must not pass that which waits in a mailbox: answers and signals go past the outbox otherwise."""

from __future__ import annotations

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.formats import Sendable
from gateway.protocol.session_body import write_session
from gateway.protocol.signals import Signal
from gateway.streams.run import Run, Source


def send_in_order(connection: Connection, mailbox: PubSubFanout, message: Sendable) -> None:
    """Send a message to a connection behind all that its mailbox has for it."""
    mailbox.when_delivered(lambda: follow(connection, mailbox.source, message))


def follow(connection: Connection, source: Source, message: Sendable) -> None:
    """Send a message behind what waits of a source in the connection's outbox."""
    lane = None if connection.outbox is None else connection.outbox.lane_of(source)
    if lane is None or not lane.entries:
        connection.send(message)
        return
    frame = message.write() if isinstance(message, Signal) else write_session(message)
    run = Run(source, 0, 1, (frame,), len(frame), 0, 1)
    run.text = connection.format.signal(message)
    connection.enqueue((run,))
