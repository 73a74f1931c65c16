"""End of a stream: all who have it are told, in order, and nothing of it is held any more."""

from __future__ import annotations

import orjson
import pytest

from gateway.connections.hub.stream_end import STEPS_AT_ONCE
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.errors import Code
from gateway.ids import StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import EndReason, Kind, Open, StreamInfo
from gateway.protocol.signals import Abort, Done
from gateway.protocol.views import View
from gateway.streams.history import HistoryLimits
from gateway.streams.stream import Stream
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import FixedPolicy, Peer, TextPeer, World
from tests.connections.step_store import StepStore

A = StreamName("wf/a")


def stream_of(world: World, name: StreamName = A) -> Stream:
    stream = world.core.streams.get(name)
    assert stream is not None
    return stream


def end(world: World, name: StreamName = A) -> Stream:
    """End a stream, and let everything settle."""
    stream = stream_of(world, name)
    world.core.hub.end(stream, EndReason.DELETED)
    world.settle()
    return stream


def told(peer: Peer) -> list[tuple[str, int | None, str | None]]:
    """Name, offset and reason of the streams that a peer knows to have ended."""
    return [(info.stream, info.offset, info.ended) for info in peer.read().ended]


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.EVENT])
@pytest.mark.parametrize("pattern", ["wf/a", "wf/*"])
def test_receivers_get_what_was_published_before_then_the_end_and_then_the_next_stream(
    kind: Kind, pattern: str
) -> None:
    world = World()
    publisher, receiver = world.publisher(A, kind=kind), world.subscriber(pattern)
    publisher.publish(0, b"first")
    world.core.hub.end(stream_of(world), EndReason.DELETED)
    publisher.open(1, A, kind)
    publisher.publish(1, b"second")
    world.settle()
    log = receiver.read().log
    first, second = [entry for entry in log if isinstance(entry, StreamInfo) and not entry.ended]
    assert told(receiver) == [(A, 1, "deleted")]
    ((end_of_first),) = receiver.read().ended
    assert (end_of_first.id, end_of_first.epoch) == (first.id, first.epoch)
    assert second.id != first.id
    assert (second.epoch or 0) > (first.epoch or 0)
    assert second.since == 0
    assert [arrival.payload for arrival in receiver.read().arrivals] == [b"first", b"second"]
    assert [arrival.stream for arrival in receiver.read().arrivals] == [first.id, second.id]


def test_a_publisher_is_told_and_its_next_message_is_refused_until_it_opens_the_stream_again() -> None:
    world = World()
    publisher = world.publisher(A)
    publisher.publish(0, b"x", ack=True)
    world.settle()
    publisher.forget()
    end(world)
    (error,) = publisher.news().errors
    assert (error.code, error.alias, error.stream, error.sequence) == (Code.STREAM_ENDED, 0, A, None)
    publisher.publish(0, b"y", ack=True)
    world.settle()
    (refused,) = publisher.news().errors
    assert (refused.code, refused.alias, refused.sequence) == (Code.STREAM_ENDED, 0, 2)
    assert not publisher.reader.acks
    publisher.open(0, A, Kind.EVENT)
    publisher.publish(0, b"z", ack=True)
    world.settle()
    assert [(ack.alias, ack.offset) for ack in publisher.news().acks] == [(0, 0)]
    assert not publisher.reader.errors


def test_a_publisher_that_does_not_read_its_answers_is_not_told() -> None:
    world = World()
    publisher = world.publisher(A)
    publisher.session.connection.pause_writing()
    end(world)
    assert not publisher.read().errors


def test_messages_of_the_same_turn_are_refused_however_many_publishers_there_are() -> None:
    world = World()
    publishers = [world.publisher(A) for _ in range(3 * STEPS_AT_ONCE)]
    for publisher in publishers:
        publisher.publish(0, b"x")  # the next ones are alike: they take the short way
    world.settle()
    for publisher in publishers:
        publisher.forget()
    world.core.hub.end(stream_of(world), EndReason.DELETED)
    assert sum(bool(publisher.read().errors) for publisher in publishers) == STEPS_AT_ONCE
    for publisher in publishers:
        publisher.publish(0, b"y", ack=True)
    for publisher in publishers:
        assert not publisher.read().acks
        assert {error.code for error in publisher.read().errors} == {Code.STREAM_ENDED}
    world.settle()
    for publisher in publishers:
        assert not publisher.session.connection.closed
        assert len([error for error in publisher.read().errors if error.sequence is None]) == 1
    assert not world.core.hub.unused


