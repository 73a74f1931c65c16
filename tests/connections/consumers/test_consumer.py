"""One client's place in a stream: what it gets, gets again, and does not get."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.connections.consumers.consumer import Consumer
from gateway.connections.consumers.consumer_fanout import ConsumerFanout
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.errors import Code
from gateway.ids import ClientId, StreamName
from gateway.protocol.data import write_data
from gateway.protocol.extensions import Extensions
from gateway.protocol.messages import Credits, Kind
from gateway.protocol.meta import write_meta
from gateway.protocol.signals import Done, Gap, Replay
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import Opcode
from gateway.streams.rules import StreamConfig
from tests.connections.frames import BYTE, CHUNK_BYTES, START_NS
from tests.connections.memory import Peer, World
from tests.connections.reader import Arrival

STREAM = "wf/tasks"


def pair(
    kind: Kind = Kind.COLLABORATION, credits: Credits | None = None, **settings: float
) -> tuple[World, Peer, Peer]:
    """A world, a publisher and a worker that subscribes."""
    world = World(consumers=ConsumerSettings(**settings))  # type: ignore[arg-type]
    publisher = world.publisher(STREAM, kind=kind)
    worker = world.peer("worker")
    worker.subscribe(STREAM, credits=credits)
    worker.forget()
    return world, publisher, worker


def publish(world: World, publisher: Peer, *payloads: bytes) -> None:
    publisher.send(*[publisher.message(0, payload) for payload in payloads])
    world.settle()


def publish_timed(world: World, publisher: Peer, payload: bytes, expires_in_s: float) -> None:
    publisher.sequences[0] += 1
    publisher.send(
        write_data(
            Opcode.MESSAGE,
            stream=0,
            offset=publisher.sequences[0],
            timestamp_ns=START_NS,
            meta=write_meta([TensorSpec("", BYTE, (len(payload),))], None),
            payload=(payload,),
            extensions=Extensions(deadline_ns=world.clock.now_ns + round(expires_in_s * 1e9)),
        )
    )
    world.settle()


def consumer_of(world: World, client_id: str = "worker") -> Consumer:
    stream = world.core.streams.get(StreamName(STREAM))
    assert stream is not None
    fanout = world.core.hub.fanouts.of(stream)
    assert isinstance(fanout, ConsumerFanout)
    return fanout.consumers[ClientId(client_id)]


def back(world: World, client_id: str = "worker", credits: Credits | None = None, instance: int | None = None) -> Peer:
    """The client on a new connection."""
    peer = world.peer(client_id, instance=instance)
    peer.subscribe(STREAM, credits=credits)
    world.settle()
    return peer


def sequence_of(peer: Peer) -> list[str]:
    """What has come, in order."""
    found = []
    for entry in peer.read().log:
        if isinstance(entry, Arrival):
            found.append(f"message {entry.offset}")
        elif isinstance(entry, Replay):
            assert entry.code == Code.NOT_PROCESSED
            found.append(f"replay {entry.first}-{entry.last}")
        elif isinstance(entry, Gap):
            found.append(f"gap {entry.first}-{entry.last} {entry.code}")
    return found


def test_what_is_not_acknowledged_comes_again_before_what_is_new() -> None:
    world, publisher, worker = pair()
    publish(world, publisher, b"a", b"b", b"c")
    worker.done(STREAM, 1)
    worker.drop()
    publish(world, publisher, b"d")
    assert sequence_of(back(world)) == ["replay 0-0", "message 0", "replay 2-2", "message 2", "message 3"]


def test_nothing_comes_again_that_was_acknowledged() -> None:
    world, publisher, worker = pair()
    publish(world, publisher, b"a", b"b")
    worker.done(STREAM, 0, 2**63)
    worker.drop()
    assert sequence_of(back(world)) == []
    assert consumer_of(world).pending == 0


def test_stream_says_which_offset_comes_first() -> None:
    world, publisher, worker = pair()
    publish(world, publisher, b"a", b"b", b"c")
    worker.done(STREAM, 0)
    worker.drop()
    again = back(world)
    assert again.read().streams[again.reader.stream_id(STREAM)].since == 1


def test_what_is_not_processed_comes_again_and_is_given_up_after_some_tries() -> None:
    world, publisher, worker = pair(max_tries=3)
    publish(world, publisher, b"a", b"b")
    for _ in range(3):
        worker.done(STREAM, 0, code=Code.NOT_PROCESSED)
        world.settle()
    assert sequence_of(worker) == ["message 0", "message 1", "replay 0-0", "message 0", "replay 0-0", "message 0"]
    consumer = consumer_of(world)
    assert (consumer.delivered, consumer.redelivered, consumer.dropped, consumer.pending) == (2, 2, 1, 1)
    assert consumer.dead_lettered == 1
    (notice,) = publisher.read().notices
    assert (notice.code, notice.first, notice.last, notice.client_id) == (Code.DEAD_LETTER, 0, 0, "worker")
    assert notice.reason == "refused (NOT_PROCESSED)"


def test_what_the_receiver_is_at_for_too_long_comes_again() -> None:
    world, publisher, worker = pair(ack_timeout_s=10.0, max_tries=2)
    publish(world, publisher, b"a", b"b")
    world.pass_time(9.0)
    assert sequence_of(worker) == ["message 0", "message 1"]
    world.pass_time(4.0)
    assert sequence_of(worker)[2:] == ["replay 0-0", "message 0"]
    world.pass_time(14.0)
    world.settle()
    assert [notice.reason for notice in publisher.read().notices] == ["not acknowledged within 10 s"]
    # Now the receiver is taken to be at the next one.
    world.pass_time(14.0)
    assert sequence_of(worker)[4:] == ["replay 1-1", "message 1"]


def test_what_is_processed_late_is_not_sent_again() -> None:
    world, publisher, worker = pair(credits=Credits(2, 1000), ack_timeout_s=10.0)
    publish(world, publisher, b"a", b"b")
    # Too long at it, and without credit for it to be sent again.
    world.pass_time(14.0)
    worker.done(STREAM, 0)
    worker.grant(1, 10, 1000)
    world.settle()
    assert sequence_of(worker) == ["message 0", "message 1"]
    assert consumer_of(world).pending == 1


def test_a_slow_worker_that_goes_on_is_left_in_peace() -> None:
    world, publisher, worker = pair(ack_timeout_s=10.0)
    publish(world, publisher, *[bytes([n]) for n in range(20)])
    for offset in range(20):
        world.pass_time(8.0)
        worker.done(STREAM, offset)
    assert sequence_of(worker) == [f"message {offset}" for offset in range(20)]


def test_a_receiver_that_does_not_keep_up_reading_is_not_at_anything() -> None:
    world, publisher, worker = pair(ack_timeout_s=10.0)
    publish(world, publisher, b"a")
    worker.transport.fill_up()
    world.pass_time(60.0)
    worker.transport.read_on()
    assert sequence_of(worker) == ["message 0"]


def test_a_lost_connection_counts_for_what_it_was_at_alone() -> None:
    world, publisher, worker = pair(max_tries=2)
    publish(world, publisher, b"poison", b"good")
    worker.drop()
    worker = back(world)
    worker.drop()
    worker = back(world)
    world.settle()
    assert sequence_of(worker) == ["replay 1-1", "message 1"]
    assert [(notice.first, notice.last) for notice in publisher.read().notices] == [(0, 0)]


def test_a_lost_connection_does_not_count_if_the_same_client_comes_back() -> None:
    world, publisher, worker = pair(max_tries=2)
    publish(world, publisher, b"long")
    for _ in range(10):
        worker.drop()
        worker = back(world, instance=77)
    assert sequence_of(worker) == ["replay 0-0", "message 0"]
    worker.drop()
    worker = back(world, instance=77)
    worker.done(STREAM, 0)
    world.settle()
    assert not publisher.read().notices
    assert consumer_of(world).pending == 0


def test_every_restart_of_the_program_counts() -> None:
    world, publisher, worker = pair(max_tries=3)
    publish(world, publisher, b"poison", b"good")
    for instance in range(2):
        worker.drop()
        worker = back(world, instance=instance)
        assert sequence_of(worker) == ["replay 0-1", "message 0", "message 1"]
    worker.drop()
    world.settle()
    assert not publisher.read().notices
    worker = back(world, instance=2)
    world.settle()
    assert sequence_of(worker) == ["replay 1-1", "message 1"]
    (notice,) = publisher.read().notices
    assert (notice.first, notice.reason) == (0, "worker lost its connection 3 times while it worked on it")


def test_a_restart_does_not_count_for_what_was_answered_on_another_connection() -> None:
    world, publisher, worker = pair(max_tries=1)
    publish(world, publisher, b"a", b"b")
    worker.drop()
    other = world.peer("worker", instance=1)
    other.subscribe("wf/other")
    other.send(Done(worker.read().stream_id(STREAM), 0, 0, 0).write())
    worker = back(world, instance=2)
    assert sequence_of(worker) == ["replay 1-1", "message 1"]
    assert not publisher.read().notices


def test_a_takeover_counts_for_what_the_older_program_was_at() -> None:
    world, publisher, first = pair(max_tries=1)
    publish(world, publisher, b"poison", b"good")
    second = back(world, instance=2)
    assert first.close_code() == Code.SUPERSEDED
    assert sequence_of(first) == ["message 0", "message 1"]
    assert sequence_of(second) == ["replay 1-1", "message 1"]
    assert [notice.first for notice in publisher.read().notices] == [0]


def test_a_reconnect_over_a_connection_that_is_not_known_to_be_lost_counts_for_nothing() -> None:
    world, publisher, _ = pair(max_tries=1)
    worker = back(world, instance=7)
    publish(world, publisher, b"a", b"b")
    again = back(world, instance=7)
    assert worker.close_code() == Code.RECONNECTED
    publish(world, publisher, b"c")
    assert sequence_of(worker) == ["message 0", "message 1"]
    assert sequence_of(again) == ["replay 0-1", "message 0", "message 1", "message 2"]
    assert not publisher.read().notices


def test_work_in_progress_is_neither_sent_again_nor_given_up() -> None:
    world, publisher, worker = pair(ack_timeout_s=10.0, max_tries=1)
    publish(world, publisher, b"long", b"next")
    for _ in range(20):
        world.pass_time(9.0)
        worker.in_progress(STREAM, 0)
    assert sequence_of(worker) == ["message 0", "message 1"]
    worker.done(STREAM, 0, 1)
    world.pass_time(30.0)
    assert not publisher.read().notices
    assert (consumer_of(world).pending, consumer_of(world).redelivered) == (0, 0)


def test_reports_on_what_is_not_under_way_have_no_effect() -> None:
    world, publisher, worker = pair(ack_timeout_s=10.0, max_tries=1)
    publish(world, publisher, b"a")
    worker.in_progress(STREAM, 5, 2**63)
    worker.in_progress(STREAM, 1, 0)
    world.pass_time(20.0)
    assert [notice.first for notice in publisher.read().notices] == [0]


def test_a_client_that_is_too_busy_to_answer_has_not_failed() -> None:
    world, publisher, worker = pair(ack_timeout_s=1.0, max_tries=1)
    publish(world, publisher, b"computes without a break")
    worker.responsive = False
    world.pass_time(40.0)
    worker.in_progress(STREAM, 0)
    worker.responsive = True
    world.pass_time(0.5)
    worker.done(STREAM, 0)
    world.pass_time(5.0)
    assert not publisher.read().notices
    assert sequence_of(worker) == ["message 0"]


def test_times_and_tries_are_those_of_the_stream() -> None:
    config = StreamConfig(ack_timeout_s=1.0, max_tries=1, consumer_ttl_s=5.0)
    world = World(rules=[("wf/*", config)])
    publisher = world.publisher(STREAM, kind=Kind.COLLABORATION)
    worker = world.peer("worker")
    worker.subscribe(STREAM)
    publish(world, publisher, b"a", b"b")
    world.pass_time(2.0)
    world.settle()
    worker.drop()
    world.pass_time(6.0)
    world.settle()
    reasons = [notice.reason for notice in publisher.read().notices]
    assert reasons == ["not acknowledged within 1 s", "worker has not come back within 5 s"]


def test_who_does_not_come_back_leaves_dead_letters() -> None:
    world, publisher, worker = pair(consumer_ttl_s=100.0)
    publish(world, publisher, b"a", b"b")
    worker.drop()
    publish(world, publisher, b"c")
    world.pass_time(99.0)
    assert not publisher.read().notices
    world.pass_time(2.0)
    world.settle()
    (notice,) = publisher.read().notices
    assert (notice.first, notice.last, notice.reason) == (0, 2, "worker has not come back within 100 s")
    publish(world, publisher, b"d")
    assert sequence_of(back(world)) == []


def test_who_unsubscribes_gives_up_what_it_has_not_acknowledged() -> None:
    world, publisher, worker = pair()
    publish(world, publisher, b"a", b"b")
    worker.unsubscribe(1)
    publish(world, publisher, b"c")
    assert not publisher.read().notices
    assert sequence_of(back(world)) == []


def test_who_unsubscribes_to_come_back_gets_it_again() -> None:
    world, publisher, worker = pair()
    publish(world, publisher, b"a", b"b")
    worker.done(STREAM, 0)
    worker.unsubscribe(1, keep=True)
    publish(world, publisher, b"c")
    worker.forget()
    worker.subscribe(STREAM)
    world.settle()
    assert sequence_of(worker) == ["replay 1-1", "message 1", "message 2"]


def test_what_has_expired_before_it_was_sent_is_told_to_both_ends() -> None:
    world, publisher, worker = pair(credits=Credits(1, 1000))
    publish(world, publisher, b"a")
    for payload in (b"b", b"c"):
        publish_timed(world, publisher, payload, 5.0)
    publish(world, publisher, b"d")
    world.pass_time(7.0)
    assert sequence_of(worker) == ["message 0", f"gap 1-2 {int(Code.EXPIRED)}"]
    (notice,) = publisher.read().notices
    assert (notice.code, notice.first, notice.last, notice.client_id) == (Code.EXPIRED, 1, 2, "worker")
    worker.grant(1, 10, 1000)
    world.settle()
    assert sequence_of(worker)[2:] == ["message 3"]
    assert consumer_of(world).expired == 2


def test_what_was_sent_in_time_does_not_expire_but_is_not_sent_again_late() -> None:
    world, publisher, worker = pair()
    publish_timed(world, publisher, b"a", 5.0)
    publish_timed(world, publisher, b"b", 5.0)
    world.pass_time(7.0)
    worker.done(STREAM, 0)
    worker.done(STREAM, 1, code=Code.NOT_PROCESSED)
    world.settle()
    assert sequence_of(worker) == ["message 0", "message 1", f"gap 1-1 {int(Code.EXPIRED)}"]


def test_who_is_away_is_told_of_the_gap_when_it_returns() -> None:
    world, publisher, worker = pair()
    worker.drop()
    publish_timed(world, publisher, b"a", 5.0)
    world.pass_time(7.0)
    assert [notice.code for notice in publisher.read().notices] == [Code.EXPIRED]
    assert sequence_of(back(world)) == [f"gap 0-0 {int(Code.EXPIRED)}"]


def test_no_more_is_under_way_than_was_granted() -> None:
    world, publisher, worker = pair(credits=Credits(3, 100))
    publish(world, publisher, *[bytes(40) for _ in range(6)])
    assert sequence_of(worker) == ["message 0", "message 1"]
    worker.done(STREAM, 0, 1)
    world.settle()
    assert sequence_of(worker)[2:] == ["message 2"]
    worker.done(STREAM, 2)
    worker.grant(1, 2, 120)
    world.settle()
    assert sequence_of(worker)[3:] == ["message 3", "message 4"]


def test_a_message_larger_than_the_grant_comes_alone() -> None:
    world, publisher, worker = pair(credits=Credits(10, 100))
    publish(world, publisher, bytes(50), bytes(500), bytes(1))
    assert sequence_of(worker) == ["message 0"]
    worker.done(STREAM, 0)
    world.settle()
    assert sequence_of(worker)[1:] == ["message 1"]
    worker.done(STREAM, 1)
    worker.grant(1, 0, 451)
    world.settle()
    assert sequence_of(worker)[2:] == ["message 2"]


def test_a_message_takes_credit_of_every_subscription_that_it_is_for() -> None:
    world, publisher, worker = pair(credits=Credits(10, 1000))
    second = worker.subscribe("wf/*", credits=Credits(1, 1000))
    publish(world, publisher, b"a", b"b")
    assert sequence_of(worker) == ["message 0"]
    worker.unsubscribe(second)
    world.settle()
    assert sequence_of(worker)[1:] == ["message 1"]


def test_a_record_batch_is_acknowledged_as_one() -> None:
    world, publisher, worker = pair(credits=Credits(1, 1000))
    publisher.send(publisher.batch(0, [b"r1", b"r2", b"r3"]), publisher.message(0, b"next"))
    world.settle()
    assert worker.read().offsets == [0, 1, 2]
    worker.grant(1, 1, 0)
    worker.done(STREAM, 0, 1)
    world.settle()
    assert consumer_of(world).pending == 2
    worker.done(STREAM, 0, 2)
    assert consumer_of(world).pending == 1


@pytest.mark.parametrize("first", [0, 5])
def test_answers_that_mean_nothing_are_skipped(first: int) -> None:
    world, publisher, worker = pair()
    publish(world, publisher, b"a")
    worker.done(STREAM, first, 2**64 - 1)
    worker.done(STREAM, 2**64 - 1, 0)
    worker.done(STREAM, 0, code=Code.NOT_PROCESSED)
    world.settle()
    assert not worker.read().errors
    assert consumer_of(world).pending == (0 if first == 0 else 1)


def test_a_receiver_of_commands_may_have_so_many_pending() -> None:
    world, publisher, worker = pair(Kind.CONTROL, max_pending_commands=3)
    publish(world, publisher, b"a", b"b", b"c")
    worker.done(STREAM, 0)
    publish(world, publisher, b"d")
    assert worker.close_code() is None
    publish(world, publisher, b"e")
    assert worker.close_code() == Code.SLOW_CONSUMER
    worker.drop()
    again = back(world)
    # As many as may be pending, and it is not closed for what has piled up while it was away.
    assert sequence_of(again) == ["replay 1-3", "message 1", "message 2", "message 3"]
    publish(world, publisher, b"f")
    assert again.close_code() is None
    again.done(STREAM, 1, 3)
    world.settle()
    assert again.read().offsets == [1, 2, 3, 4, 5]
    publish(world, publisher, b"g", b"h")
    assert again.close_code() == Code.SLOW_CONSUMER


def test_commands_need_no_credit() -> None:
    world, publisher, worker = pair(Kind.CONTROL, credits=Credits(1, 1))
    publish(world, publisher, b"abc", b"def")
    assert worker.read().offsets == [0, 1]


def test_a_large_message_comes_when_it_is_whole_and_again_if_need_be() -> None:
    world, publisher, worker = pair()
    payload = np.random.default_rng(1).bytes(3 * CHUNK_BYTES)
    large = publisher.large(0, payload)
    large.chunk()
    world.settle()
    assert not worker.read().received_chunks
    large.end()
    publish(world, publisher, b"behind")
    assert worker.read().offsets == [0, 1]
    worker.drop()
    again = back(world)
    assert [arrival.payload for arrival in again.read().arrivals] == [payload, b"behind"]
    assert sequence_of(again) == ["replay 0-0", "message 0", "replay 1-1", "message 1"]
