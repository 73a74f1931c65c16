"""Payloads are given back right when their last holder has gone, by counting references: the cycle collector is off.

Each case has peers publish, receive and vanish, and then counts the memory that Python has allocated.
"""

from __future__ import annotations

import base64
import gc
import tracemalloc
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from gateway.connections.consumers.settings import ConsumerSettings
from gateway.ids import StreamName
from gateway.protocol.encoding import Chain
from gateway.protocol.messages import EndReason, Kind
from gateway.protocol.signals import Abort
from gateway.protocol.views import View
from gateway.streams.history import KEEP_NOTHING
from gateway.streams.rules import StreamConfig
from tests.collector import memory_traced
from tests.connections import patches
from tests.connections.asking import ask, ask_large, reply
from tests.connections.memory import EVERY_CODEC, FixedPolicy, Peer, World
from tests.connections.patches import PATCH_CODECS
from tests.connections.text_messages import message, person

PAYLOAD_BYTES = 256 * 1024
NOISE_BYTES = PAYLOAD_BYTES // 4
"""Memory that the objects of a case may still take: counters, names, caches."""

ZSTD = Chain(codec="zstd")
STREAM = "wf/field"
EVERY_KIND = pytest.mark.parametrize("kind", list(Kind))

Case = Callable[[World], object]


def payload(step: int = 0) -> bytes:
    """A payload that compresses, to something."""
    return np.random.default_rng(step).integers(0, 4, PAYLOAD_BYTES, np.uint8).tobytes()


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    with memory_traced():
        yield


def check(case: Case, world: World | None = None) -> None:
    """Run a case twice in one world: what the first run leaves, the second may leave again, but no more."""
    keep_nothing = StreamConfig(history=KEEP_NOTHING)
    world = world or World(
        consumers=ConsumerSettings(max_tries=1), rules=[("**.dead", keep_nothing), ("**", keep_nothing)]
    )
    case(world)
    world.settle()
    gc.collect()
    tracemalloc.start()
    case(world)
    world.settle()
    held_bytes, peak_bytes = tracemalloc.get_traced_memory()
    assert peak_bytes > PAYLOAD_BYTES, "the case has no payload"
    assert held_bytes < NOISE_BYTES


def publishing(world: World, kind: Kind = Kind.STATE) -> tuple[Peer, str]:
    """A publisher of a stream of that kind, whose messages compress or not."""
    stream = f"{STREAM}-{kind.value}"
    publisher = world.peer("publisher", EVERY_CODEC)
    publisher.open(0, stream, kind)
    return publisher, stream


def ending(world: World, publisher: Peer, *others: Peer) -> None:
    """All vanish; a state keeps a small version."""
    publisher.publish(0, b"small")
    world.settle()
    world.lose(*others, publisher)
    world.pass_time(ConsumerSettings().consumer_ttl_s + 100)
    world.settle()


@EVERY_KIND
def test_a_receiver_that_lags_is_lost(kind: Kind) -> None:
    def case(world: World) -> None:
        publisher, stream = publishing(world, kind)
        receiver = world.subscriber(stream)
        receiver.transport.stalled = True
        for step in range(3):
            publisher.publish(0, payload(step))
            publisher.large(0, payload(step), step + 1).end()
            world.settle()
        begun = publisher.large(0, payload(), 9)
        begun.chunk()
        world.lose(receiver)
        begun.end()
        receiver = world.subscriber(stream)
        receiver.done(stream, 0, 7)
        ending(world, publisher, receiver)

    check(case)


