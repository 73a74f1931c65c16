"""LargeMessage: its chunks and their other forms."""

from __future__ import annotations

from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.encoding import PLAIN, Chain
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