def test_receivers_are_told_in_slices_and_may_leave_meanwhile() -> None:
    world = World()
    publisher = world.publisher(A)
    receivers = [world.subscriber("wf/*", client_id=f"c{number}") for number in range(4 * STEPS_AT_ONCE)]
    publisher.publish(0, b"x")
    world.settle()
    stream = stream_of(world)
    world.core.hub.end(stream, EndReason.DELETED)
    assert 0 < sum(bool(told(receiver)) for receiver in receivers) < len(receivers)
    receivers[-1].drop()
    receivers[-2].unsubscribe(1)
    publisher.open(1, A, Kind.EVENT)
    publisher.publish(1, b"y")
    world.settle()
    for receiver in receivers[:-2]:
        assert told(receiver) == [(A, 1, "deleted")]
        assert [arrival.payload for arrival in receiver.read().arrivals] == [b"x", b"y"]
    assert [arrival.payload for arrival in receivers[-2].read().arrivals] == [b"x"]
    assert stream not in [fanout.source for fanout in world.core.hub.fanouts]


def test_views_and_observers_are_told_by_their_own_ids() -> None:
    world = World()
    publisher = world.publisher(A)
    publisher.open(1, "wf/tasks", Kind.COLLABORATION)
    viewer, observer = world.peer("viewer"), world.peer("observer")
    viewer.subscribe("wf/a", view=View(dtype="float32"))
    observer.subscribe("wf/tasks", observe=True)
    publisher.publish(0, b"x")
    publisher.publish(1, b"x")
    world.settle()
    for peer, name in ((viewer, A), (observer, StreamName("wf/tasks"))):
        (announced,) = [entry for entry in peer.news().log if isinstance(entry, StreamInfo)] or [
            peer.reader.streams[peer.reader.stream_id(name)]
        ]
        stream = end(world, name)
        (ended,) = peer.read().ended
        assert (ended.id, ended.stream, ended.epoch, ended.kind) == (announced.id, name, stream.epoch, stream.kind)
        assert ended.id != stream.id
    assert len(world.core.hub.views) == 0
    assert not list(world.core.hub.observations)
    assert not viewer.transport.late


def test_unacknowledged_messages_are_given_up_and_no_dead_letters() -> None:
    world = World()
    publisher = world.publisher("wf/tasks", kind=Kind.COLLABORATION)
    worker, away = world.peer("worker"), world.peer("away")
    for peer in (worker, away):
        peer.subscribe("wf/tasks")
    publisher.publish(0, b"one", ack=True)
    publisher.publish(0, b"two", ack=True)
    world.settle()
    away.drop()
    stream = end(world, StreamName("wf/tasks"))
    assert told(worker) == [("wf/tasks", 2, "deleted")]
    worker.send(Done(stream.id, 0, 0, 1).write())  # late
    world.settle()
    assert not worker.read().errors
    assert [stream.name for stream in world.core.streams] == []
    publisher.open(1, "wf/tasks", Kind.COLLABORATION)
    publisher.publish(1, b"three")
    world.settle()
    assert [arrival.payload for arrival in worker.read().arrivals] == [b"one", b"two", b"three"]
    # One that is waited for gets the messages of the next stream, from its first on.
    away = world.peer("away")
    away.subscribe("wf/tasks")
    world.settle()
    assert [arrival.payload for arrival in away.read().arrivals] == [b"three"]


def test_acknowledgements_that_are_held_back_are_sent() -> None:
    world = World(delivery=DeliverySettings(outbox_limit_bytes=4096))
    publisher, receiver = world.publisher(A), world.subscriber("wf/a")
    receiver.transport.stalled = True
    for _ in range(8):
        publisher.publish(0, bytes(4096), ack=True)
        world.settle()
    acknowledged = len(publisher.read().acks)
    assert acknowledged < 8
    end(world)
    assert len(publisher.read().acks) == 8
    assert publisher.read().errors[0].code == Code.STREAM_ENDED


