"""What is told of a link comes from the parts of its connection, and values that nobody has measured are absent."""

from __future__ import annotations

import pytest

from gateway.connections.links.bottleneck import Bottleneck
from gateway.connections.links.links import SAMPLE_S
from gateway.connections.outbound.bulk_window import FIRST_WINDOW_BYTES, BulkWindow
from gateway.connections.outbound.link_reading import (
    LISTED_POSITIONS,
    NamedPosition,
    link_quality,
    link_snapshot,
    most_behind,
    queued_bytes_of,
    read_counts,
)
from gateway.connections.socket_counts import SocketCounts
from gateway.protocol.link_quality import LinkQuality
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Pong, ProgramPosition, ReceiverReport
from tests.connections.links.test_bottleneck import info
from tests.connections.memory import World

MS = 1_000_000


def test_nothing_is_known_of_a_connection_that_has_just_come() -> None:
    connection = World().peer().session.connection
    snapshot = link_snapshot(connection)
    assert snapshot.quality == LinkQuality()
    assert (snapshot.score, snapshot.bottleneck, snapshot.tcp) == (1.0, Bottleneck.NONE, None)


def test_bytes_in_the_outbox_and_in_the_transport_are_queued() -> None:
    world = World()
    slow = world.subscriber("wf/*", "slow")
    connection = slow.session.connection
    assert queued_bytes_of(connection) == 0
    connection.pause_writing()
    author = world.publisher("wf/a", kind=Kind.EVENT)
    author.publish(0, bytes(1000))
    world.settle()
    assert connection.outbox is not None
    assert queued_bytes_of(connection) == connection.outbox.waiting_bytes > 1000
    slow.transport.waiting = 70
    assert queued_bytes_of(connection) == connection.outbox.waiting_bytes + 70


def test_round_trips_make_the_rtt_and_its_jitter() -> None:
    connection = World().peer().session.connection
    connection.sample_round_trip(40 * MS)
    connection.sample_round_trip(80 * MS)
    snapshot = link_snapshot(connection)
    assert snapshot.quality.rtt_s == pytest.approx(0.045)
    assert snapshot.quality.jitter_s == pytest.approx(0.025)
    assert snapshot.smallest_rtt_s == pytest.approx(0.04)


def test_answers_behind_bulk_make_the_rtt_and_the_goodput_where_nothing_else_has() -> None:
    connection = World().peer().session.connection
    window = connection.bulk_window = BulkWindow()
    for sent_ns in (0, 1):
        assert window.sent(FIRST_WINDOW_BYTES, sent_ns)
    window.answered(Pong(0, 50 * MS, 50 * MS), 50 * MS)
    window.answered(Pong(1, 150 * MS, 150 * MS), 150 * MS)
    quality = link_quality(connection)
    assert quality.rtt_s == pytest.approx(0.05)
    assert quality.goodput_bytes_per_s == pytest.approx(FIRST_WINDOW_BYTES / 0.1)
    assert quality.queue_delay_s is None
    assert read_counts(connection).bulk_bytes_per_s == quality.goodput_bytes_per_s


def test_a_receiver_that_lags_is_sampled_by_the_sweep_of_the_core() -> None:
    world = World()
    publisher = world.publisher("wf/pose", kind=Kind.STATE)
    peer = world.subscriber("wf/pose")
    peer.transport.fill_up()
    peer.transport.counts = SocketCounts(250_000.0, info(0.0))
    list(world.core.links.sweep())
    for number in range(5):
        publisher.publish(0, bytes(1000 + number))
        world.settle()
    peer.transport.counts = SocketCounts(250_000.0, info(SAMPLE_S, SAMPLE_S, 125_000))
    world.clock.advance(SAMPLE_S)
    list(world.core.links.sweep())
    snapshot = link_snapshot(peer.session.connection)
    assert snapshot.quality.goodput_bytes_per_s == pytest.approx(250_000)
    assert (snapshot.quality.queue_delay_s or 0) > 0
    assert (snapshot.quality.conflated_share or 0) > 0
    assert snapshot.bottleneck is Bottleneck.READER
    assert 0 < snapshot.score < 1


def test_counters_of_a_lagging_connection() -> None:
    world = World()
    publisher = world.publisher("wf/log")
    peer = world.subscriber("wf/log")
    peer.transport.fill_up()
    for _ in range(3):
        publisher.publish(0, b"line")
        world.settle()
    before = read_counts(peer.session.connection)
    peer.transport.read_on()
    world.settle()
    counts = read_counts(peer.session.connection)
    assert (before.sent, before.lagging, counts.sent, counts.lagging) == (0, True, 3, False)
    assert (counts.conflated, counts.dropped, counts.waiting_bytes) == (0, 0, 0)
    assert before.progress != counts.progress


def test_reports_of_the_receiver_are_part_of_it() -> None:
    world = World()
    peer = world.peer()
    peer.send(ReceiverReport(1_000_000, 50 * MS, 4096, 2_000 * MS).write())
    snapshot = link_snapshot(peer.session.connection)
    assert snapshot.quality.decode_s_per_byte == pytest.approx(5e-8)
    assert (snapshot.quality.unread_s, snapshot.unread_bytes) == (2.0, 4096)
    assert snapshot.bottleneck is Bottleneck.READER


def test_streams_in_which_a_program_is_behind_are_named_as_long_as_it_receives_them() -> None:
    world = World()
    count = LISTED_POSITIONS + 2
    peer = world.subscriber("wf/*")
    connection = peer.session.connection
    for number in range(count):
        author = world.publisher(f"wf/{number}")
        for _ in range(count):
            author.publish(0, b"line")
    world.settle()
    numbers = {connection.accounts.name_of(number): number for number in connection.accounts.ids}
    named = [ProgramPosition(numbers[f"wf/{number}"], number + 1, count - number - 1) for number in range(count)]
    peer.send(ReceiverReport(0, 0, 4096, 1000, tuple(named)).write())
    snapshot = link_snapshot(connection)
    assert (snapshot.streams_behind, most_behind(connection)) == (count, count)
    assert snapshot.behind == tuple(
        [NamedPosition(f"wf/{number}", count - number - 1, number + 1) for number in reversed(range(2, count))]
    )
    peer.unsubscribe(1)
    world.settle()
    assert link_snapshot(connection).behind == ()
    peer.send(ReceiverReport(0, 0, 4096, 1000, (ProgramPosition(numbers["wf/0"], 0, 9),)).write())
    assert (link_snapshot(connection).streams_behind, most_behind(connection)) == (0, 0)


def test_a_position_in_a_view_has_the_name_of_its_stream() -> None:
    world = World()
    author = world.publisher("wf/pose", kind=Kind.STATE)
    peer = world.peer()
    peer.subscribe("wf/pose", view={"max_rate_hz": 1000.0})
    world.settle()
    for _ in range(3):
        author.publish(0, bytes(8))
        world.settle()
        world.clock.advance(1.0)
        world.settle()
    (view,) = peer.session.connection.accounts.ids
    peer.send(ReceiverReport(0, 0, 4096, 1000, (ProgramPosition(view, 2, 1),)).write())
    assert link_snapshot(peer.session.connection).behind == (NamedPosition("wf/pose", 1, 2),)
