"""LargeMessage: its chunks and their other forms."""

from __future__ import annotations

import pytest

from gateway.errors import Code, RequestRefused
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.dtypes import BYTE
from gateway.protocol.encoding import PLAIN, Chain, encode
from gateway.protocol.extensions import Extensions, Identity
from gateway.protocol.messages import Kind
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import Opcode
from gateway.streams.large import LargeMessage, StoredChunk, TransferNumbers
from gateway.streams.stream import Stream


def test_a_message_is_whole_with_its_last_chunk() -> None:
    source = Stream(StreamId(1), StreamName("wf/a"), Kind.EVENT, Epoch(1))
    message = LargeMessage(source, Opcode.MESSAGE, 9, 5, 0, b"", ChunkPlan(1, 4096, 5000))
    whole = [message.complete]
    for chunk in (bytes(4096), bytes(904)):
        message.chunks.append(StoredChunk(None, chunk))
        whole.append(message.complete)
    assert whole == [False, False, True]
    assert message.received_bytes == 5000


def test_the_form_without_a_chain_is_what_came_and_each_chain_has_its_own() -> None:
    source = Stream(StreamId(1), StreamName("wf/a"), Kind.EVENT, Epoch(1))
    message = LargeMessage(source, Opcode.MESSAGE, 9, 5, 0, b"", ChunkPlan(1, 4096, 5000))
    assert message.form(None) is message.chunks
    lz4 = message.form(Chain(codec="lz4"))
    assert lz4 is message.form(Chain(codec="lz4"))
    assert lz4 is not message.form(PLAIN)


def test_a_resumed_head_says_so_and_what_follows_its_deltas_keeps_no_chunks() -> None:
    source = Stream(StreamId(1), StreamName("wf/a"), Kind.STATE, Epoch(1))
    message = LargeMessage(source, Opcode.MESSAGE, 9, 5, 0, b"", ChunkPlan(1, 4096, 5000), offset=3, checksum=7)
    message.extensions = Extensions(identity=Identity(1, 2))
    message.chunks += [StoredChunk(None, bytes(4096)), StoredChunk(None, bytes(904))]
    head = message.as_resumed()
    assert head.extensions == Extensions(identity=Identity(1, 2), resuming=True)
    assert (head.offset, head.chunks) == (3, [])
    message.base_offset = 2
    delta = message.as_delta()
    assert (delta.offset, delta.base_offset, delta.checksum, delta.extensions) == (3, 2, 7, message.extensions)
    assert (delta.chunks, delta.variants) == ([], {})
    assert message.complete


def test_numbers_of_transfers_differ_and_fit_the_wire() -> None:
    numbers = TransferNumbers(2**32 - 2)
    assert [numbers.next() for _ in range(4)] == [2**32 - 2, 2**32 - 1, 0, 1]


def half_encoded(source: Stream) -> tuple[LargeMessage, bytes]:
    """A complete message, the first of whose chunks is encoded; and its payload."""
    payload = bytes(4096) + bytes(range(226)) * 4
    found = encode(Chain(codec="lz4"), payload[:4096], BYTE)
    assert found is not None
    plan = ChunkPlan(1, 4096, len(payload))
    message = LargeMessage(source, Opcode.MESSAGE, 9, 5, 0, b"", plan)
    message.chunks += [StoredChunk(*found), StoredChunk(None, payload[4096:])]
    return message, payload


def test_the_payload_is_copied_decoded_chunk_behind_chunk() -> None:
    message, payload = half_encoded(Stream(StreamId(1), StreamName("wf/a"), Kind.EVENT, Epoch(1)))
    assert message.received_bytes < len(payload)
    out = bytearray(len(payload))
    message.copy_payload(memoryview(out))
    assert out == payload


def test_a_chunk_that_does_not_decode_is_a_corrupt_payload() -> None:
    message, payload = half_encoded(Stream(StreamId(1), StreamName("wf/a"), Kind.EVENT, Epoch(1)))
    encoding, data = message.chunks[0]
    message.chunks[0] = StoredChunk(encoding, b"\xff" * len(data))
    with pytest.raises(RequestRefused) as refused:
        message.copy_payload(memoryview(bytearray(len(payload))))
    assert refused.value.code == Code.CORRUPT_PAYLOAD


def test_as_one_frame_it_says_what_its_head_said_without_chunks() -> None:
    source = Stream(StreamId(4), StreamName("wf/a"), Kind.EVENT, Epoch(1))
    extensions = Extensions(identity=Identity(1, 2))
    meta = bytes(16)
    message = LargeMessage(source, Opcode.MESSAGE, 9, 5, 3, meta, ChunkPlan(1, 4096, 5000), extensions=extensions)
    assert message.frame().offset == 0
    message.offset = 6
    frame = message.frame(b"decoded")
    assert (frame.opcode, frame.flags, frame.stream, frame.publisher) == (Opcode.MESSAGE, 3, 4, 9)
    assert (frame.offset, frame.timestamp_ns, frame.extensions) == (6, 5, extensions)
    assert (bytes(frame.meta), bytes(frame.payload)) == (meta, b"decoded")
    assert (frame.plan, frame.encoding) == (None, None)
