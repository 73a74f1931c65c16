"""Large messages that are not whole: what they may hold, how long they may stand still, and how they go on."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind
from gateway.protocol.wire import Opcode
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import EVERY_CODEC, LargePublish, Peer, World

PAYLOAD = bytes(range(256)) * 72
"""Four whole chunks and a part."""
CHUNKS = 5
LZ4 = Chain(codec="lz4")


def producer_of(
    world: World, sequence: int = 1, streams: tuple[str, ...] = ("wf/a",), client_id: str = "trainer"
) -> Peer:
    peer = world.peer(client_id, EVERY_CODEC)
    for alias, stream in enumerate(streams):
        peer.produce(alias, stream, sequence)
    peer.forget()
    return peer


def begun(world: World, chunks: int, chain: Chain = PLAIN) -> None:
    """A producer that has sent so many chunks of a large message, and is gone."""
    peer = producer_of(world)
    large = peer.large(0, PAYLOAD, ack=True, chain=chain)
    for _ in range(chunks):
        large.chunk()
    peer.drop()


@pytest.mark.parametrize("chunks", range(CHUNKS + 1))
@pytest.mark.parametrize("chain", [PLAIN, LZ4])
def test_a_message_that_was_cut_goes_on_at_the_first_missing_chunk(chunks: int, chain: Chain) -> None:
    world = World()
    subscriber = world.subscriber("wf/*", codecs=EVERY_CODEC)
    begun(world, chunks, chain)
    peer = producer_of(world)
    large = peer.large(0, PAYLOAD, 9, ack=True, chain=chain, resuming=True)
    (resume,) = peer.read().resumes
    assert (resume.transfer, resume.index) == (9, chunks)
    large.skip(chunks)
    large.end()
    world.settle()
    (ack,) = peer.read().acks
    assert (ack.alias, ack.sequence, ack.offset, ack.repeated) == (0, 1, 0, False)
    (arrival,) = subscriber.read().arrivals
    assert (arrival.payload == PAYLOAD, arrival.offset) == (True, 0)
    assert not subscriber.reader.aborts
    assert subscriber.reader.received_chunks == CHUNKS


@given(st.lists(st.integers(0, CHUNKS), max_size=6), st.booleans())
def test_however_often_it_is_cut_every_chunk_is_passed_on_once(cuts: list[int], late: bool) -> None:
    world = World()
    subscriber = None if late else world.subscriber("wf/*")
    sent = 0
    for attempt, cut in enumerate([*sorted(cuts), None]):
        peer = producer_of(world)
        large = peer.large(0, PAYLOAD, attempt, ack=True, resuming=attempt > 0)
        if attempt:
            (resume,) = peer.read().resumes
            assert resume.index == sent
        large.skip(sent)
        if cut is None:
            large.end()
            break
        while sent < cut:
            large.chunk()
            sent += 1
        peer.drop()
    subscriber = subscriber or world.subscriber("wf/*")
    world.settle()
    assert [ack.offset for ack in peer.read().acks] == [0]
    if not late:
        (arrival,) = subscriber.read().arrivals
        assert arrival.payload == PAYLOAD
        assert subscriber.reader.received_chunks == CHUNKS


def test_a_message_whose_acknowledgement_was_lost_is_acknowledged_again_instead_of_resumed() -> None:
    world = World()
    subscriber = world.subscriber("wf/*")
    first = producer_of(world)
    first.large(0, PAYLOAD, ack=True).end()
    first.drop()
    peer = producer_of(world)
    large = peer.large(0, PAYLOAD, ack=True, resuming=True)
    world.settle()
    (ack,) = peer.read().acks
    assert (ack.sequence, ack.offset, ack.repeated) == (1, 0, True)
    assert not peer.reader.resumes
    large.end()  # what was not asked for is skipped
    world.settle()
    assert subscriber.read().offsets == [0]
    assert not peer.read().codes


def test_a_message_of_which_nothing_is_left_starts_anew() -> None:
    world = World()
    peer = producer_of(world, 4)
    large = peer.large(0, PAYLOAD, 3, resuming=True)
    (resume,) = peer.read().resumes
    assert (resume.transfer, resume.index) == (3, 0)
    large.end()
    subscriber = world.subscriber("wf/*")
    world.settle()
    assert not peer.read().codes
    assert not subscriber.read().aborts


@pytest.mark.parametrize("difference", ["payload", "codecs", "not resuming"])
def test_another_message_does_not_go_on_where_one_was_cut(difference: str) -> None:
    world = World()
    subscriber = world.subscriber("wf/*")
    begun(world, 2)
    peer = world.peer("trainer", () if difference == "codecs" else EVERY_CODEC)
    peer.produce(0, "wf/a")
    other = PAYLOAD[:-1] if difference == "payload" else PAYLOAD
    large = peer.large(0, other, 9, resuming=difference != "not resuming")
    assert [resume.index for resume in peer.read().resumes] == ([] if difference == "not resuming" else [0])
    assert [abort.code for abort in subscriber.read().aborts] == [Code.TRANSFER_ABORTED]
    large.end()
    world.settle()
    (arrival,) = subscriber.read().arrivals
    assert arrival.payload == other


@pytest.mark.parametrize("how", ["open", "small", "batch"])
def test_a_producer_that_goes_on_with_another_message_has_given_this_one_up(how: str) -> None:
    world = World()
    subscriber = world.subscriber("wf/*")
    begun(world, 2)
    peer = producer_of(world, 2 if how == "open" else 1)
    if how == "small":
        peer.publish(0, b"instead")
    elif how == "batch":
        peer.send(peer.batch(0, [b"1", b"2"]))
    world.settle()
    assert [abort.code for abort in subscriber.read().aborts] == [Code.TRANSFER_ABORTED]
    assert not peer.read().codes


def test_the_old_alias_of_a_producer_that_has_opened_the_stream_elsewhere_adds_nothing() -> None:
    world = World()
    subscriber = world.subscriber("wf/*")
    old = producer_of(world, client_id="other")
    half = old.large(0, PAYLOAD, ack=True)
    half.chunk()
    half.chunk()
    new = producer_of(world)
    large = new.large(0, PAYLOAD, ack=True, resuming=True)
    half.end()
    old.publish(0, b"late")
    assert old.read().codes == [Code.BAD_SEQUENCE]
    assert not old.reader.acks
    assert [resume.index for resume in new.read().resumes] == [2]
    large.skip(2)
    large.end()
    world.settle()
    assert subscriber.read().offsets == [0]
    assert [ack.offset for ack in new.read().acks] == [0]
    old.drop()
    new.publish(0, b"next", ack=True)
    assert [ack.offset for ack in new.read().acks] == [0, 1]


@pytest.mark.parametrize("instance", [1, 2])
def test_a_takeover_leaves_large_messages_behind_as_a_loss_does(instance: int) -> None:
    world = World()
    subscriber = world.subscriber("wf/*")
    old = world.peer("trainer", EVERY_CODEC, instance=1)
    old.produce(0, "wf/a")
    old.open(1, "wf/b", Kind.EVENT)
    half, given_up = old.large(0, PAYLOAD, ack=True), old.large(1, PAYLOAD, transfer=2)
    for large in (half, given_up):
        large.chunk()
    new = world.peer("trainer", EVERY_CODEC, instance=instance)
    assert [abort.code for abort in subscriber.read().aborts] == [Code.TRANSFER_ABORTED]
    half.end()  # nobody reads it any more
    new.produce(0, "wf/a")
    large = new.large(0, PAYLOAD, ack=True, resuming=True)
    assert [resume.index for resume in new.read().resumes] == [1]
    large.skip(1)
    large.end()
    world.settle()
    assert [arrival.payload for arrival in subscriber.read().arrivals] == [PAYLOAD]
    assert [ack.offset for ack in new.read().acks] == [0]


# What stands still.


def test_what_is_left_behind_for_too_long_is_given_up() -> None:
    world = World()
    subscriber = world.subscriber("wf/*")
    begun(world, 2)
    world.clock.advance(50.0)
    assert not subscriber.read().aborts
    world.clock.advance(30.0)
    assert [abort.code for abort in subscriber.read().aborts] == [Code.TRANSFER_TIMEOUT]
    peer = producer_of(world)
    large = peer.large(0, PAYLOAD, ack=True, resuming=True)
    assert [resume.index for resume in peer.read().resumes] == [0]
    large.end()
    world.settle()
    assert subscriber.read().arrivals[0].payload == PAYLOAD


def test_a_message_of_which_nothing_comes_is_given_up_and_its_sender_told() -> None:
    world = World()
    subscriber = world.subscriber("wf/*")
    peer = producer_of(world)
    large = peer.large(0, PAYLOAD, ack=True)
    for _ in range(3):
        large.chunk()
        world.clock.advance(50.0)
    assert not peer.read().codes
    world.clock.advance(30.0)
    (error,) = peer.read().errors
    assert (error.code, error.alias, error.sequence, error.transfer) == (Code.TRANSFER_TIMEOUT, 0, 1, 1)
    assert [abort.code for abort in subscriber.read().aborts] == [Code.TRANSFER_TIMEOUT]
    peer.publish(0, b"next", ack=True)
    assert [ack.offset for ack in peer.read().acks] == [0]


def test_a_message_that_the_gateway_does_not_read_is_not_standing_still() -> None:
    world = World()
    peer = producer_of(world)
    peer.large(0, PAYLOAD).chunk()
    peer.session.connection.reading.hold(world)
    world.clock.advance(500.0)
    peer.session.connection.reading.release(world)
    world.clock.advance(50.0)
    assert not peer.read().codes


def test_a_request_that_stands_still_is_given_up_as_well() -> None:
    world = World()
    replier = world.peer("planner")
    replier.subscribe("agent:planner")
    asker = world.peer("trainer")
    asker.open(0, "agent:planner")
    LargePublish(asker, 1, PAYLOAD).begin(Opcode.REQUEST, 0, 40)
    world.clock.advance(80.0)
    assert asker.read().codes == [Code.TRANSFER_TIMEOUT]


# What they may hold.


def test_what_is_left_behind_makes_room_for_what_is_new_the_oldest_first() -> None:
    world = World(limits=Limits(chunk_bytes=CHUNK_BYTES, max_unfinished_bytes=2 * len(PAYLOAD)))
    subscriber = world.subscriber("**")
    first = producer_of(world, streams=("wf/a", "wf/b", "wf/c"))
    first.large(0, PAYLOAD, 1).chunk()
    first.large(1, PAYLOAD, 2).chunk()
    first.drop()
    begun_ids = list(subscriber.read().transfers)
    peer = producer_of(world, streams=("wf/d",))
    peer.large(0, PAYLOAD, 3)
    (abort,) = subscriber.read().aborts
    assert (abort.transfer, abort.code) == (begun_ids[0], Code.LIMIT_EXCEEDED)
    assert not peer.read().codes


def test_a_program_that_takes_over_has_all_the_room_of_its_client() -> None:
    world = World(limits=Limits(chunk_bytes=CHUNK_BYTES, max_unfinished_bytes=2 * len(PAYLOAD) - 1))
    for producer in (1, 2):
        peer = world.peer("trainer")
        peer.produce(0, "wf/a", producer=producer)
        peer.open(1, "wf/b", Kind.EVENT)
        peer.large(0, PAYLOAD)
        assert not peer.read().codes
        peer.large(1, PAYLOAD, transfer=2)
        assert peer.read().codes == [Code.LIMIT_EXCEEDED]


def test_what_has_come_of_all_clients_is_bounded_and_what_is_left_behind_makes_room() -> None:
    world = World(limits=Limits(chunk_bytes=CHUNK_BYTES, max_all_unfinished_bytes=2 * CHUNK_BYTES))
    begun(world, 1)
    one, other = world.peer("one"), world.peer("other")
    for alias, peer in enumerate((one, other)):
        peer.open(0, f"wf/of-{alias}", Kind.EVENT)
    first, second = one.large(0, PAYLOAD), other.large(0, PAYLOAD)
    first.chunk()
    second.chunk()
    assert not other.read().codes  # what the producer had left behind has made room
    second.chunk()
    assert (one.read().codes, other.read().codes) == ([], [Code.QUEUE_FULL])
    first.end()  # alone, it may be larger than the bound
    assert not one.read().codes
    other.large(0, PAYLOAD, 2).end()
    assert not other.read().codes[1:]
