"""Connection: urgent messages and their bound, lagging and catching up."""

from __future__ import annotations

from typing import cast

import pytest

from gateway.connections.lagging.bulk import BULK_BYTES
from gateway.connections.outbound.bulk_window import BULK_WRITE_BYTES, FIRST_WINDOW_BYTES
from gateway.connections.outbound.connection import SENT_A_STEP, Connection
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.connections.outbound.inbox_source import InboxSource
from gateway.connections.slices import SLICE_S
from gateway.errors import Code, RequestRefused
from gateway.protocol.data import write_data
from gateway.protocol.frames import frame_at, iter_frames
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Gap, Ping, Pong, Replay
from gateway.protocol.wire import Opcode
from gateway.streams.run import Run, Source
from tests.connections.frames import CHUNK_BYTES, message_frame
from tests.connections.memory import Peer, World, counts_in


def test_an_answer_passes_what_waits() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    subscriber = world.subscriber("wf/a")
    subscriber.transport.fill_up()
    publisher.publish(0, bytes(5000))
    world.settle()
    subscriber.send(Ping(1).write())
    pong = subscriber.read().log[-1]
    assert isinstance(pong, Pong)
    assert not subscriber.reader.arrivals
    subscriber.transport.read_on()
    assert subscriber.read().offsets == [0]


def test_control_messages_pass_what_waits_in_order() -> None:
    world = World()
    publisher = world.publisher("wf/event")
    publisher.open(1, "wf/control", Kind.CONTROL)
    subscriber = world.subscriber("wf/*")
    subscriber.transport.fill_up()
    for _ in range(3):
        publisher.publish(0, bytes(5000))
        publisher.publish(1, b"stop")
        world.settle()
    assert [arrival.payload for arrival in subscriber.read().arrivals] == [b"stop"] * 3
    subscriber.transport.read_on()
    assert len(subscriber.read().arrivals) == 6


def test_all_that_ask_in_one_turn_share_a_probe() -> None:
    world = World()
    worker = world.peer()
    worker.responsive = False
    connection = worker.session.connection
    probes_ns = [connection.probe() for _ in range(1000)]
    world.turn()
    probes_ns.append(connection.probe())
    earlier_ns, last_ns = sorted(set(probes_ns))
    assert connection.answered_ns < earlier_ns
    pings = [Ping.parse(data, frame) for data in worker.transport.writes for frame in iter_frames(data)]
    assert [ping for ping in pings if ping.report] == [Ping(earlier_ns, report=True), Ping(last_ns, report=True)]
    worker.read()
    assert connection.answered_ns == last_ns


def test_whoever_does_not_read_its_answers_is_read_no_more() -> None:
    world = World(delivery=DeliverySettings(urgent_limit_bytes=40_000))
    peer = world.peer()
    peer.transport.fill_up()
    refused = 0
    while peer.transport.reading and refused < 10_000:
        peer.send(message_frame(7, 1, b"x"))
        refused += 1
    assert refused < 10_000
    assert peer.close_code() is None
    peer.transport.read_on()
    peer.transport.pause_reading()
    assert set(peer.read().codes) == {Code.UNKNOWN_STREAM}


def test_whoever_lets_too_many_urgent_messages_pile_up_is_closed() -> None:
    world = World(delivery=DeliverySettings(urgent_limit_bytes=40_000))
    publisher = world.publisher("wf/control", kind=Kind.CONTROL)
    stuck, other = world.subscriber("wf/*", "stuck"), world.subscriber("wf/*", "other")
    stuck.transport.fill_up()
    for _ in range(50):
        publisher.publish(0, bytes(1000))
        world.settle()
    assert stuck.close_code() == Code.SLOW_CONSUMER
    assert not stuck.transport.late
    assert stuck.transport.reading, "it has to answer the close"
    assert other.read().offsets == list(range(50))
    publisher.publish(0, b"one more")
    world.settle()
    assert len(other.read().arrivals) == 51


