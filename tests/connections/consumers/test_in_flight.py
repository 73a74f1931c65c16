"""Units on their way to one receiver, and how long the oldest may take."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import SupportsIndex

from gateway.connections.consumers.ack_unit import AckUnit, units_of
from gateway.connections.consumers.in_flight import (
    AckTimeout,
    InFlight,
    Sending,
    UnitsInFlight,
    add_gap,
    covered,
    put_back,
    take_answered,
)
from gateway.connections.fanout.recode import frame_of
from gateway.connections.outbound.connection import Connection
from gateway.connections.sessions.credit_window import CreditWindow
from gateway.errors import Code
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Gap, Replay
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


class Watched:
    """Units in flight to a receiver, and their timeout; the receiver answers PINGs when the test says so."""

    def __init__(self, max_work_s: float | None = None, units: int = 2) -> None:
        self.peer, self.connection = receiver()
        self.peer.responsive = False
        self.timeout = AckTimeout(10.0, max_work_s)
        self.entries = [InFlight(unit_at(offset)) for offset in range(units)]
        self.in_flight = {entry.unit.first: entry for entry in self.entries}

    def ended(self, now_s: float) -> list[int]:
        """Offsets of the units whose delivery has failed."""
        failed = self.timeout.ended(self.in_flight, now_s, self.connection)
        for entry in failed:
            del self.in_flight[entry.unit.first]
        return [entry.unit.first for entry in failed]

    def probed_and_ended(self, now_s: float) -> list[int]:
        """The same, once the receiver has answered the PING, if there is one."""
        assert self.ended(now_s) == []
        self.peer.read()
        return self.ended(now_s)


def test_only_the_oldest_unit_is_worked_on() -> None:
    watched = Watched()
    assert [watched.probed_and_ended(now_s) for now_s in (0.0, 9.9, 10.0)] == [[], [], [0]]
    assert [watched.probed_and_ended(now_s) for now_s in (10.1, 20.0, 20.2)] == [[], [], [1]]


def test_a_receiver_that_does_not_answer_has_not_failed() -> None:
    watched = Watched()
    assert [watched.ended(now_s) for now_s in (0.0, 10.0, 20.0, 1000.0)] == [[]] * 4
    watched.peer.read()
    assert watched.ended(1000.0) == [0]


def test_another_delivery_and_a_pause_begin_anew() -> None:
    watched = Watched(units=1)
    (entry,) = watched.entries
    assert watched.probed_and_ended(0.0) == []
    entry.take(())
    assert watched.probed_and_ended(11.0) == []
    watched.timeout.clear()
    assert watched.probed_and_ended(30.0) == []
    assert watched.probed_and_ended(40.0) == [0]


def test_a_unit_in_progress_does_not_fail_before_its_reports_stop() -> None:
    watched = Watched()
    for now_s in range(0, 100, 9):
        watched.timeout.report(watched.entries[0], now_s)
        assert watched.probed_and_ended(now_s + 8.9) == []
    assert watched.probed_and_ended(109.1) == [0]


def test_a_report_after_the_probe_is_in_time() -> None:
    watched = Watched()
    watched.ended(0.0)
    assert watched.ended(10.0) == []
    watched.timeout.report(watched.entries[0], 10.5)
    watched.peer.read()
    assert watched.ended(11.0) == []


def test_a_unit_that_was_in_progress_fails_although_an_older_one_still_is() -> None:
    watched = Watched()
    watched.timeout.report(watched.entries[1], 0.0)
    watched.timeout.report(watched.entries[0], 5.0)
    assert watched.probed_and_ended(10.0) == [1]


def test_reports_count_for_a_while_only_if_that_is_wanted() -> None:
    watched = Watched(max_work_s=20.0)
    for now_s in (100.0, 105.0, 119.0, 125.0):
        watched.timeout.report(watched.entries[0], now_s)
    assert watched.probed_and_ended(128.9) == []
    assert watched.probed_and_ended(129.0) == [0]


def test_a_range_covers_complete_units_only() -> None:
    batch = InFlight(units_of(run_of(frame(b"abcd", count=4), first=2, counts=(4,)))[0])
    entries = {0: InFlight(unit_at(0)), 1: InFlight(unit_at(1)), 2: batch}
    assert [*covered(entries, 1, 4)] == [entries[1]]
    assert [*covered(entries, 1, 5)] == [entries[1], batch]
    assert [*covered(entries, 0, 2**63)] == [*entries.values()]
    assert [*covered(entries, 2, 2**63)] == [batch]
    assert [*covered(entries, 6, 7)] == []


def test_a_unit_is_put_back_before_later_ones() -> None:
    queued = deque([InFlight(unit_at(1)), InFlight(unit_at(4))])
    put_back(queued, [InFlight(unit_at(2))])
    put_back(queued, [InFlight(unit_at(7)), InFlight(unit_at(0))])
    assert [entry.unit.first for entry in queued] == [0, 1, 2, 4, 7]


def test_units_that_are_put_back_do_not_look_at_each_other() -> None:
    looks = 0

    class Counted(deque[InFlight]):
        def __getitem__(self, at: SupportsIndex) -> InFlight:  # type: ignore[override]
            nonlocal looks
            looks += 1
            return super().__getitem__(at)

        def __iter__(self) -> Iterator[InFlight]:
            nonlocal looks
            for entry in super().__iter__():
                looks += 1
                yield entry

    queued = Counted(InFlight(unit_at(2 * number)) for number in range(500))
    looks = 0
    put_back(queued, [InFlight(unit_at(2 * number + 1)) for number in range(500)])
    assert looks < 2000
    assert [entry.unit.first for entry in queued] == [*range(1000)]


def test_units_that_were_sent_again_come_first() -> None:
    in_flight = UnitsInFlight()
    entries = [InFlight(unit_at(offset), tries=1) for offset in range(4)]
    for entry in entries:
        (in_flight.again if entry.unit.first in (1, 3) else in_flight.once)[entry.unit.first] = entry
    assert [*in_flight] == [1, 3, 0, 2]
    in_flight.remove(entries[1])
    in_flight.remove(entries[0])
    assert [*in_flight.values()] == [entries[3], entries[2]]
    assert (len(in_flight), 1 in in_flight, 3 in in_flight) == (2, False, True)
    queued = deque([InFlight(unit_at(4))])
    in_flight.return_to(queued)
    assert [(entry.unit.first, entry.tries) for entry in queued] == [(2, 0), (3, 0), (4, 0)]
    assert not in_flight


def test_late_answers_settle_units_that_wait_to_be_sent_again() -> None:
    entries = [InFlight(unit_at(offset)) for offset in (0, 1, 2, 5)]
    for entry in entries[:3]:
        entry.sent = True
    queued = deque(entries)
    assert take_answered(queued, 1, 9) == [entries[1].unit, entries[2].unit]
    assert list(queued) == [entries[0], entries[3]]
    assert take_answered(deque(), 0, 9) == []


def test_gaps_for_one_reason_are_told_in_one_piece() -> None:
    gaps: list[Gap] = []
    for gap in (Gap(7, 1, 0, 1), Gap(7, 1, 2, 2), Gap(7, 2, 3, 3), Gap(7, 2, 5, 5)):
        add_gap(gaps, gap)
    assert gaps == [Gap(7, 1, 0, 2), Gap(7, 2, 3, 3), Gap(7, 2, 5, 5)]


def test_one_of_two_units_is_the_oldest() -> None:
    in_flight = UnitsInFlight()
    assert list(in_flight.oldest()) == []
    again, first, second = (InFlight(unit_at(offset)) for offset in (3, 1, 2))
    in_flight.again[3] = again
    in_flight.once |= {1: first, 2: second}
    assert list(in_flight.oldest()) == [again, first]
