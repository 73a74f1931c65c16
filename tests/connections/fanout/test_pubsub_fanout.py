"""Fanout: who gets what, in which encoding and order."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.outbound.connection import Connection
from gateway.errors import Code
from gateway.protocol.encoding import Chain
from gateway.protocol.frames import iter_frames
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Gap
from gateway.protocol.wire import Opcode
from gateway.streams.span import offsets_of
from gateway.streams.stream import Stream
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import EVERY_CODEC, FixedPolicy, Peer, World
from tests.connections.reader import Arrival
from tests.connections.text_messages import news, noting_written, person
from tests.connections.versions import CHUNKED as STATE_BYTES
from tests.connections.versions import Scene, seen

ZSTD = Chain(codec="zstd")
LZ4 = Chain(codec="lz4")
SMALL = b"small"
NOISE = np.random.default_rng(7).bytes(80 * 1024)
MIDDLE = NOISE[: 10 * 1024] + bytes(10 * 1024)
"""Encoded at once."""
BIG = NOISE + bytes(80 * 1024)
"""Encoded in a thread; encoded, it is still large enough for that."""
CHUNKED = bytes(range(256)) * (3 * CHUNK_BYTES // 256)


def payloads(peer: Peer) -> list[bytes]:
    return [arrival.payload for arrival in peer.read().arrivals]


# What a late joiner gets.


def test_a_late_joiner_of_a_state_gets_the_newest_message() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    publisher.publish(0, b"old")
    publisher.publish(0, b"new")
    late = world.subscriber("wf/a")
    world.settle()
    assert payloads(late) == [b"new"]
    assert late.reader.offsets == [1]


@pytest.mark.parametrize("kind", [Kind.EVENT, Kind.COLLABORATION, Kind.CONTROL])
def test_a_late_joiner_of_other_kinds_gets_what_is_published_from_now_on(kind: Kind) -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=kind)
    publisher.publish(0, b"old")
    late = world.subscriber("wf/a")
    publisher.publish(0, b"new")
    world.settle()
    assert payloads(late) == [b"new"]


def test_a_late_joiner_gets_the_last_record_of_a_batch() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    publisher.send(publisher.batch(0, [b"one", b"two", b"six"]))
    late = world.subscriber("wf/a")
    world.settle()
    assert payloads(late) == [b"six"]
    assert late.reader.offsets == [2]


def test_a_late_joiner_gets_the_last_record_of_an_encoded_batch() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    records = [bytes([value]) * 100 for value in range(30)]
    publisher.send(publisher.batch(0, records, chain=ZSTD))
    late = world.subscriber("wf/a")
    world.settle()
    assert payloads(late) == [records[-1]]


@pytest.mark.parametrize("codecs", [(), EVERY_CODEC])
def test_a_late_joiner_gets_an_encoded_message_as_it_can_decode_it(codecs: tuple[str, ...]) -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    publisher.publish(0, BIG, chain=ZSTD)
    world.settle()
    late = world.subscriber("wf/a", codecs=codecs)
    world.settle()
    assert payloads(late) == [BIG]


@pytest.mark.parametrize("codecs", [(), EVERY_CODEC])
@pytest.mark.parametrize("chain", [Chain(), ZSTD])
def test_a_late_joiner_gets_a_large_message(chain: Chain, codecs: tuple[str, ...]) -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    publisher.large(0, CHUNKED, chain=chain).end()
    world.settle()
    late = world.subscriber("wf/a", codecs=codecs)
    world.settle()
    assert payloads(late) == [CHUNKED]


def test_the_newest_message_never_comes_after_one_that_is_newer() -> None:
    """While the newest message is decoded for a late joiner, a newer one is published."""
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    publisher.publish(0, BIG, chain=ZSTD)
    world.settle()
    late = world.subscriber("wf/a")
    publisher.publish(0, SMALL)
    world.settle()
    assert late.read().offsets == [0, 1]


def test_what_waits_in_the_queue_does_not_pass_the_newest_message() -> None:
    """A late joiner comes while the queue is busy with a message that follows the newest one."""
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    plain = world.subscriber("wf/a", "plain")
    publisher.publish(0, BIG, chain=ZSTD)
    world.settle()
    publisher.publish(0, BIG, chain=ZSTD)
    late = world.subscriber("wf/a", "late")
    world.settle()
    assert late.read().offsets == [0, 1]
    assert plain.read().offsets == [0, 1]


# Encodings.


def test_order_is_kept_while_messages_are_encoded_in_threads_that_finish_in_any_order() -> None:
    world = World(FixedPolicy(LZ4))
    publisher = world.publisher("wf/a", "wf/b")
    knowing = world.subscriber("wf/*", "knowing", EVERY_CODEC)
    plain = world.subscriber("wf/*", "plain")
    for _ in range(3):
        publisher.publish(0, BIG)
        publisher.publish(0, SMALL)
        publisher.publish(0, MIDDLE)
    publisher.publish(1, SMALL)
    world.turn()
    assert [arrival.stream for arrival in plain.read().arrivals] == [2], "another stream does not wait"
    while len(world.workers):
        world.workers.step(-1)
        world.turn()
    for peer in (knowing, plain):
        arrivals = [arrival for arrival in peer.read().arrivals if arrival.stream == 1]
        assert [arrival.offset for arrival in arrivals] == list(range(9))
        assert [arrival.payload for arrival in arrivals] == [BIG, SMALL, MIDDLE] * 3


# Receivers and their classes.


def fanout_of(world: World, name: str = "wf/a") -> PubSubFanout:
    """The fan-out of a stream."""
    found = next(fanout for fanout in world.core.hub.fanouts if fanout.source.name == name)
    assert isinstance(found, PubSubFanout)
    return found


def leave(peer: Peer) -> None:
    """Take the only subscription back."""
    peer.unsubscribe(1)


def test_receivers_with_the_same_codecs_share_a_class_and_are_counted() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    fanout = fanout_of(world)
    assert (fanout.classes, fanout.receivers) == ([], 0)
    plain = [world.subscriber("wf/a", f"plain-{number}") for number in range(2)]
    knowing = world.subscriber("wf/a", "knowing", ("lz4",))
    assert sorted(len(delivery) for delivery in fanout.classes) == [1, 2]
    assert fanout.receivers == 3
    publisher.publish(0, b"one")
    publisher.publish(0, b"two")
    world.settle()
    assert fanout.delivered_messages == 6
    leave(knowing)
    assert [len(delivery) for delivery in fanout.classes] == [2]
    publisher.publish(0, b"six")
    world.settle()
    assert fanout.delivered_messages == 8, "deliveries of a class that is gone still count"
    assert payloads(knowing) == [b"one", b"two"]
    for peer in plain:
        assert payloads(peer) == [b"one", b"two", b"six"]


def test_two_subscriptions_of_one_receiver_are_one_membership() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    receiver = world.subscriber("wf/a")
    receiver.subscribe("wf/*")
    publisher.publish(0, SMALL)
    world.settle()
    assert fanout_of(world).receivers == 1
    assert payloads(receiver) == [SMALL]


def test_a_receiver_that_leaves_in_the_turn_of_a_publish_still_gets_the_message() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    receiver = world.subscriber("wf/a")
    publisher.publish(0, b"before")
    leave(receiver)
    publisher.publish(0, b"behind")
    world.settle()
    assert payloads(receiver) == [b"before"]


def test_a_receiver_that_names_an_offset_gets_the_past_before_the_present() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    for number in range(4):
        publisher.publish(0, bytes([number]))
    world.settle()
    late = world.subscriber("wf/a", since=2)
    publisher.publish(0, b"now")
    world.settle()
    assert late.read().offsets == [2, 3, 4]
    assert [(replay.first, replay.last) for replay in late.reader.replays] == [(2, 3)]


def test_the_position_of_one_more_subscription_lies_behind_the_messages_of_the_turn() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    receiver = world.subscriber("wf/a")
    publisher.publish(0, SMALL)
    start = fanout_of(world).start(receiver.session.connection, None)
    assert (start.offset, start.recovered, start.newest) == (1, None, False)
    assert payloads(receiver) == [SMALL], "the position is exact because the class was flushed"


def test_nobody_lags_where_there_is_nobody_and_all_do_when_the_last_falls_behind() -> None:
    world = World()
    world.publisher("wf/a")
    fanout = fanout_of(world)
    assert not fanout.all_lagging
    first, second = world.subscriber("wf/a", "first"), world.subscriber("wf/a", "second", ("lz4",))
    lagging = [fanout.all_lagging]
    for peer in (first, second):
        peer.transport.fill_up()
        lagging.append(fanout.all_lagging)
    first.transport.read_on()
    lagging.append(fanout.all_lagging)
    assert lagging == [False, False, True, False]
    assert not fanout.queue_full, "events that wait are dropped, so there is always room"


def test_a_publisher_is_acknowledged_though_no_receiver_reads() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    world.subscriber("wf/a").transport.fill_up()
    publisher.publish(0, SMALL, ack=True)
    world.settle()
    assert [(ack.sequence, ack.offset) for ack in publisher.read().acks] == [(1, 0)]


# Order of everything that is no message.


@pytest.mark.parametrize("payload", [bytes(500), BIG])
def test_a_gap_comes_in_the_place_of_the_messages_that_will_not_come(payload: bytes) -> None:
    """A receiver that reads and one that does not, while the message before the gap is decoded or is not."""
    world = World()
    publisher = world.publisher("wf/a")
    fast, slow = world.subscriber("wf/a", "fast"), world.subscriber("wf/a", "slow")
    for peer in (fast, slow):
        peer.forget()
    slow.transport.fill_up()
    publisher.publish(0, payload, chain=ZSTD if payload is BIG else Chain())
    fanout = fanout_of(world)
    assert isinstance(fanout.source, Stream)
    first = fanout.source.reserve(2)
    gap = Gap(fanout.source.id, Code.HISTORY_LOST, first, first + 1)
    fanout.send_gap(gap)
    publisher.publish(0, b"behind")
    world.settle()
    slow.transport.read_on()
    world.settle()
    for peer in (fast, slow):
        told = [entry for entry in peer.read().log if isinstance(entry, Gap | Arrival)]
        assert [entry.first if isinstance(entry, Gap) else entry.offset for entry in told] == [0, 1, 3]
        assert told[1] == gap
    assert fanout.delivered == 4


def test_a_callback_waits_until_all_earlier_messages_are_written() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    receiver = world.subscriber("wf/a")
    fanout = fanout_of(world)
    seen: list[list[int]] = []
    publisher.publish(0, SMALL)
    fanout.when_delivered(lambda: seen.append(list(receiver.read().offsets)))
    assert seen == [[0]], "the class is flushed before the end of the turn"
    publisher.publish(0, BIG, chain=ZSTD)
    fanout.when_delivered(lambda: seen.append(list(receiver.read().offsets)))
    assert len(seen) == 1
    assert not fanout.idle
    world.settle()
    assert seen == [[0], [0, 1]]
    assert fanout.idle


def test_taps_get_each_message_once_it_is_delivered_whatever_its_form() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    world.subscriber("wf/a")
    tapped: list[tuple[int, int]] = []
    fanout = fanout_of(world)
    fanout.taps = {lambda message: tapped.append(offsets_of(message)): None}
    publisher.publish(0, BIG, chain=ZSTD)
    publisher.send(publisher.batch(0, [b"a", b"b"]))
    publisher.large(0, CHUNKED).end()
    assert tapped == []
    world.settle()
    assert tapped == [(0, 0), (1, 2), (3, 3)]
    publisher.publish(0, SMALL)
    assert tapped[3:] == [(4, 4)]
    assert fanout.delivered == 5


def test_the_newest_version_is_the_one_that_was_delivered() -> None:
    world = World()
    publisher = world.peer("publisher", EVERY_CODEC)
    publisher.open(0, "wf/s", Kind.STATE)
    publisher.open(1, "wf/e", Kind.EVENT)
    world.subscriber("wf/*")
    state, event = fanout_of(world, "wf/s"), fanout_of(world, "wf/e")
    assert [state.newest, event.newest] == [None, None]
    publisher.publish(0, SMALL)
    publisher.publish(1, SMALL)
    world.settle()
    publisher.publish(0, BIG, chain=ZSTD)
    assert state.newest is not None
    assert offsets_of(state.newest) == (0, 0)
    world.settle()
    assert offsets_of(state.newest) == (1, 1)
    publisher.large(0, CHUNKED).end()
    world.settle()
    assert offsets_of(state.newest) == (2, 2)
    assert event.newest is None


def test_a_big_message_becomes_text_in_steps_and_the_next_one_waits() -> None:
    world = World()
    world.take_one_step_a_turn()
    publisher = world.publisher("wf/a")
    plain = world.subscriber("wf/a")
    text = person(world)
    text.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/a"}}')
    text.texts()
    publisher.publish(0, BIG)
    publisher.publish(0, SMALL)
    world.turns(1)
    assert not text.texts()
    world.settle()
    messages = [orjson.loads(line) for line in text.texts()]
    assert [fields["offset"] for fields in messages if fields["message_type"] == "message"] == [0, 1]
    assert payloads(plain) == [BIG, SMALL]


@pytest.mark.parametrize("payload", [bytes(500), BIG])
def test_a_message_that_is_decoded_for_some_becomes_text_once_and_is_written_to_all(
    payload: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    publisher = world.publisher("wf/a")
    plain = world.subscriber("wf/a")
    readers = [person(world) for _ in range(3)]
    written = noting_written(world, readers)
    for reader in readers:
        reader.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/a"}}')
        news(reader, world)
    monkeypatch.delattr(Connection, "enqueue")  # takes microseconds for each receiver
    publisher.publish(0, payload, chain=ZSTD)
    publisher.publish(0, SMALL)
    world.settle()
    for reader in readers:
        assert [text["offset"] for text in news(reader, world)] == [0, 1]
    assert len(written) == 2
    assert payloads(plain) == [payload, SMALL]


@pytest.mark.parametrize("kind", [Kind.EVENT, Kind.STATE])
@pytest.mark.parametrize("turns", range(6))
def test_who_comes_while_a_message_is_decoded_and_becomes_text_gets_it_once(kind: Kind, turns: int) -> None:
    world = World()
    world.take_one_step_a_turn()
    publisher = world.publisher("wf/a", kind=kind)
    world.subscriber("wf/a")
    readers = [person(world) for _ in range(2)]
    publisher.publish(0, BIG, chain=ZSTD)
    for reader in readers:
        reader.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/a","since":"beginning"}}')
        world.turns(turns)
        if len(world.workers):
            world.workers.step()
    world.settle()
    publisher.publish(0, SMALL)
    for reader in readers:
        offsets = [text["offset"] for text in news(reader, world) if text["message_type"] == "message"]
        assert offsets == [0, 1]


# Large messages.


def test_a_large_message_that_is_aborted_delivers_nothing_and_holds_up_nothing() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    other = world.peer("other")
    other.open(0, "wf/a")
    receiver = world.subscriber("wf/a")
    publisher.large(0, CHUNKED).chunk()
    publisher.drop()
    other.publish(0, SMALL)
    world.settle()
    fanout = fanout_of(world)
    assert (fanout.delivered, fanout.delivered_messages) == (1, 1)
    assert payloads(receiver) == [SMALL]


def test_members_that_lag_get_a_large_state_as_a_delta_to_the_version_that_waits_for_them() -> None:
    scene = Scene()
    slow = scene.join("slow")
    scene.publish(0, STATE_BYTES)
    seen(slow)
    slow.transport.fill_up()
    for number in (1, 2):
        scene.publish(number, STATE_BYTES)
    slow.transport.read_on()
    scene.world.settle()
    assert seen(slow)[-1][0] == 2
    assert seen(scene.receiver) == [(0, False), (1, True), (2, True)]
    assert fanout_of(scene.world, "wf/s").delivered_messages == 6


def test_a_client_that_comes_back_goes_on_with_the_large_message_that_is_still_coming() -> None:
    world = World()
    publisher = world.publisher("wf/a", codecs=())
    first = world.subscriber("wf/a", "first")
    large = publisher.large(0, CHUNKED)
    large.chunk()
    (transfer,) = first.read().transfers
    again = world.peer("again")
    again.session.connection.fall_behind().resumes[transfer] = 1
    again.subscribe("wf/a")
    large.end()
    world.settle()
    # The head again, and the chunks behind the one that the client has.
    assert again.session.connection.made_outbox().resumes == {}
    written = b"".join(again.transport.writes)
    chunks = [frame for frame in iter_frames(memoryview(written)) if frame.opcode == Opcode.CHUNK]
    assert len(chunks) == 2
    assert payloads(first) == [CHUNKED]