def test_a_second_close_does_nothing() -> None:
    peer = World().peer()
    peer.session.connection.close(Code.NORMAL, "first")
    peer.session.connection.close(Code.INTERNAL_ERROR, "second")
    assert peer.transport.closed == (Code.NORMAL, "first")


def test_a_closed_connection_takes_everything_and_sends_nothing() -> None:
    world = World()
    peer = world.peer()
    connection = peer.session.connection
    peer.forget()
    connection.close(Code.NORMAL, "done")
    connection.pause_writing()
    peer.session.refuse(RequestRefused(Code.INTERNAL, "late"))
    connection.resume_writing()
    connection.transport.ping(b"")
    connection.transport.writelines([b"late"])
    assert not peer.transport.writes
    assert not peer.transport.late
    assert not connection.lagging
    assert not connection.transport.waiting_bytes()


def test_what_waits_for_a_lagging_receiver_keeps_no_larger_websocket_message_alive() -> None:
    """One small message for it, in a WebSocket message full of others."""
    world = World()
    publisher = world.publisher("wf/a", "wf/b")
    subscriber = world.subscriber("wf/a")
    subscriber.transport.fill_up()
    publisher.publish(0, b"the same size")
    publisher.publish(1, b"the same size")
    others = [publisher.message(1, b"the same size") for _ in range(1000)]
    publisher.send(publisher.message(0, b"the same size"), *others)
    world.settle()
    outbox = subscriber.session.connection.outbox
    assert outbox is not None
    entries = [entry for lane in outbox._queues.values() for entry in lane.entries]
    runs = [entry for entry in entries if isinstance(entry, Run)]
    assert len(runs) == 2
    for run in runs:
        for buffer in run.buffers:
            assert memoryview(buffer).nbytes < 1000
            assert not isinstance(buffer, memoryview) or memoryview(cast(bytes, buffer.obj)).nbytes < 1000
    subscriber.transport.read_on()
    assert len(subscriber.read().arrivals) == 2


def lagging(world: World, pattern: str = "wf/*") -> Peer:
    """A subscriber whose transport is full."""
    subscriber = world.subscriber(pattern)
    subscriber.read()
    subscriber.transport.fill_up()
    return subscriber


def test_a_gap_waits_for_the_messages_before_it() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    subscriber = lagging(world)
    publisher.publish(0, b"before")
    world.settle()
    connection = subscriber.session.connection
    (source,) = connection.memberships
    connection.send_gap(source, Gap(source.id, Code.QUEUE_FULL, 1, 1))
    assert not subscriber.read().gaps
    subscriber.transport.read_on()
    reader = subscriber.read()
    assert reader.offsets == [0]
    assert [(gap.first, gap.last) for gap in reader.gaps] == [(1, 1)]
    connection.send_gap(source, Gap(source.id, Code.QUEUE_FULL, 2, 2))
    assert len(subscriber.read().gaps) == 2


def test_a_signal_in_order_passes_nothing_of_its_own_stream() -> None:
    world = World()
    publisher = world.publisher("wf/a", "wf/b")
    subscriber = lagging(world)
    publisher.publish(0, b"waits")
    world.settle()
    connection = subscriber.session.connection
    waiting, idle = sorted(connection.memberships, key=lambda source: source.name)
    for source in (waiting, idle):
        connection.send_in_order(source, Replay(source.id, 0, 1, 1))
    assert [replay.stream for replay in replays(subscriber)] == [idle.id]
    subscriber.transport.read_on()
    assert [replay.stream for replay in replays(subscriber)] == [idle.id, waiting.id]


def test_messages_for_one_receiver_alone_are_booked_and_queued_if_it_lags() -> None:
    world = World()
    world.publisher("wf/a")
    subscriber = world.subscriber("wf/a")
    connection = subscriber.session.connection
    (source,) = connection.memberships
    runs = [Run(source, offset, 1, (frame_of(source, offset),), 48, 0, 1) for offset in range(2)]
    connection.deliver(runs[:1])
    assert subscriber.read().offsets == [0]
    subscriber.transport.fill_up()
    connection.deliver(runs[1:])
    assert subscriber.read().offsets == [0]
    subscriber.transport.read_on()
    assert subscriber.read().offsets == [0, 1]
    ((_, counts),) = counts_in(connection.accounts, 1).items()
    assert counts.delivered == 2


