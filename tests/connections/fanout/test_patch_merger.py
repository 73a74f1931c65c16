"""Patches: whatever is published whole and in parts, every receiver holds what numpy's own assignment makes of it."""

from __future__ import annotations

import re
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from gateway.errors import Code
from gateway.ids import StreamName
from gateway.protocol.data import write_data
from gateway.protocol.durability import Durability
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.extensions import Extensions
from gateway.protocol.messages import Kind, Open, Unsubscribe
from gateway.protocol.meta import write_meta
from gateway.protocol.regions import Region
from gateway.protocol.tensors import Array, payload_buffers, spec_of, view_tensors
from gateway.protocol.views import View
from gateway.protocol.wire import BATCH_BLOCK, DATA_HEADER, DATA_ROUTE, ROUTE_AT, Opcode
from gateway.streams.state import LargePatch, patch_of
from tests.connections.frames import START_NS
from tests.connections.memory import EVERY_CODEC, FixedPolicy, World
from tests.connections.patches import PATCH_CODECS, STREAM, Publisher, Receiver, TextReceiver
from tests.connections.step_store import StepStore
from tests.protocol.test_regions import keys

SMALL = (8, 12)
"""Made whole at once."""
LARGE = (160, 120)
"""Made whole in a thread."""
LZ4 = Chain(codec="lz4")


POLICIES = [FixedPolicy(), FixedPolicy(LZ4), FixedPolicy(LZ4, Chain(codec="zstd", delta="xor", distance=1))]
STEPS = ["whole", "stall", "read on", "turn", "work", "work", "store", "join"]


def filled(shape: tuple[int, ...], value: int) -> Array:
    return np.full(shape, value, np.int32)


def world_of(shape: tuple[int, ...] = SMALL, **whole: Any) -> tuple[World, Publisher, Receiver]:
    """A publisher that has published a state whole, and a receiver that takes patches."""
    world = World()
    publisher = Publisher(world)
    receiver = Receiver(world.subscriber(STREAM, codecs=PATCH_CODECS))
    publisher.whole(filled(shape, 0), **whole)
    world.settle()
    receiver.read()
    return world, publisher, receiver


def check(publisher: Publisher, *receivers: Receiver | TextReceiver) -> None:
    """Everybody holds the newest version, and every version that anybody held was right."""
    for receiver in receivers:
        receiver.read()
        assert receiver.offset == len(publisher.versions) - 1
        for offset, array in receiver.versions.items():
            np.testing.assert_array_equal(array, publisher.versions[offset])
            assert array.dtype == publisher.versions[offset].dtype