def test_a_slow_receiver_is_told_in_its_turn_and_gets_nothing_more() -> None:
    world = World()
    publisher, receiver = world.publisher(A), world.subscriber("wf/a")
    publisher.open(1, "wf/b", Kind.EVENT)
    receiver.transport.stalled = True
    receiver.session.connection.pause_writing()
    for _ in range(3):
        publisher.publish(0, b"x")
    large = publisher.large(0, bytes(3 * CHUNK_BYTES))
    large.end()
    world.settle()
    end(world)
    assert told(receiver) == []
    outbox = receiver.session.connection.outbox
    assert outbox is not None
    assert outbox.waiting_bytes == 0
    receiver.transport.stalled = False
    receiver.session.connection.resume_writing()
    assert told(receiver) == [(A, 4, "deleted")]
    assert not receiver.read().arrivals
    assert not receiver.session.connection.lagging


def test_a_receiver_of_very_many_streams_that_reads_nothing_is_not_closed_by_their_ends() -> None:
    world = World(delivery=DeliverySettings(urgent_limit_bytes=1024))
    names = [StreamName(f"wf/{number}") for number in range(100)]
    world.publisher(*names)
    receiver = world.subscriber("wf/*")
    world.settle()
    receiver.session.connection.pause_writing()
    for name in names:
        end(world, name)
    assert not receiver.session.connection.closed
    receiver.session.connection.resume_writing()
    assert [name for name, _, _ in told(receiver)] == names


@pytest.mark.parametrize("lagging", [False, True])
def test_a_large_message_under_way_ends_on_both_sides(lagging: bool) -> None:
    world = World()
    publisher, receiver = world.publisher(A), world.subscriber("wf/a")
    large = publisher.large(0, bytes(4 * CHUNK_BYTES), ack=True)
    large.chunk()
    large.chunk()
    assert receiver.read().transfers
    if lagging:
        receiver.session.connection.pause_writing()
        large.chunk()
    end(world)
    receiver.session.connection.resume_writing()
    assert not receiver.read().transfers
    (aborted,) = [entry for entry in receiver.read().log if isinstance(entry, Abort)]
    assert aborted.code == Code.STREAM_ENDED
    assert told(receiver) == [(A, 0, "deleted")]
    refused, released = publisher.read().errors
    assert (refused.code, refused.alias, refused.sequence, refused.transfer) == (Code.STREAM_ENDED, 0, 1, 1)
    assert (released.code, released.alias, released.stream) == (Code.STREAM_ENDED, 0, A)
    large.end()  # late: it is skipped
    assert len(publisher.read().errors) == 2
    assert not publisher.session.transfers


def test_a_complete_large_message_on_its_way_to_a_slow_receiver_is_aborted() -> None:
    world = World()
    publisher, receiver = world.publisher(A), world.subscriber("wf/a")
    large = publisher.large(0, bytes(4 * CHUNK_BYTES), ack=True)
    large.chunk()
    receiver.read()
    receiver.session.connection.pause_writing()
    large.end()
    world.settle()
    assert publisher.read().acks
    end(world)
    receiver.session.connection.resume_writing()
    assert not receiver.read().transfers
    assert told(receiver) == [(A, 1, "deleted")]


def test_an_upload_that_waits_for_its_producer_is_given_up() -> None:
    world = World()
    publisher = world.peer("publisher")
    publisher.produce(0, A)
    publisher.large(0, bytes(4 * CHUNK_BYTES)).chunk()
    publisher.drop()
    end(world)
    assert world.core.drained
    again = world.peer("publisher")
    again.produce(0, A)
    large = again.large(0, bytes(4 * CHUNK_BYTES), ack=True, resuming=True)
    assert [resume.index for resume in again.read().resumes] == [0]
    large.end()
    world.settle()
    assert [ack.offset for ack in again.read().acks] == [0]


def test_a_producer_begins_anew() -> None:
    world = World()
    publisher = world.peer("publisher")
    publisher.produce(0, A)
    publisher.publish(0, b"x", ack=True)
    world.settle()
    end(world)
    assert len(world.core.producers) == 0
    publisher.produce(1, A, sequence=1)
    publisher.publish(1, b"x", ack=True)
    world.settle()
    assert [(ack.alias, ack.offset, ack.repeated) for ack in publisher.read().acks] == [(0, 0, False), (1, 0, False)]
    publisher.drop()
    world.settle()
    assert len(world.core.producers) == 1


