"""StateFanout: deltas go to those who hold the version before, everyone else gets the newest whole."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.connections.lagging.cursor import Cursor
from gateway.errors import Code
from gateway.ids import StreamName
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.messages import Kind, Refresh, Unsubscribe
from gateway.streams.run import Run
from tests.connections.memory import EVERY_CODEC, Peer
from tests.connections.versions import (
    CHUNKED,
    LZ4,
    SMALL,
    Scene,
    conflated,
    every_size,
    make_publisher,
    make_world,
    publish,
    seen,
    version,
)


def lanes(peer: Peer) -> list[object]:
    """What waits for a peer, of all streams."""
    outbox = peer.session.connection.outbox
    assert outbox is not None
    return [entry for lane in outbox._queues.values() for entry in lane.entries]


@every_size
@pytest.mark.parametrize("published_as", [PLAIN, LZ4])
def test_who_holds_the_version_before_gets_a_delta(scene: Scene, size: int, published_as: Chain) -> None:
    plain = scene.join("plain", ())
    for number in range(3):
        scene.publish(number, size, published_as)
    assert seen(scene.receiver) == [(0, False), (1, True), (2, True)]
    assert seen(plain) == [(0, False), (1, False), (2, False)]


@every_size
def test_who_joins_gets_the_newest_whole_and_then_deltas(scene: Scene, size: int) -> None:
    scene.publish(0, size)
    scene.publish(1, size)
    late = scene.join("late")
    scene.publish(2, size)
    assert seen(scene.receiver) == [(0, False), (1, True), (2, True)]
    assert seen(late) == [(1, False), (2, True)]


@every_size
def test_who_joins_while_versions_are_being_encoded(scene: Scene, size: int) -> None:
    scene.publish(0, size)
    others = [scene.world.publisher("wf/s", kind=Kind.STATE) for _ in range(2)]
    for number, peer in enumerate(others, 1):
        if size == CHUNKED:
            peer.large(0, version(number, size), transfer=number).end()
        else:
            peer.publish(0, version(number, size))
    late = scene.join("late")
    scene.world.settle()
    scene.publish(3, size)
    assert seen(scene.receiver) == [(0, False), (1, True), (2, True), (3, True)]
    assert seen(late)[0][1] is False
    assert [offset for offset, _ in seen(late)][-2:] == [2, 3]
    assert all(delta for _, delta in seen(late)[1:])


@every_size
def test_subscribing_once_more_brings_the_newest_whole_again(scene: Scene, size: int) -> None:
    scene.publish(0, size)
    scene.publish(1, size)
    scene.receiver.subscribe("wf/*")
    scene.publish(2, size)
    assert seen(scene.receiver) == [(0, False), (1, True), (1, False), (2, True)]


@every_size
def test_leaving_and_coming_back(scene: Scene, size: int) -> None:
    other = scene.join("other")
    scene.publish(0, size)
    scene.receiver.say(Unsubscribe(98, 1))
    scene.publish(1, size)
    scene.receiver.subscribe("wf/s", 2)
    scene.publish(2, size)
    assert seen(scene.receiver) == [(0, False), (1, False), (2, True)]
    assert seen(other) == [(0, False), (1, True), (2, True)]


@every_size
def test_refresh_brings_the_newest_whole(scene: Scene, size: int) -> None:
    scene.publish(0, size)
    scene.publish(1, size)
    scene.refresh()
    scene.publish(2, size)
    assert seen(scene.receiver) == [(0, False), (1, True), (1, False), (2, True)]


def test_refresh_before_there_is_anything_brings_the_first_version(scene: Scene) -> None:
    scene.refresh()
    scene.publish(0)
    scene.publish(1)
    assert seen(scene.receiver) == [(0, False), (1, True)]


@every_size
def test_a_receiver_that_falls_behind_catches_up_by_deltas_while_they_are_few(scene: Scene, size: int) -> None:
    scene.publish(0, size)
    scene.receiver.transport.fill_up()
    for number in range(1, 5):
        scene.publish(number, size)
    scene.receiver.transport.read_on()
    scene.publish(5, size)
    assert seen(scene.receiver) == [(0, False)] + [(number, True) for number in range(1, 6)]
    assert conflated(scene.receiver) == 0


@pytest.mark.parametrize("size", [SMALL, CHUNKED])
def test_a_receiver_that_stays_behind_gets_the_newest_whole(scene: Scene, size: int) -> None:
    scene.publish(0, size)
    scene.receiver.transport.fill_up()
    number = 0
    while not conflated(scene.receiver):
        number += 1
        scene.publish(number, size)
        outbox = scene.receiver.session.connection.outbox
        assert outbox is not None
        assert outbox.waiting_bytes <= 2 * size + 200
    scene.publish(number + 1, size)
    scene.receiver.transport.read_on()
    scene.world.settle()
    assert seen(scene.receiver) == [(0, False), (number, False), (number + 1, True)]
    assert conflated(scene.receiver) == number - 1


@pytest.mark.parametrize("size", [SMALL, CHUNKED])
def test_deltas_that_wait_do_not_keep_the_versions_alive(scene: Scene, size: int) -> None:
    scene.publish(0, size)
    scene.receiver.transport.fill_up()
    scene.publish(1, size)
    (entry,) = lanes(scene.receiver)
    if isinstance(entry, Run):
        assert (entry.is_delta, entry.keyframe) == (True, None)
    else:
        assert isinstance(entry, Cursor)
        assert not entry.message.chunks
        assert not entry.message.variants


def test_refresh_of_a_receiver_behind_replaces_the_deltas_that_wait(scene: Scene) -> None:
    scene.publish(0)
    scene.receiver.transport.fill_up()
    scene.publish(1)
    scene.publish(2)
    scene.refresh()
    scene.receiver.transport.read_on()
    assert seen(scene.receiver) == [(0, False), (2, False)]
    assert conflated(scene.receiver) == 1


@every_size
def test_a_receiver_that_falls_behind_while_a_version_is_on_its_way(scene: Scene, size: int) -> None:
    scene.publish(0, size)
    if size == CHUNKED:
        large = scene.publisher.large(0, version(1, size))
        large.chunk()
        large.chunk()
        scene.world.settle()
        scene.receiver.transport.fill_up()
        large.end()
    else:
        scene.publisher.publish(0, version(1, size))
        scene.receiver.transport.fill_up()
    scene.world.settle()
    scene.publish(2, size)
    scene.receiver.transport.read_on()
    scene.world.settle()
    assert seen(scene.receiver) == [(0, False), (1, True), (2, True)]


def test_each_receiver_gets_a_whole_version_in_time_and_not_all_at_once() -> None:
    world = make_world(keyframe_every=4)
    publisher = make_publisher(world)
    receivers = [world.subscriber("wf/s", f"receiver-{number}", EVERY_CODEC) for number in range(4)]
    for number in range(17):
        publish(world, publisher, number)
    whole = [[offset for offset, delta in seen(peer) if not delta] for peer in receivers]
    for offsets in whole:
        assert len(offsets) == 5
        assert np.diff(offsets[1:]).tolist() == [4, 4, 4]
    assert len({tuple(offsets) for offsets in whole}) == 4


@pytest.mark.parametrize("size", [SMALL, CHUNKED])
def test_every_version_whole(size: int) -> None:
    scene = Scene(keyframe_every=1)
    for number in range(3):
        scene.publish(number, size)
    assert seen(scene.receiver) == [(0, False), (1, False), (2, False)]


# Chunks that are passed on while the message is still on its way.


def test_chunks_of_a_delta_are_passed_on_before_the_last_one_has_come(scene: Scene) -> None:
    """The first with the head, then as many together as are worth a system call."""
    scene.publish(0, CHUNKED)
    large = scene.publisher.large(0, version(1, CHUNKED))
    before = scene.receiver.read().received_chunks
    counts = []
    while large.chunk():
        scene.world.settle()
        counts.append(scene.receiver.read().received_chunks - before)
    assert counts == [1, 1, 1, 1, 1, 6]
    large.end()
    scene.world.settle()
    assert seen(scene.receiver) == [(0, False), (1, True)]


def test_who_joins_while_chunks_come_gets_the_delta_from_its_first_chunk_on(scene: Scene) -> None:
    scene.publish(0, CHUNKED)
    large = scene.publisher.large(0, version(1, CHUNKED))
    large.chunk()
    scene.world.settle()
    late = scene.join("late")
    large.end()
    scene.publish(2, CHUNKED)
    for peer in (scene.receiver, late):
        assert seen(peer) == [(0, False), (1, True), (2, True)]


def test_an_aborted_version_changes_nothing() -> None:
    world = make_world()
    one, other = make_publisher(world), make_publisher(world)
    receiver = world.subscriber("wf/s", "receiver", EVERY_CODEC)
    publish(world, other, 0, CHUNKED)
    one.large(0, version(9, CHUNKED)).chunk()
    world.settle()
    one.drop()
    publish(world, other, 1, CHUNKED)
    assert seen(receiver) == [(0, False), (1, True)]
    assert not receiver.reader.transfers
    assert [abort.code for abort in receiver.reader.aborts] == [Code.TRANSFER_ABORTED]


# Versions that a receiver could not take.


def test_who_could_not_take_a_version_gets_the_next_one_whole(scene: Scene) -> None:
    connection = scene.receiver.session.connection
    scene.publish(0, CHUNKED)
    limit, connection.max_message_bytes = connection.max_message_bytes, CHUNKED - 1
    scene.publish(1, CHUNKED)
    connection.max_message_bytes = limit
    scene.publish(2, CHUNKED)
    scene.publish(3, CHUNKED)
    assert seen(scene.receiver) == [(0, False), (2, False), (3, True)]
    assert [(gap.code, gap.first) for gap in scene.receiver.reader.gaps] == [(Code.MESSAGE_TOO_BIG, 1)]


def test_only_receivers_of_a_state_may_refresh_it() -> None:
    world = make_world()
    publisher = world.publisher("wf/s", kind=Kind.STATE)
    world.publisher("wf/e", kind=Kind.EVENT)
    receiver = world.subscriber("wf/e", "receiver", EVERY_CODEC)
    publish(world, publisher, 0)
    state, event = (world.core.streams.get(StreamName(name)) for name in ("wf/s", "wf/e"))
    assert state is not None
    assert event is not None
    for stream_id in (state.id, event.id, 99):
        receiver.say(Refresh(stream_id))
    assert receiver.read().codes == [Code.UNKNOWN_STREAM] * 3
    assert not receiver.reader.arrivals