def test_a_receiver_that_lags_gets_a_large_message_from_its_outbox() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    subscriber = world.subscriber("wf/a")
    large = publisher.large(0, bytes(4 * CHUNK_BYTES))
    large.chunk()
    world.settle()
    subscriber.transport.fill_up()
    large.end()
    world.settle()
    connection = subscriber.session.connection
    (source,) = connection.memberships
    assert is_lagging(connection)
    assert subscriber.read().offsets == []
    subscriber.transport.read_on()
    assert subscriber.read().offsets == [0]
    assert not is_lagging(connection)
    assert connection.holds_newest(source)


def test_a_link_that_takes_no_more_makes_the_connection_fall_behind_until_it_answers() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    subscriber = world.subscriber("wf/a")
    connection = subscriber.session.connection
    subscriber.read()
    assert connection.write_bulk((bytes(FIRST_WINDOW_BYTES),), FIRST_WINDOW_BYTES) is False
    written = subscriber.transport.writes.pop()[FIRST_WINDOW_BYTES:]
    ping = Ping.parse(written, frame_at(written, 0))
    connection.fall_behind()
    connection.drain()
    assert is_lagging(connection)
    publisher.publish(0, b"small ones pass")
    world.settle()
    assert subscriber.read().offsets == [0]
    assert is_lagging(connection)
    connection.answered(Pong(ping.t0, ping.t0, ping.t0))
    assert not is_lagging(connection)


def test_messages_in_one_frame_that_are_as_large_as_chunks_wait_for_the_link_and_small_ones_pass() -> None:
    world = World()
    large, small = world.publisher("wf/large", kind=Kind.EVENT), world.publisher("wf/small", kind=Kind.EVENT)
    subscriber = world.subscriber("wf/**")
    connection = subscriber.session.connection
    subscriber.responsive = False
    subscriber.read()
    for _ in range(6):
        large.publish(0, bytes(BULK_WRITE_BYTES + 8))
        world.settle()
    assert is_lagging(connection)
    assert not connection.bulk_open
    small.publish(0, b"small")
    world.settle()
    before = b"".join(subscriber.transport.writes)
    assert before.count(b"small") == 1
    assert len(before) < FIRST_WINDOW_BYTES + 2 * BULK_WRITE_BYTES
    received = subscriber.read()  # and answers
    world.settle()
    received = subscriber.read()
    assert [arrival.offset for arrival in received.arrivals if len(arrival.payload) > BULK_WRITE_BYTES] == [*range(6)]
    assert not is_lagging(connection)


def test_messages_that_wait_and_are_larger_than_those_that_are_joined_wait_for_the_link() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.EVENT)
    subscriber = world.subscriber("wf/a")
    connection = subscriber.session.connection
    subscriber.responsive = False
    subscriber.read()
    subscriber.transport.fill_up()
    count = 2 * FIRST_WINDOW_BYTES // BULK_BYTES
    for _ in range(count):
        publisher.publish(0, bytes(BULK_BYTES))
        world.settle()
    subscriber.transport.read_on()
    world.settle()
    assert is_lagging(connection)
    assert sum(map(len, subscriber.transport.writes)) < FIRST_WINDOW_BYTES + 2 * BULK_BYTES
    while subscriber.read().offsets != [*range(count)]:
        world.settle()
    assert not is_lagging(connection)


def test_a_large_control_message_waits_in_the_outbox_and_those_behind_it_do_not_pass() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.CONTROL)
    subscriber = world.subscriber("wf/a")
    subscriber.read()
    subscriber.transport.fill_up()
    for size in (900_000, 5, 900_000, 900_000):
        publisher.publish(0, bytes(size))
        world.settle()
    assert not subscriber.session.connection.closed
    subscriber.transport.read_on()
    world.settle()
    assert [len(arrival.payload) for arrival in subscriber.read().arrivals] == [900_000, 5, 900_000, 900_000]


