"""Units on their way to one receiver."""

from __future__ import annotations

from gateway.connections.consumers.ack_unit import AckUnit, units_of
from gateway.connections.consumers.in_flight import InFlight, Sending
from gateway.connections.fanout.recode import frame_of
from gateway.connections.outbound.connection import Connection
from gateway.connections.sessions.credit_window import CreditWindow
from gateway.errors import Code
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Replay
from gateway.streams.run import Run
from tests.connections.consumers.test_ack_unit import frame, run_of
from tests.connections.memory import Peer, World
from tests.connections.reader import Arrival


def unit_at(offset: int, payload: bytes = b"x") -> AckUnit:
    (unit,) = units_of(run_of(frame(payload), first=offset))
    return unit


def test_it_takes_credit_while_it_is_under_way() -> None:
    credits = [CreditWindow(2, 10, replenished=True), CreditWindow(1, 5, replenished=False)]
    flight = InFlight(unit_at(0, b"abc"))
    flight.take(credits)
    assert (flight.sent, flight.tries) == (True, 1)
    assert [(credit.messages, credit.nbytes) for credit in credits] == [(1, 7), (0, 2)]
    flight.settle()
    flight.settle()
    assert [(credit.messages, credit.nbytes) for credit in credits] == [(2, 10), (0, 2)]


def receiver() -> tuple[Peer, Connection]:
    world = World()
    world.publisher("wf/tasks", kind=Kind.COLLABORATION)
    peer = world.subscriber("wf/tasks")
    peer.forget()
    return peer, peer.session.connection


def patched(peer: Peer, offset: int) -> Run:
    """A run of the stream that the peer was told of."""
    content = unit_at(offset, bytes([offset])).content
    assert isinstance(content, Run)
    parsed = frame_of(content)
    stream = peer.reader.stream_id("wf/tasks")
    assert parsed.stream == stream
    return content


def test_what_was_sent_before_is_announced_in_one_piece() -> None:
    peer, connection = receiver()
    source = next(iter(connection.memberships))
    sending = Sending(connection, source)  # type: ignore[arg-type]  # the only one is a stream
    for offset in (3, 4, 7):
        sending.announce(unit_at(offset))
        sending.add(patched(peer, offset))
    sending.flush()
    log = peer.news().log
    stream = peer.reader.stream_id("wf/tasks")
    assert [
        entry if isinstance(entry, Replay) else "message" for entry in log if isinstance(entry, Replay | Arrival)
    ] == [
        Replay(stream, Code.NOT_PROCESSED, 3, 4),
        "message",
        "message",
        Replay(stream, Code.NOT_PROCESSED, 7, 7),
        "message",
    ]
