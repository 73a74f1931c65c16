"""BinaryFormat: the bytes of everything that goes out, each in a WebSocket message."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from gateway.connections.outbound.formats import ALONE_BYTES, FLUSH_BYTES, BinaryFormat, framed, written
from gateway.connections.sliced_workers import taken_at_once
from gateway.errors import Code, RequestRefused
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.frames import bytes_of
from gateway.protocol.messages import Error, Kind
from gateway.protocol.signals import Gap
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import Buffer, Opcode
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run
from gateway.streams.stream import Stream
from tests.connections.frames import tensor_meta
from tests.connections.memory import TextPeer, World

BYTES_META = tensor_meta(np.zeros(5000, np.uint8))
SOURCE = Stream(StreamId(7), StreamName("wf/a"), Kind.EVENT, Epoch(1))


def form() -> BinaryFormat:
    return BinaryFormat("test", lambda size: size.to_bytes(4, "big"))


def unframed(buffers: list[Buffer] | bytes) -> bytes:
    data = buffers if isinstance(buffers, bytes) else b"".join(buffers)
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    assert len(data) % 8 == 4
    return data[4:]


def large() -> LargeMessage:
    return LargeMessage(SOURCE, Opcode.MESSAGE, 9, 5, 0, b"", ChunkPlan(3, 4096, 5000))


def test_signals_and_session_messages() -> None:
    gap = Gap(7, Code.QUEUE_FULL, 1, 2)
    assert unframed(form().signal(gap)) == gap.write()
    assert b"QUEUE_FULL" in unframed(form().signal(Error.of(RequestRefused(Code.QUEUE_FULL, "full"))))


def test_runs_share_a_message_and_their_buffers_are_not_copied() -> None:
    payload = memoryview(bytes(96))
    runs = [Run(SOURCE, 0, 1, (bytes(32),), 32, 0, 1), Run(SOURCE, 1, 1, (bytes(32), payload), 128, 0, 1)]
    buffers = form().runs(runs)
    assert len(unframed(buffers)) == bytes_of(buffers) - 4 == 160
    assert buffers[-1] is payload
    assert len(unframed(form().runs(runs[:1]))) == 32


def test_a_large_message_piece_by_piece() -> None:
    message = large()
    data = memoryview(bytes(904))
    assert unframed(form().head(message))[4] == Opcode.MESSAGE
    buffers = form().chunk(message, StoredChunk(None, data), 1)
    assert unframed(buffers)[4] == Opcode.CHUNK
    assert any(buffer is data for buffer in buffers)
    message.offset = 12
    assert unframed(form().end(message))[4] == Opcode.END


def run_of(offset: int, size: int) -> Run:
    return Run(SOURCE, offset, 1, (bytes(size),), size, 0, 1)


def test_small_runs_are_joined_up_to_a_bound() -> None:
    size = ALONE_BYTES
    joined = FLUSH_BYTES // size
    buffers = framed(form(), [run_of(offset, size) for offset in range(joined + 2)])
    assert [len(buffer) for buffer in buffers] == [4 + joined * size, 4 + 2 * size]


def test_a_large_run_goes_out_alone_and_in_its_place_without_a_copy() -> None:
    alone = run_of(1, ALONE_BYTES + 8)
    buffers = framed(form(), [run_of(0, 64), alone, run_of(2, 64)])
    assert [len(buffer) for buffer in buffers] == [4 + 64, 4, ALONE_BYTES + 8, 4 + 64]
    assert buffers[2] is alone.buffers[0]


def test_no_runs_are_no_buffers() -> None:
    assert framed(form(), []) == []


def test_runs_are_written_as_text_once_for_several_receivers() -> None:
    world = World()
    text = TextPeer(world).form
    publisher = world.publisher("wf/a")
    publisher.publish(0, b"abc")
    (stream,) = world.core.streams
    run = Run(stream, 0, 1, (b"".join(publisher.message(0, b"abc")),), 64, 0, 1)
    (made,) = written(text, [run])
    assert (made.is_text, made.first, made.count) == (True, 0, 1)
    assert written(text, [made])[0] is made
    assert text.runs((made,)) == [*made.buffers]
    assert text.runs((run,)) == [*made.buffers]
    assert written(form(), [run]) == [run]


def test_a_large_message_becomes_a_run_of_text() -> None:
    world = World()
    text = TextPeer(world).form
    message = LargeMessage(SOURCE, Opcode.MESSAGE, 9, 5, 0, BYTES_META, ChunkPlan(3, 4096, 5000))
    message.chunks += [StoredChunk(None, bytes(4096)), StoredChunk(None, bytes(904))]
    message.offset = 12
    run = taken_at_once(text.writing(message))
    assert (run.source, run.first, run.last, run.is_text) == (SOURCE, 12, 12, True)
    assert orjson.loads(b"".join(run.buffers))["payload"]["shape"] == [5000]
    assert run.size == bytes_of(run.buffers)


def test_a_request_that_is_too_long_for_text_is_not_written() -> None:
    text = TextPeer(World()).form
    request = LargeMessage(SOURCE, Opcode.REQUEST, 9, 5, 0, BYTES_META, ChunkPlan(3, 4096, 1 << 30))
    with pytest.raises(RequestRefused) as refused:
        taken_at_once(text.writing(request))
    assert refused.value.code == Code.MESSAGE_TOO_BIG
