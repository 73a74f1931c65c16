"""NewestMessage: the parts of a tensor cover exactly its bytes, however payload and pieces are cut."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.arrays.newest import NewestMessage
from gateway.errors import Code, RequestRefused
from gateway.protocol.encoding import PLAIN
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind
from gateway.protocol.tensors import TensorSpec, payload_layout
from gateway.streams.large import LargeMessage, StoredChunk
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import World

U1 = np.dtype(np.uint8)


@given(sizes=st.lists(st.integers(0, 300), min_size=1, max_size=5), piece_bytes=st.sampled_from([64, 128, 1000]))
def test_the_parts_are_the_tensor(sizes: list[int], piece_bytes: int) -> None:
    specs = tuple(TensorSpec(str(number), U1, (size,)) for number, size in enumerate(sizes))
    offsets, total = payload_layout(specs)
    payload = bytes(index % 251 for index in range(total))
    pieces = [StoredChunk(None, payload[at : at + piece_bytes]) for at in range(0, total, piece_bytes)]
    message = NewestMessage(0, specs, pieces, piece_bytes)
    for index, size in enumerate(sizes):
        parts = [bytes(part.piece.data[part.start : part.stop]) for part in message.parts_of(index)]
        assert b"".join(parts) == payload[offsets[index] : offsets[index] + size]
        assert all(parts)


def test_a_tensor_is_found_by_its_name() -> None:
    specs = (TensorSpec("a", U1, (1,)), TensorSpec("b", U1, (1,)))
    assert NewestMessage(0, specs, (), 1).index_of("b") == 1
    assert NewestMessage(0, specs[1:], (), 1).index_of(None) == 0
    for name in (None, "c"):
        with pytest.raises(RequestRefused, match="'a', 'b'") as caught:
            NewestMessage(0, specs, (), 1).index_of(name)
        assert caught.value.code == Code.INVALID_REQUEST
    with pytest.raises(RequestRefused, match="no tensor"):
        NewestMessage(0, (), (), 1).index_of(None)


def test_every_form_that_a_stream_keeps() -> None:
    world = World(limits=Limits(chunk_bytes=CHUNK_BYTES))
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    (stream,) = world.core.streams

    def newest() -> tuple[int, bytes]:
        assert stream.newest is not None
        message = NewestMessage.of(stream.newest)
        return message.offset, b"".join([bytes(piece.data) for piece in message.pieces])

    publisher.publish(0, b"small")
    assert newest() == (0, b"small")
    publisher.send(publisher.batch(0, [b"one", b"two"]))
    assert newest() == (2, b"two")
    publisher.publish(0, bytes(20_000))
    assert newest() == (3, bytes(20_000))
    publisher.large(0, bytes(3 * CHUNK_BYTES)).end()
    assert newest() == (4, bytes(3 * CHUNK_BYTES))


def test_what_was_decoded_for_a_receiver_is_not_decoded_again() -> None:
    world = World(limits=Limits(chunk_bytes=CHUNK_BYTES))
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    publisher.large(0, bytes(2 * CHUNK_BYTES)).end()
    (stream,) = world.core.streams
    assert isinstance(stream.newest, LargeMessage)
    decoded = stream.newest.form(PLAIN)
    decoded.append(StoredChunk(None, b"first"))
    assert NewestMessage.of(stream.newest).pieces is stream.newest.chunks
    decoded.append(StoredChunk(None, b"second"))
    assert NewestMessage.of(stream.newest).pieces is decoded