@EVERY_KIND
@pytest.mark.parametrize("end", ["lost", "aborted", "timed out", "corrupt", "producer lost"])
def test_an_upload_is_dropped(kind: Kind, end: str) -> None:
    def case(world: World) -> None:
        publisher, stream = publishing(world, kind)
        receiver, plain = world.subscriber(stream, codecs=EVERY_CODEC), world.subscriber(stream, "plain")
        text = person(world)
        text.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/*"}}')
        if end == "producer lost":
            publisher.produce(0, stream, 1000, kind=kind)
        upload = publisher.large(0, payload(), chain=ZSTD)
        for _ in range(40):
            upload.chunk()
        world.settle()
        if end == "aborted":
            publisher.send(Abort(1, 5000).write())
        elif end == "timed out":
            world.pass_time(200)
        elif end == "corrupt":
            upload.spoiled = True
            upload.end()
        world.settle()
        world.lose(publisher, text)
        publisher, stream = publishing(world, kind)
        ending(world, publisher, receiver, plain)

    check(case)


def test_versions_of_views() -> None:
    def case(world: World) -> None:
        publisher, stream = publishing(world)
        lagging, quick = world.peer("lagging"), world.peer("quick")
        lagging.transport.stalled = True
        views = [View(np.s_[first:]) for first in range(5)]
        views += [View(dtype="float32"), View(max_rate_hz=5.0), View(np.s_[:7])]
        for peer in (lagging, quick):
            for view in views:
                peer.subscribe(stream, view=view)
        for step in range(3):
            publisher.publish(0, payload(step))
            publisher.large(0, payload(step), step + 1).end()
            world.settle()
            world.clock.advance(1)
            world.settle()
        publisher.publish_array(0, np.zeros((), np.float32))
        world.settle()
        corrupt = publisher.large(0, payload(), 9, chain=ZSTD)
        corrupt.spoiled = True
        corrupt.end()
        world.clock.advance(1)
        world.settle()
        ending(world, publisher, lagging, quick)

    check(case)


def test_views_of_events_and_their_past() -> None:
    def case(world: World) -> None:
        publisher, stream = publishing(world, Kind.EVENT)
        viewer = world.peer("viewer")
        viewer.subscribe(stream, view=View(np.s_[1:]))
        for step in range(3):
            publisher.publish(0, payload(step), chain=ZSTD)
        late = world.peer("late")
        late.subscribe(stream, view=View(np.s_[2:]), since="beginning")
        world.settle()
        ending(world, publisher, viewer, late)

    check(case)


def test_observers() -> None:
    def case(world: World) -> None:
        publisher, stream = publishing(world, Kind.COLLABORATION)
        observer = world.peer("observer")
        observer.subscribe(stream, observe=True)
        observer.transport.stalled = True
        for step in range(3):
            publisher.publish(0, payload(step))
            publisher.large(0, payload(step), step + 1).end()
        world.settle()
        ending(world, publisher, observer)

    check(case)


def test_work_that_is_done_given_up_and_dead() -> None:
    def case(world: World) -> None:
        publisher, stream = publishing(world, Kind.COLLABORATION)
        worker, other = world.subscriber(stream, "worker"), world.subscriber(stream, "other", EVERY_CODEC)
        first = 0
        for step in range(4):
            publisher.publish(0, payload(step), chain=ZSTD)
        world.settle()
        first = worker.read().offsets[0]
        worker.done(stream, first, first + 1)
        worker.done(stream, first + 2, code=5000)
        worker.reader.arrivals.clear()
        world.settle()
        ending(world, publisher, worker, other)

    check(case)


def test_requests_and_replies() -> None:
    def case(world: World) -> None:
        asker, replier = world.peer("asker"), world.peer("replier")
        replier.subscribe("agent:replier")
        asker.open(0, "agent:replier")
        for number in range(1, 4):
            ask(asker, number, payload(number))
            reply(replier, asker, number, payload(number))
        ask_large(asker, 4, payload()).end()
        ask_large(asker, 5, payload(), transfer=2).chunk()
        ask(asker, 6, payload())
        world.lose(replier)
        ask(asker, 7, payload())
        world.lose(asker)

    check(case)


def test_requests_to_a_group() -> None:
    def case(world: World) -> None:
        asker, one, other = world.peer("asker"), world.peer("one"), world.peer("other")
        for member in (one, other):
            member.subscribe("group:workers")
        asker.open(0, "group:workers")
        for number in range(1, 5):
            ask(asker, number, payload(number))
        ask_large(asker, 5, payload()).end()
        world.lose(one)
        world.lose(other)
        world.lose(asker)

    check(case)


def test_messages_that_are_refused() -> None:
    def case(world: World) -> None:
        publisher, stream = publishing(world)
        publisher.open(1, stream, Kind.EVENT)
        for step in range(5):
            publisher.publish(1, payload(step))
        broken = b"".join(publisher.message(0, payload()))
        publisher.send(broken[:32] + b"\xff\xff\xff\xff" + broken[36:])
        world.lose(publisher)

    check(case)


def test_a_stream_ends() -> None:
    def case(world: World) -> None:
        publisher, stream = publishing(world)
        receiver, viewer = world.subscriber(stream), world.peer("viewer")
        viewer.subscribe(stream, view=View(np.s_[1:]))
        for step in range(2):
            publisher.publish(0, payload(step))
            world.settle()
        world.lose(publisher)
        found = world.core.streams.get(StreamName(stream))
        assert found is not None
        world.core.hub.end(found, EndReason.DELETED)
        world.lose(receiver, viewer)

    check(case)


def test_encodings_deltas_and_decoded_forms() -> None:
    def case(world: World) -> None:
        publisher, stream = publishing(world)
        receivers = [world.subscriber(stream, str(number), codecs) for number, codecs in enumerate([(), EVERY_CODEC])]
        for step in range(3):
            publisher.publish(0, payload(7))
            publisher.publish(0, payload(7), chain=ZSTD)
            publisher.large(0, payload(7), step + 1).end()
            world.settle()
        publisher.large(0, payload(7), 9, chain=ZSTD).end()
        receivers.append(world.subscriber(stream, "late"))
        world.settle()
        ending(world, publisher, *receivers)

    deltas = Chain(codec="zstd", delta="xor", distance=1)
    check(case, World(FixedPolicy(ZSTD, deltas), history=KEEP_NOTHING))


def test_patches_and_their_keyframes() -> None:
    def case(world: World) -> None:
        publisher = patches.Publisher(world)
        receivers = [world.subscriber(patches.STREAM), world.subscriber(patches.STREAM, "patched", PATCH_CODECS)]
        receivers[0].transport.stalled = True
        for chunked in (False, True):
            publisher.whole(np.zeros(PAYLOAD_BYTES // 4, np.float32), chunked=chunked)
            for step in range(4):
                publisher.patch(np.s_[step : step + 1000], np.full(1000, step, np.float32), chunked=chunked)
            world.settle()
        publisher.whole(np.zeros(4, np.float32))
        world.settle()
        world.lose(publisher.peer, *receivers)

    check(case)


def test_people_at_the_json_subprotocol() -> None:
    def case(world: World) -> None:
        speaker, listener = person(world), person(world)
        listener.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/*"}}')
        listener.transport.stalled = True
        data = base64.b64encode(payload()).decode()
        tensor = {"dtype": "uint8", "shape": [PAYLOAD_BYTES], "data": data}
        for kind in ("state", "event", "state"):
            speaker.send(message("wf/text", kind=kind, ack=True, payload=tensor))
            world.settle()
        speaker.send(message("wf/text", kind="state"))
        world.settle()
        world.lose(speaker, listener)

    check(case)
