"""CommitGate: stored, then delivered, then acknowledged, in the order of each stream, whichever way it came in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from gateway.connections.inbound.commit_gate import HOLD_BYTES, MAX_WAITING_BYTES, CommitGate
from gateway.errors import Code
from gateway.ids import StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.encoding import Chain
from gateway.protocol.json_message import JsonMessage
from gateway.protocol.message_text import write_message
from gateway.protocol.messages import Kind, Open
from gateway.streams.span import offsets_of
from gateway.streams.stream import Stream
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import EVERY_CODEC, Peer, TextPeer, World
from tests.connections.step_store import StepStore

Publish = Callable[[Peer], None]

SMALL, ALIKE, LARGER = b"x" * 8, b"y" * 20_000, bytes(200_000)
LZ4 = Chain(codec="lz4")


def in_order(*payloads: bytes) -> Publish:
    def publish(peer: Peer) -> None:
        for payload in payloads:
            peer.publish(0, payload, ack=True)

    return publish


def in_a_run(peer: Peer) -> None:
    peer.publish(0, SMALL, ack=True)
    peer.send(*[peer.message(0, SMALL, ack=True) for _ in range(5)])


def in_a_batch(peer: Peer) -> None:
    peer.send(peer.batch(0, [SMALL, SMALL, SMALL], ack=True))


def encoded(peer: Peer) -> None:
    peer.publish(0, LARGER, ack=True, chain=LZ4)


def large(peer: Peer) -> None:
    peer.large(0, bytes(3 * CHUNK_BYTES), ack=True).end()


WAYS: dict[str, tuple[Publish, int]] = {
    "alone": (in_order(SMALL), 1),
    "in a run": (in_a_run, 6),
    "larger frames alike": (in_order(ALIKE, ALIKE, ALIKE), 3),
    "above the size for a thread": (in_order(LARGER, LARGER), 2),
    "record batch": (in_a_batch, 3),
    "encoded": (encoded, 1),
    "large": (large, 1),
}


class Scene:
    """A publisher and a subscriber of a stream that is stored when the test says so."""

    def __init__(self, durability: Durability = Durability.OS, kind: Kind = Kind.EVENT) -> None:
        self.store = StepStore()
        self.world = World(store=self.store, durability=durability)
        self.publisher = self.world.publisher("wf/a", kind=kind)
        self.subscriber = self.world.subscriber("wf/a", codecs=EVERY_CODEC)

    @property
    def stream(self) -> Stream:
        stream = self.world.core.streams.get(StreamName("wf/a"))
        assert stream is not None
        return stream

    def acked(self) -> list[int]:
        return [ack.offset for ack in self.publisher.read().acks]

    def seen(self) -> list[int]:
        self.world.settle()
        return self.subscriber.read().offsets


@pytest.mark.parametrize(("publish", "count"), WAYS.values(), ids=WAYS)
def test_nothing_is_seen_or_acknowledged_before_it_is_stored(publish: Publish, count: int) -> None:
    scene = Scene()
    publish(scene.publisher)
    assert scene.seen() == scene.acked() == []
    assert not scene.world.core.drained
    waiting = len(scene.store.waiting)
    for index in range(waiting):
        scene.store.commit()
        scene.world.settle()
        assert scene.seen()[-1:] == scene.acked()[-1:] == [offsets_of(scene.store.stored[index].entry)[1]]
    assert scene.seen() == list(range(count))
    assert scene.stream.next_offset == scene.stream.history.next_offset == count
    assert {ack.durability for ack in scene.publisher.read().acks} == {Durability.OS}


@pytest.mark.parametrize(("publish", "count"), WAYS.values(), ids=WAYS)
def test_what_cannot_be_stored_is_refused_and_its_offsets_are_given_again(publish: Publish, count: int) -> None:
    scene = Scene()
    publish(scene.publisher)
    scene.store.fail()
    assert scene.seen() == scene.acked() == []
    errors = scene.publisher.read().errors
    assert {error.code for error in errors} == {Code.QUEUE_FULL}
    assert sum(error.count or 0 for error in errors) == count
    assert all("the disk is full" in error.message for error in errors)
    assert scene.stream.next_offset == 0
    scene.publisher.publish(0, SMALL, ack=True)
    scene.store.commit()
    assert scene.seen() == scene.acked() == [0]


def test_what_was_stored_before_a_failure_stays() -> None:
    scene = Scene()
    for _ in range(4):
        scene.publisher.publish(0, SMALL, ack=True)
    scene.store.commit(2)
    scene.store.fail()
    scene.publisher.publish(0, SMALL, ack=True)
    scene.store.commit()
    assert scene.acked() == scene.seen() == [0, 1, 2]
    assert [offsets_of(appended.entry)[0] for appended in scene.store.stored] == [0, 1, 2]


def test_another_stream_does_not_wait() -> None:
    scene = Scene()
    scene.publisher.open(1, "wf/b", Kind.EVENT)
    scene.publisher.publish(0, SMALL, ack=True)
    scene.publisher.publish(1, SMALL, ack=True)
    scene.store.fail()
    scene.store.commit()
    [ack] = scene.publisher.read().acks
    assert (ack.alias, ack.offset) == (1, 0)


def test_a_late_joiner_sees_the_newest_stored_state() -> None:
    scene = Scene(Durability.FSYNC, Kind.STATE)
    for payload in (b"stored", b"coming"):
        scene.publisher.publish(0, payload)
    scene.store.commit()
    late = scene.world.subscriber("wf/a", "late")
    assert [arrival.payload for arrival in late.read().arrivals] == [b"stored"]
    scene.store.commit()
    scene.world.settle()
    assert [arrival.payload for arrival in late.read().arrivals] == [b"stored", b"coming"]


# Producers.


def test_a_repetition_is_acknowledged_when_the_first_is_stored() -> None:
    scene = Scene()
    scene.publisher.produce(1, "wf/a")
    scene.publisher.publish(1, SMALL, ack=True)
    again = scene.world.peer("publisher")
    again.produce(0, "wf/a")
    again.publish(0, SMALL, ack=True)
    assert again.read().acks == []
    scene.store.commit()
    [ack] = again.read().acks
    assert (ack.offset, ack.repeated, ack.durability) == (0, True, Durability.OS)
    assert scene.store.stored[0].origin == (0, 1, 7, 1)
    assert scene.seen() == [0]


@pytest.mark.parametrize("publish", [lambda peer: peer.publish(1, SMALL), lambda peer: peer.large(1, ALIKE).end()])
def test_a_repetition_of_what_could_not_be_stored_is_refused(publish: Publish) -> None:
    scene = Scene()
    scene.publisher.produce(1, "wf/a")
    publish(scene.publisher)
    again = scene.world.peer("again")
    again.produce(0, "wf/a")
    again.publish(0, SMALL, ack=True)
    scene.store.fail()
    third = scene.world.peer("third")
    third.produce(0, "wf/a")
    third.publish(0, SMALL, ack=True)
    for peer in (again, third):
        assert [error.code for error in peer.read().errors] == [Code.QUEUE_FULL]
        assert peer.read().acks == []


# Large messages.


def test_chunks_are_stored_as_they_come() -> None:
    scene = Scene()
    sender = scene.publisher.large(0, bytes(3 * CHUNK_BYTES))
    sender.chunk()
    sender.chunk()
    assert [index for _, index in scene.store.staged] == [0, 1]
    scene.publisher.drop()
    [message] = scene.store.discarded
    assert message is scene.store.staged[0][0]
    assert not scene.store.waiting


# Room.


def test_whoever_publishes_is_not_read_while_much_waits() -> None:
    scene = Scene()
    connection = scene.publisher.session.connection
    held = []
    for scene.store.extra_bytes in (HOLD_BYTES, HOLD_BYTES // 2, 0):
        scene.publisher.publish(0, SMALL, ack=True)
        held.append(connection.reading.held)
        scene.store.commit()
        held.append(connection.reading.held)
    assert held == [True, True, True, True, True, False]
    assert scene.acked() == [0, 1, 2]


@pytest.mark.parametrize(("publish", "count"), WAYS.values(), ids=WAYS)
def test_publishes_are_refused_when_too_much_waits(publish: Publish, count: int) -> None:
    scene = Scene()
    scene.store.extra_bytes = MAX_WAITING_BYTES
    publish(scene.publisher)
    assert set(scene.publisher.read().codes) == {Code.QUEUE_FULL}
    assert not scene.store.waiting
    scene.store.extra_bytes = 0
    scene.publisher.publish(0, SMALL, ack=True)
    scene.store.commit()
    assert scene.acked() == [0]


# What else may be there.


def test_a_stream_in_memory_does_not_know_the_store() -> None:
    store = StepStore()
    world = World(store=store)
    publisher = world.publisher("wf/a")
    publisher.publish(0, SMALL, ack=True)
    [ack] = publisher.read().acks
    assert ack.durability is Durability.MEMORY
    assert not store.waiting


def test_whoever_published_may_be_gone() -> None:
    scene = Scene()
    scene.publisher.publish(0, SMALL, ack=True)
    scene.publisher.drop()
    scene.store.commit()
    assert scene.seen() == [0]


def test_a_delivery_that_fails_costs_nobody_else_anything(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    fanout = scene.world.core.hub.fanouts.of(scene.stream)

    def broken(fanout: object, run: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(type(fanout), "deliver", broken)
        scene.publisher.publish(0, SMALL)
        scene.store.commit()
    scene.publisher.publish(0, SMALL, ack=True)
    scene.store.commit()
    assert scene.acked() == [1]
    assert "ZeroDivisionError" in caplog.text


def test_a_json_publisher_chooses_and_is_told() -> None:
    store = StepStore()
    world = World(store=store)
    peer = TextPeer(world)
    peer.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
    peer.texts()
    tensors = (("", np.zeros(2, np.float32)),)
    for number in (1, 2):
        peer.send(
            write_message(
                JsonMessage("message", id=number, stream="wf/a", durability=Durability.FSYNC, tensors=tensors)
            )
        )
    assert peer.texts() == []
    store.commit()
    [text] = peer.texts()
    assert b'"request":1' in text
    assert b'"durability":"fsync"' in text
    store.fail()
    [error] = peer.texts()
    assert b'"request":2' in error
    peer.send(write_message(JsonMessage("message", id=3, stream="wf/a", durability=Durability.OS, tensors=tensors)))
    [error] = peer.texts()
    assert b"DURABILITY_MISMATCH" in error


# What may be asked for.


@pytest.mark.parametrize(
    ("configured", "asked", "refused"),
    [
        (None, Durability.OS, "start it with --store sqlite:PATH"),
        (None, None, None),
        (None, Durability.MEMORY, None),
        (Durability.MEMORY, Durability.FSYNC, "configured with durability memory, not fsync"),
    ],
)
def test_without_a_store_streams_live_in_memory(
    configured: Durability | None, asked: Durability | None, refused: str | None
) -> None:
    world = World(durability=configured)
    peer = world.peer()
    peer.say(Open(0, "wf/a", Kind.EVENT, asked))
    errors = peer.read().errors
    assert [error.code for error in errors] == ([] if refused is None else [Code.DURABILITY_MISMATCH])
    assert all(refused in error.message for error in errors if refused)


def test_a_stream_keeps_its_durability_and_says_it() -> None:
    world = World(store=StepStore())
    first, second = world.peer("first"), world.peer("second")
    first.say(Open(0, "wf/a", Kind.EVENT, Durability.FSYNC))
    second.say(Open(0, "wf/a", None, Durability.OS), Open(1, "wf/a", None, Durability.FSYNC), Open(2, "wf/a"))
    [error] = second.read().errors
    assert (error.code, error.alias) == (Code.DURABILITY_MISMATCH, 0)
    assert {info.durability for info in second.read().streams.values()} == {Durability.FSYNC}


def test_a_publish_asks_the_store_itself_how_much_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene()
    asked: list[object] = []
    monkeypatch.setattr(CommitGate, "waiting_bytes", property(asked.append))
    in_a_run(scene.publisher)
    while scene.store.waiting:
        scene.store.commit()
    assert scene.seen() == list(range(6))
    assert not asked