def test_messages_that_wait_to_be_stored_are_refused_in_their_order_and_never_delivered() -> None:
    store = StepStore()
    world = World(store=store, durability=Durability.OS)
    publisher, receiver = world.publisher(A), world.subscriber("wf/a")
    for payload in (b"one", b"two", b"three"):
        publisher.publish(0, payload, ack=True)
    store.commit()
    world.settle()
    publisher.forget()
    ended: list[Exception | None] = []
    world.core.hub.end(stream_of(world), EndReason.DELETED, ended.append)
    publisher.publish(0, b"four", ack=True)
    world.settle()
    assert ended == []  # it is not stored yet
    assert [error.sequence for error in publisher.news().errors] == [2, 3, None, 4]
    assert told(receiver) == [(A, 1, "deleted")]
    publisher.open(1, A)
    publisher.publish(1, b"five", ack=True)
    store.commit(2)  # of the stream that has ended: nobody waits for it any more
    store.forgetting.pop()(None)
    assert ended == [None]
    store.commit()
    world.settle()
    assert [(ack.alias, ack.offset) for ack in publisher.news().acks] == [(1, 0)]
    assert [arrival.payload for arrival in receiver.read().arrivals] == [b"one", b"five"]
    assert world.core.gate.idle


def test_a_large_message_that_waits_to_be_stored_ends_with_abort() -> None:
    store = StepStore()
    world = World(store=store, durability=Durability.OS)
    publisher, receiver = world.publisher(A), world.subscriber("wf/a")
    publisher.large(0, bytes(2 * CHUNK_BYTES), ack=True).end()
    world.settle()
    assert receiver.read().transfers
    end(world)
    assert not receiver.read().transfers
    assert [error.code for error in publisher.read().errors] == [Code.STREAM_ENDED] * 2
    store.commit()
    assert not publisher.read().acks


def test_history_and_memory_are_given_back() -> None:
    policy = FixedPolicy()
    world = World(policy, history=HistoryLimits())
    publisher = world.publisher(A)
    for _ in range(100):
        publisher.publish(0, bytes(16 * 1024))
    world.settle()
    assert world.core.streams.budget.held_bytes > 0
    stream = end(world)
    assert world.core.streams.budget.held_bytes == 0
    assert not world.core.streams.budget.holders
    assert policy.forgotten == [stream.id]
    late = world.subscriber("wf/a", since="beginning")
    world.publisher(A)
    world.settle()
    assert not late.read().arrivals
    assert not late.read().gaps


def test_json_clients_are_told_and_go_on_publishing_without_a_word() -> None:
    world = World()
    peer = TextPeer(world)
    peer.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
    peer.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/*"}}')
    message = '{"id":%d,"message_type":"message","stream":"wf/a","kind":"event","payload":null}'
    peer.send(message % 2)
    world.settle()
    peer.texts()
    stream = end(world)
    peer.send(message % 3)
    world.settle()
    texts = [orjson.loads(text) for text in peer.texts()]
    assert [text["message_type"] for text in texts] == ["stream", "stream", "ack", "message"]
    ended, begun, ack, again = texts
    assert (ended["payload"]["id"], ended["payload"]["ended"]) == (stream.id, "deleted")
    assert "ended" not in begun["payload"]
    assert (ack["payload"]["request"], ack["payload"]["offset"]) == (3, 0)
    assert again["epoch"] > stream.epoch


def test_a_second_stream_of_the_name_may_end_while_receivers_of_the_first_are_still_told() -> None:
    world = World()
    publisher = world.publisher(A)
    receivers = [world.subscriber("wf/*", client_id=f"c{number}") for number in range(3 * STEPS_AT_ONCE)]
    for alias in (1, 2):
        world.core.hub.end(stream_of(world), EndReason.DELETED)
        publisher.say(Open(alias, A, Kind.EVENT))
    world.settle()
    for receiver in receivers:
        assert len(told(receiver)) == 2
        assert list(receiver.read().streams) == [stream_of(world).id]


def test_a_subscription_that_was_taken_back_meanwhile_leaves_no_counts() -> None:
    world = World()
    publisher = world.publisher(A)
    receivers = [world.subscriber(A, f"receiver-{number}") for number in range(2 * STEPS_AT_ONCE)]
    publisher.publish(0, b"x")
    world.settle()
    world.core.hub.end(stream_of(world), EndReason.DELETED)
    last = receivers[-1]
    last.unsubscribe(1)
    world.settle()
    last.subscribe(A, 1)
    publisher.open(1, A, Kind.EVENT)
    world.settle()
    stream = stream_of(world)
    found = last.session.connection.accounts.find(stream.id, 1)
    assert found is not None
    assert found[1].delivered == 0