@pytest.mark.parametrize("limit_bytes", [3_000_000, 60_000_000])
def test_large_control_messages_that_are_not_read_close_the_connection_at_the_bound_in_force(limit_bytes: int) -> None:
    world = World(delivery=DeliverySettings(outbox_limit_bytes=limit_bytes, urgent_limit_bytes=1_000_000))
    publisher = world.publisher("wf/a", kind=Kind.CONTROL)
    subscriber = world.subscriber("wf/a")
    subscriber.read()
    subscriber.transport.fill_up()
    subscriber.session.connection.made_outbox().set_bound(3_000_000)
    counts = []
    for _ in range(9):
        publisher.publish(0, bytes(600_000))
        world.settle()
        counts.append(subscriber.session.connection.closed)
    assert counts == [False] * 8 + [True]
    assert subscriber.close_code() == Code.SLOW_CONSUMER


def test_tasks_that_are_delivered_together_wait_for_the_link() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.COLLABORATION)
    subscriber = world.subscriber("wf/a")
    connection = subscriber.session.connection
    subscriber.read()
    subscriber.responsive = False
    (source,) = connection.memberships
    runs = [Run(source, offset, 1, (bytes(1 << 20),), 1 << 20, 0, 1) for offset in range(8)]
    connection.deliver(runs)
    assert is_lagging(connection)
    assert sum(map(len, subscriber.transport.writes)) < 2 * FIRST_WINDOW_BYTES
    assert publisher.read().codes == []


def test_requests_are_refused_while_more_than_the_first_fill_the_outbox() -> None:
    world = World(delivery=DeliverySettings(outbox_limit_bytes=1000))
    connection = lagging(world, "wf/none").session.connection
    source = InboxSource("agent:subscriber", lambda *_: None)
    full = [is_full(connection)]
    for _ in range(2):
        connection.enqueue([Run(source, 0, 1, (bytes(1000),), 1000, 0, 1)])
        full.append(is_full(connection))
    assert full == [False, False, True]


def test_history_of_a_stream_that_was_left_is_not_read() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    publisher.publish(0, b"old")
    subscriber = world.subscriber("wf/none")
    (source,) = world.core.streams
    found: list[object] = []
    subscriber.session.connection.read_backfill(source, 0, 0, 1000, found.append)
    assert found == [()]


def test_receivers_that_drain_in_one_turn_share_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    readers = [world.subscriber("wf/*", f"reader-{number}") for number in range(10)]
    publisher = world.peer("flooder")
    streams = 3 * SENT_A_STEP
    for alias in range(streams):
        publisher.open(alias, f"wf/s{alias}", Kind.STATE)
    world.settle()
    for reader in readers:
        reader.forget()
        reader.transport.fill_up()
    for alias in range(streams):
        publisher.publish(alias, b"news")
    world.settle()
    sent: list[int] = []
    write_runs = Connection.write_runs

    def slow(connection: Connection, runs: list[Run]) -> None:
        sent.append(len(runs))
        world.clock.now_ns += round(SLICE_S * 1e9 / 2)
        write_runs(connection, runs)

    monkeypatch.setattr(Connection, "write_runs", slow)
    for reader in readers:
        reader.transport.high_water = 1 << 20
        reader.transport.read_on()
    assert len(sent) == 2
    assert max(sent) <= SENT_A_STEP
    while before := len(sent):
        if not world.clock.turn():
            break
        assert len(sent) - before <= 4
    assert [len(reader.read().arrivals) for reader in readers] == [streams] * 10
    assert not any(reader.session.connection.lagging for reader in readers)


def is_full(connection: Connection) -> bool:
    return connection.queue_full


def is_lagging(connection: Connection) -> bool:
    return connection.lagging


def replays(peer: Peer) -> list[Replay]:
    return [entry for entry in peer.read().log if isinstance(entry, Replay)]


def frame_of(source: Source, offset: int) -> bytes:
    return b"".join(
        write_data(Opcode.MESSAGE, stream=source.id, offset=offset, timestamp_ns=0, meta=b"", payload=(b"",))
    )
