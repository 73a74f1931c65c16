"""Units on their way to one receiver, and how long the oldest may take."""

from __future__ import annotations

from collections import deque

from gateway.connections.consumers.ack_unit import AckUnit, units_of
from gateway.connections.consumers.in_flight import AckTimeout, InFlight, Sending, covered, put_back
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
    entry = InFlight(unit_at(0, b"abc"))
    entry.take(credits)
    assert (entry.sent, entry.tries) == (True, 1)
    assert [(credit.messages, credit.nbytes) for credit in credits] == [(1, 7), (0, 2)]
    entry.settle()
    entry.settle()
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


def test_it_ends_for_the_same_delivery_only() -> None:
    timeout = AckTimeout(10.0)
    first, second = InFlight(unit_at(0)), InFlight(unit_at(1))
    assert [timeout.ends(first, now_s) for now_s in (0.0, 9.0)] == [False, False]
    assert [timeout.ends(second, now_s) for now_s in (10.0, 19.9, 20.0)] == [False, False, True]
    assert not timeout.ends(second, 21.0)


def test_another_delivery_and_a_pause_begin_anew() -> None:
    timeout = AckTimeout(10.0)
    entry = InFlight(unit_at(0))
    timeout.ends(entry, 0.0)
    entry.take(())
    assert not timeout.ends(entry, 11.0)
    timeout.ends(None, 12.0)
    assert not timeout.ends(entry, 30.0)
    assert timeout.ends(entry, 40.0)


def test_a_range_covers_complete_units_only() -> None:
    batch = InFlight(units_of(run_of(frame(b"abcd", count=4), first=2, counts=(4,)))[0])
    entries = {0: InFlight(unit_at(0)), 1: InFlight(unit_at(1)), 2: batch}
    assert covered(entries, 1, 4) == [entries[1]]
    assert covered(entries, 1, 5) == [entries[1], batch]
    assert covered(entries, 0, 2**63) == [*entries.values()]
    assert covered(entries, 2, 2**63) == [batch]
    assert covered(entries, 6, 7) == []


def test_a_unit_is_put_back_before_later_ones() -> None:
    queued = deque([InFlight(unit_at(1)), InFlight(unit_at(4))])
    put_back(queued, InFlight(unit_at(2)))
    put_back(queued, InFlight(unit_at(7)))
    put_back(queued, InFlight(unit_at(0)))
    assert [entry.unit.first for entry in queued] == [0, 1, 2, 4, 7]
