"""Run patching: runs of small messages are patched in a copy, many at once."""

from __future__ import annotations

import pytest

from gateway.connections.inbound.run_patching import VECTOR_FRAMES, patch_run
from gateway.connections.sessions.session import AliasBinding
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.messages import Kind
from gateway.protocol.wire import DATA_HEADER, DATA_ROUTE, ROUTE_AT
from gateway.streams.stream import Stream
from tests.connections.frames import message_frame
from tests.connections.memory import World

ALIAS, PUBLISHER, OFFSET, FIRST_SEQUENCE = 3, 2**32 - 2, 2**40, 5
FRAMES = VECTOR_FRAMES + 10


def frame(index: int, size: int = 12) -> bytes:
    return b"".join(message_frame(ALIAS, FIRST_SEQUENCE + index, bytes([index]) * size))


def bound(of: bytes) -> AliasBinding:
    """The alias of a stream to which a message with the meta block of this frame was published."""
    binding = AliasBinding(ALIAS, "wf/a", PUBLISHER)
    binding.stream = Stream(StreamId(9), StreamName("wf/a"), Kind.EVENT, Epoch(1))
    binding.next_sequence = FIRST_SEQUENCE
    binding.frame_bytes, _, _, meta_units, *_ = DATA_HEADER.unpack_from(of)
    binding.meta = of[DATA_HEADER.size : DATA_HEADER.size + 8 * meta_units]
    return binding


@pytest.mark.parametrize("in_place", [False, True])
def test_a_run_gets_its_stream_its_publisher_and_its_offsets_and_nothing_else_changes(*, in_place: bool) -> None:
    frames = [frame(index) for index in range(FRAMES)]
    other = b"".join(message_frame(ALIAS + 1, 1, bytes(12)))
    data = b"".join([other, *frames])
    patched = bytearray(data)
    source = memoryview(patched if in_place else data)
    assert patch_run(source, patched, len(other), bound(frames[0]), PUBLISHER, OFFSET) == FRAMES
    expected = bytearray(data)
    for index in range(FRAMES):
        at = len(other) + index * len(frames[0])
        DATA_ROUTE.pack_into(expected, at + ROUTE_AT, 9, PUBLISHER, OFFSET + index)
    assert patched == expected


def test_a_run_ends_at_the_largest_sequence() -> None:
    first = 2**64 - VECTOR_FRAMES - 5
    frames = [b"".join(message_frame(ALIAS, (first + index) % 2**64, bytes(12))) for index in range(FRAMES)]
    binding = bound(frames[0])
    binding.next_sequence = first
    data = b"".join(frames)
    assert patch_run(memoryview(data), bytearray(data), 0, binding, PUBLISHER, OFFSET) == VECTOR_FRAMES + 5


def test_frames_whose_padding_makes_them_too_few_are_published_one_by_one() -> None:
    world = World()
    publisher, subscriber = world.publisher("wf/a"), world.subscriber("wf/a")
    publisher.publish(0, bytes(5))
    count = VECTOR_FRAMES - 1
    # As long as enough frames without padding, but not enough with it.
    publisher.send(*[publisher.message(0, bytes(5)) for _ in range(count)], publisher.message(0, bytes(8)))
    world.settle()
    assert publisher.read().errors == []
    assert len(subscriber.read().offsets) == 1 + count + 1


def test_a_run_ends_before_the_first_frame_that_differs() -> None:
    frames = [frame(index) for index in range(FRAMES)]
    frames[-3] = b"".join(message_frame(ALIAS, FIRST_SEQUENCE + FRAMES - 3, bytes(12), ack=True))
    data = b"".join(frames)
    assert patch_run(memoryview(data), bytearray(data), 0, bound(frames[0]), PUBLISHER, OFFSET) == FRAMES - 3


@pytest.mark.parametrize("what", ["alias", "sequence", "meta block", "acknowledgement"])
def test_frames_that_are_no_run_of_the_alias_are_left_alone(what: str) -> None:
    frames = [frame(index) for index in range(FRAMES)]
    binding = bound(frames[0])
    if what == "meta block":
        odd = bytearray(frames[VECTOR_FRAMES - 2])
        odd[DATA_HEADER.size] += 1
        frames[VECTOR_FRAMES - 2] = bytes(odd)
    elif what == "acknowledgement":
        frames[1::2] = [
            b"".join(message_frame(ALIAS, FIRST_SEQUENCE + index, bytes(12), ack=True)) for index in range(1, FRAMES, 2)
        ]
    elif what == "alias":
        frames[VECTOR_FRAMES - 1] = b"".join(message_frame(ALIAS + 1, FIRST_SEQUENCE + VECTOR_FRAMES - 1, bytes(12)))
    elif what == "sequence":
        del frames[7]
    data = b"".join(frames)
    patched = bytearray(data)
    assert patch_run(memoryview(data), patched, 0, binding, PUBLISHER, OFFSET) == 0
    assert patched == data