@pytest.mark.parametrize("shape", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("chunked", [False, True], ids=["in one frame", "in chunks"])
@pytest.mark.parametrize("patch_chunked", [False, True], ids=["a patch in one frame", "a patch in chunks"])
@pytest.mark.parametrize("chain", [PLAIN, LZ4], ids=["plain", "encoded"])
def test_everybody_gets_it_as_they_can_take_it(
    shape: tuple[int, ...], chunked: bool, patch_chunked: bool, chain: Chain
) -> None:
    world, publisher, fast = world_of(shape, chunked=chunked, chain=chain)
    plain = Receiver(world.subscriber(STREAM, "plain"))
    text = TextReceiver(world)
    for value in range(1, 4):
        publisher.patch(np.s_[value : value + 3, :], value, chunked=patch_chunked)
    world.settle()
    late = Receiver(world.subscriber(STREAM, "late", codecs=PATCH_CODECS))
    world.settle()
    check(publisher, fast, plain, text, late)
    assert (fast.patches, plain.patches, late.patches) == (3, 0, 0)
    # Every publish was acknowledged with its own offset.
    assert [ack.offset for ack in publisher.peer.read().acks] == [0, 1, 2, 3]


def test_a_patch_passes_through_before_the_state_is_whole_anywhere() -> None:
    world, publisher, fast = world_of(LARGE)
    plain = Receiver(world.subscriber(STREAM, "plain"))
    world.turn()
    publisher.patch(np.s_[0:1, :], 1)
    world.turn()
    fast.read()
    assert fast.offset == 1
    plain.read()
    assert plain.offset == 0
    assert len(world.workers) == 1
    world.settle()
    check(publisher, plain)


def test_a_lagging_receiver_gets_the_newest_whole_and_then_patches_again() -> None:
    world, publisher, slow = world_of()
    slow.peer.transport.fill_up()
    for value in range(1, 6):
        publisher.patch(np.s_[value, :], value)
        world.turn()
    slow.peer.transport.read_on()
    world.settle()
    check(publisher, slow)
    assert sorted(slow.versions) == [0, 5]
    outbox = slow.peer.session.connection.outbox
    assert outbox is not None
    assert outbox.conflated == 4
    publisher.patch(np.s_[0, 0:2], 9)
    world.settle()
    check(publisher, slow)
    assert slow.patches == 1


def test_what_is_being_made_whole_for_a_receiver_goes_out_although_newer_ones_come() -> None:
    world, publisher, _ = world_of(LARGE)
    plain = Receiver(world.subscriber(STREAM, "plain"))
    world.settle()
    plain.read()
    for value in range(1, 5):
        publisher.patch(np.s_[value, :], value)
        world.turn()
    assert len(world.workers) == 1
    publisher.patch(np.s_[0, :], 5)
    world.workers.step()
    plain.read()
    assert plain.offset == 1
    world.settle()
    check(publisher, plain)
    # 1 was asked for; 2 to 4 were replaced by 5 while it was being made.
    assert sorted(plain.versions) == [0, 1, 5]


def test_many_patches_do_not_pile_up() -> None:
    world, publisher, fast = world_of(LARGE)
    state_bytes = publisher.versions[-1].nbytes
    for value in range(60):
        publisher.patch(np.s_[0:40, :], value)
        world.turn()
        if len(world.workers):
            world.workers.step()
    check(publisher, fast)
    stream = world.core.streams.get(StreamName(STREAM))
    assert stream is not None
    late = Receiver(world.subscriber(STREAM, "late", codecs=PATCH_CODECS))
    patch = patch_of(stream.newest)
    assert patch is not None
    assert patch.waiting_bytes <= 2 * state_bytes
    world.settle()
    check(publisher, late)


def test_a_lagging_receiver_of_a_large_patch_gets_the_state_whole_if_it_lost_the_one_before() -> None:
    """While the patch is under way, the state that it will change is replaced in that receiver's queue."""
    world, publisher, slow = world_of(LARGE)
    frames = publisher.patch_frames(np.s_[0:40, :], 7)
    for frame in frames[:-1]:
        publisher.peer.send(frame)
    slow.peer.transport.fill_up()
    another = Publisher(world, publisher)
    another.whole(filled(LARGE, 3))
    world.turn()
    publisher.peer.send(frames[-1])
    publisher.patched(np.s_[0:40, :], 7)
    slow.peer.transport.read_on()
    world.settle()
    check(publisher, slow)
    assert slow.peer.reader.transfers == {}


def test_a_lagging_receiver_of_a_large_patch_gets_the_rest_of_it_if_it_holds_the_one_before() -> None:
    world, publisher, slow = world_of(LARGE)
    head, *rest = publisher.patch_frames(np.s_[0:40, :], 7)
    publisher.peer.send(head)
    publisher.peer.send(rest[0])
    slow.peer.transport.fill_up()
    for frame in rest[1:]:
        publisher.peer.send(frame)
    publisher.patched(np.s_[0:40, :], 7)
    slow.peer.transport.read_on()
    world.settle()
    check(publisher, slow)
    assert slow.patches == 1


def test_a_large_patch_is_checked_again_when_it_is_whole() -> None:
    world, publisher, receiver = world_of(LARGE)
    *frames, end = publisher.patch_frames(np.s_[0:40, :], 7)
    for frame in frames:
        publisher.peer.send(frame)
    another = Publisher(world, publisher)
    another.whole(filled((20, 120), 3))
    publisher.peer.send(end)
    world.settle()
    assert publisher.peer.read().codes == [Code.INVALID_REGION]
    check(publisher, receiver)
    assert [abort.code for abort in receiver.peer.reader.aborts] == [Code.INVALID_REGION]
    # The alias goes on.
    publisher.patch(np.s_[0:1, 0:1], 4)
    world.settle()
    check(publisher, receiver)


@pytest.mark.parametrize(
    ("key", "value", "problem"),
    [
        (np.s_[0:9, 0:12], np.zeros((9, 12), np.int32), r"region \[0:9, 0:12\] of a state of shape \(8, 12\)"),
        (np.s_[0:2], np.zeros(2, np.int32), "1 dimensions, the state has 2"),
        (np.s_[0:2, 0:12], np.zeros((2, 12), np.int64), "the patch is int64, the state int32"),
        (np.s_[0:2, 0:12], np.zeros((2, 11), np.int32), r"region has shape \(2, 12\), the patch \(2, 11\)"),
    ],
)
def test_what_does_not_fit_the_state_is_refused(key: Any, value: Array, problem: str) -> None:
    world, publisher, receiver = world_of()
    for chunked in (False, True):
        (head, *_) = publisher._frames(value, Region.of(key), chunked=chunked, chain=PLAIN)
        publisher.peer.send(head)
        error = publisher.peer.news().errors[-1]
        assert error.code == Code.INVALID_REGION
        assert re.search(problem, error.message)
        assert (error.alias, error.sequence) == (0, publisher.peer.sequences[0])
    # A refused message keeps its sequence, and takes no offset.
    publisher.patch(np.s_[0, 0], 1)
    world.settle()
    check(publisher, receiver)


def test_a_tensor_that_the_state_does_not_have() -> None:
    _, publisher, _ = world_of()
    publisher.peer.sequences[0] += 1
    publisher.peer.send(
        write_data(
            Opcode.MESSAGE,
            stream=0,
            offset=publisher.peer.sequences[0],
            timestamp_ns=START_NS,
            meta=write_meta([spec_of(np.zeros(1, np.int32), "w")]),
            extensions=Extensions(region=Region.of(np.s_[0:1]).extents),
            payload=(bytes(4),),
        )
    )
    assert "the state has no tensor 'w', its tensors are: ''" in publisher.peer.read().errors[0].message


@pytest.mark.parametrize(("kind", "problem"), [(Kind.EVENT, "kind event"), (Kind.STATE, "holds no state yet")])
def test_only_a_state_that_is_there_takes_patches(kind: Kind, problem: str) -> None:
    world = World()
    peer = world.publisher("wf/a", kind=kind)
    extensions = Extensions(region=Region.of(np.s_[0:1]).extents)
    meta = write_meta([spec_of(np.zeros(1, np.uint8))])
    peer.send(
        write_data(
            Opcode.MESSAGE, stream=0, offset=1, timestamp_ns=0, meta=meta, extensions=extensions, payload=(b"a",)
        )
    )
    (error,) = peer.read().errors
    assert error.code == Code.INVALID_REGION
    assert "[0:1]" in error.message
    assert problem in error.message


def test_a_record_batch_is_no_patch_but_its_last_record_can_be_patched() -> None:
    world = World()
    publisher = Publisher(world)
    peer = publisher.peer
    receiver = Receiver(world.subscriber(STREAM, codecs=PATCH_CODECS))
    records = [bytes([value] * 6) for value in range(3)]
    peer.send(peer.batch(0, records))
    publisher.versions += [np.frombuffer(record, np.uint8) for record in records]
    publisher.patch(np.s_[1:3], 9)
    world.settle()
    late = Receiver(world.subscriber(STREAM, "late"))
    world.settle()
    late.read()
    np.testing.assert_array_equal(late.versions[3], [2, 9, 9, 2, 2, 2])
    del receiver
    extensions = Extensions(region=Region.of(np.s_[0:6]).extents)
    batch = peer.batch(0, records)
    head = bytes(batch[0])
    meta_at = DATA_HEADER.size + BATCH_BLOCK.size
    peer.send(
        write_data(
            Opcode.BATCH,
            stream=0,
            offset=peer.sequences[0] - 2,
            timestamp_ns=0,
            meta=head[meta_at : meta_at + 8],
            count=3,
            extensions=extensions,
            payload=(b"".join(records),),
        )
    )
    assert "a record batch: a patch is a message of one tensor" in peer.read().errors[0].message


def test_named_tensors_are_patched_one_by_one() -> None:
    world = World()
    peer = world.publisher(STREAM, kind=None)
    arrays: dict[str, Array] = {"w": np.zeros((3, 4), np.float32), "b": np.arange(5, dtype=np.uint8)}
    meta = write_meta([spec_of(array, name) for name, array in arrays.items()])
    peer.send(
        write_data(
            Opcode.MESSAGE, stream=0, offset=1, timestamp_ns=0, meta=meta, payload=payload_buffers([*arrays.values()])
        )
    )
    patch = np.array([7, 8], np.uint8)
    peer.send(
        write_data(
            Opcode.MESSAGE,
            stream=0,
            offset=2,
            timestamp_ns=0,
            meta=write_meta([spec_of(patch, "b")], {"step": 2}),
            extensions=Extensions(region=Region.of(np.s_[1:5:3]).extents),
            payload=payload_buffers([patch]),
        )
    )
    late = world.subscriber(STREAM)
    world.settle()
    (arrival,) = late.read().arrivals
    w, b = view_tensors(arrival.specs, arrival.payload)
    np.testing.assert_array_equal(w, arrays["w"])
    np.testing.assert_array_equal(b, [0, 7, 2, 3, 8])
    assert arrival.headers == (("step", 2),)
    assert arrival.offset == 1


def test_a_patch_that_does_not_decode_changes_nothing(caplog: pytest.LogCaptureFixture) -> None:
    world, publisher, _ = world_of()
    (frame,) = publisher.patch_frames(np.s_[0:8, :], 7, chunked=False, chain=LZ4)
    broken = bytearray(b"".join(frame))
    broken[-8:] = bytes(8)
    publisher.peer.send(broken)
    publisher.versions.append(publisher.versions[-1])
    publisher.patch(np.s_[0, 0], 5)
    late = Receiver(world.subscriber(STREAM, "late"))
    world.settle()
    check(publisher, late)
    assert "patch 1 of wf/field does not decode, it changes nothing" in caplog.text


def test_a_state_that_does_not_decode_cannot_be_made_whole_until_the_next_one() -> None:
    world = World()
    publisher = Publisher(world)
    plain = Receiver(world.subscriber(STREAM, "plain"))
    (frame,) = publisher._frames(filled(SMALL, 1), None, chunked=False, chain=LZ4)
    broken = bytearray(b"".join(frame))
    broken[-8:] = bytes(8)
    publisher.peer.send(broken)
    publisher.versions.append(filled(SMALL, 1))
    publisher.patch(np.s_[0, 0], 5)
    world.settle()
    assert [(gap.first, gap.code) for gap in plain.peer.read().gaps] == [
        (0, Code.CORRUPT_PAYLOAD),
        (1, Code.CORRUPT_PAYLOAD),
    ]
    publisher.peer.send(*publisher.patch_frames(np.s_[0, 0], 6, chunked=False))
    assert "does not decode: publish a complete one first" in publisher.peer.read().errors[0].message
    publisher.whole(filled(SMALL, 2))
    world.settle()
    plain.read()
    np.testing.assert_array_equal(plain.versions[2], publisher.versions[2])


def test_a_receiver_that_takes_no_message_of_that_size_is_told() -> None:
    world = World()
    publisher = Publisher(world)
    publisher.whole(filled(LARGE, 0), chunked=True)
    publisher.patch(np.s_[0, :], 1)
    small = world.peer("small")
    small.session.connection.max_message_bytes = 1000
    small.subscribe(STREAM)
    world.settle()
    assert [(gap.first, gap.code) for gap in small.read().gaps] == [(1, Code.MESSAGE_TOO_BIG)]


def test_who_unsubscribes_while_a_version_is_made_whole_gets_nothing_more() -> None:
    world, publisher, _ = world_of(LARGE)
    plain = world.peer("plain")
    number = plain.subscribe(STREAM)
    world.settle()
    plain.forget()
    publisher.patch(np.s_[0, :], 1)
    world.turn()
    plain.say(Unsubscribe(9, number))
    world.settle()
    assert plain.read().arrivals == []


@pytest.mark.parametrize("chunked", [False, True], ids=["in one frame", "in chunks"])
def test_a_patch_to_a_durable_state_is_stored_first_and_changes_what_is_still_being_stored(chunked: bool) -> None:
    store = StepStore()
    world = World(store=store, durability=Durability.OS)
    publisher = Publisher(world)
    receiver = Receiver(world.subscriber(STREAM, codecs=PATCH_CODECS))
    publisher.whole(filled(LARGE, 0), chunked=chunked)
    for row in range(3):
        publisher.patch(np.s_[row : row + 40, :], row + 1, chunked=chunked)
    world.settle()
    receiver.read()
    assert receiver.versions == {}
    # Of a patch the chunks are not stored as they come: what is stored is the state.
    assert all(not isinstance(message, LargePatch) for message, _ in store.staged)
    store.commit(2)
    world.settle()
    receiver.read()
    assert sorted(receiver.versions) == [0, 1]
    store.fail()
    assert publisher.peer.read().codes == [Code.QUEUE_FULL] * 2
    del publisher.versions[2:]
    publisher.patch(np.s_[0, :], 9)
    store.commit()
    world.settle()
    check(publisher, receiver)
    assert receiver.patches == 2


def test_a_patch_that_a_producer_sends_again_is_applied_once() -> None:
    world = World()
    publisher = Publisher(world)
    publisher.peer.say(Open(1, STREAM, producer=7, sequence=1))
    publisher.whole(filled(SMALL, 0))
    publisher.peer.sequences[0] = 0
    (frame,) = publisher.patch_frames(np.s_[0, :], 1, chunked=False)
    again = bytearray(b"".join(frame))
    DATA_ROUTE.pack_into(again, ROUTE_AT, 1, 0, 1)
    publisher.peer.send(again)
    publisher.peer.say(Open(2, STREAM, producer=7, sequence=1))
    DATA_ROUTE.pack_into(again, ROUTE_AT, 2, 0, 1)
    publisher.peer.send(again)
    assert [(ack.alias, ack.offset, ack.repeated) for ack in publisher.peer.read().acks] == [
        (0, 0, False),
        (1, 1, False),
        (2, 1, True),
    ]


@pytest.mark.parametrize("shape", [SMALL, LARGE], ids=["small", "large"])
def test_views_are_made_of_the_whole_state(shape: tuple[int, ...]) -> None:
    world, publisher, _ = world_of(shape)
    publisher.patch(np.s_[0:3, :], 1)
    viewer = world.peer("viewer", PATCH_CODECS)
    viewer.subscribe(STREAM, view=View(np.s_[::2, 0]))
    world.settle()
    publisher.patch(np.s_[2, :], 2, chunked=True)
    publisher.patch(np.s_[4, :], 3)
    world.settle()
    arrivals = viewer.read().arrivals
    assert arrivals[0].array[:3].tolist() == [1, 1, 0]
    np.testing.assert_array_equal(arrivals[-1].array, publisher.versions[-1][::2, 0])
    assert arrivals[-1].offset == 3


@given(st.data(), st.sampled_from([SMALL, LARGE, (4100,), (), (0, 3)]))
@settings(max_examples=100, deadline=None)
def test_any_sequence_gives_everybody_what_numpy_makes_of_it(data: st.DataObject, shape: tuple[int, ...]) -> None:
    store = StepStore() if data.draw(st.booleans()) else None
    durability = Durability.MEMORY if store is None else Durability.OS
    world = World(data.draw(st.sampled_from(POLICIES)), store=store, durability=durability, keyframe_every=5)
    publisher = Publisher(world)
    another = Publisher(world, publisher)
    publisher.whole(filled(shape, 0), chunked=data.draw(st.booleans()))
    receivers: list[Receiver | TextReceiver] = [
        Receiver(world.subscriber(STREAM, "fast", codecs=PATCH_CODECS)),
        Receiver(world.subscriber(STREAM, "slow", codecs=(*EVERY_CODEC, "patch"))),
        Receiver(world.subscriber(STREAM, "plain", codecs=data.draw(st.sampled_from([(), EVERY_CODEC])))),
        Receiver(world.subscriber(STREAM, "plain-slow", codecs=("zstd",))),
        TextReceiver(world),
    ]
    stallers = [receiver.peer.transport for receiver in (receivers[1], receivers[3])]
    for value in range(1, data.draw(st.integers(1, 25))):
        who = data.draw(st.sampled_from([publisher, another]))
        chunked, chain = data.draw(st.booleans()), data.draw(st.sampled_from([PLAIN, LZ4]))
        match data.draw(st.sampled_from(["patch"] * 4 + STEPS)):
            case "patch":
                who.patch(data.draw(keys(publisher.versions[-1].shape)), value, chunked=chunked, chain=chain)
            case "whole":
                who.whole(filled(shape, value), chunked=chunked, chain=chain)
            case "stall":
                data.draw(st.sampled_from(stallers)).fill_up()
            case "read on":
                data.draw(st.sampled_from(stallers)).read_on()
            case "turn":
                world.turn()
            case "work" if len(world.workers):
                world.workers.step(data.draw(st.integers(0, len(world.workers) - 1)))
            case "store" if store is not None and store.waiting:
                store.commit(data.draw(st.integers(1, len(store.waiting))))
            case "join":
                codecs = data.draw(st.sampled_from([(), ("patch",), PATCH_CODECS]))
                receivers.append(Receiver(world.subscriber(STREAM, f"late-{value}", codecs=codecs)))
        for receiver in receivers:
            if data.draw(st.booleans()):
                receiver.read()
    if store is not None:
        store.commit(len(store.waiting))
    for transport in stallers:
        transport.read_on()
    world.settle()
    # PONGs open the windows of links, and more comes.
    for receiver in receivers:
        receiver.read()
    world.settle()
    check(publisher, *receivers)
    for receiver in receivers[:5]:  # who was there from the start
        conflated = 0 if (outbox := receiver.peer.session.connection.outbox) is None else outbox.conflated
        assert conflated == len(publisher.versions) - len(receiver.versions)


@pytest.mark.parametrize("chunked", [False, True])
def test_patches_that_wait_behind_a_version_are_merged_when_they_are_delivered(chunked: bool) -> None:
    world = World(FixedPolicy(LZ4))
    publisher = Publisher(world)
    receiver = Receiver(world.subscriber(STREAM, codecs=PATCH_CODECS))
    publisher.whole(filled(LARGE, 0))
    for value in range(1, 7):
        publisher.patch(np.s_[0:40, :], value, chunked=chunked)
    assert len(world.workers) == 1, "only the version is encoded"
    world.workers.step()
    assert len(world.workers) > 0, "the patches are delivered, and merged"
    world.settle()
    receiver.read()
    check(publisher, receiver)
