"""BinaryFormat: the bytes of everything that goes out, each in a WebSocket message."""

from __future__ import annotations

from gateway.connections.outbound.formats import BinaryFormat
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
