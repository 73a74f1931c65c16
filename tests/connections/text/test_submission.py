"""submit: a whole message as the frames that a client would send."""

from __future__ import annotations

import numpy as np
import pytest

from gateway.connections.text.submission import submit
from gateway.protocol.data import DataFrame
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Kind
from gateway.protocol.meta import write_meta
from gateway.protocol.tensors import spec_of
from gateway.protocol.wire import FLAG_ACK, Opcode
from tests.connections.frames import CHUNK_BYTES, START_NS
from tests.connections.memory import World


@pytest.mark.parametrize("size", [0, 1, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 1, 4 * CHUNK_BYTES])
def test_a_message_is_chunked_when_it_is_large(size: int) -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.EVENT)
    subscriber = world.subscriber("wf/a")
    array = np.arange(size, dtype=np.uint8) if size < 256 else np.resize(np.arange(256, dtype=np.uint8), size)
    for sequence in (1, 2):
        meta = memoryview(write_meta([spec_of(array)], {"n": sequence}))
        payload = memoryview(array.tobytes())
        message = DataFrame(
            Opcode.MESSAGE, FLAG_ACK, 0, 0, sequence, START_NS, 1, meta, None, None, payload, extensions=None
        )
        steps = submit(world.core.dispatcher, publisher.session, message, Limits(chunk_bytes=CHUNK_BYTES))
        assert len(list(steps or ())) == (0 if steps is None else -(-size // CHUNK_BYTES))
    world.settle()
    assert [ack.sequence for ack in publisher.read().acks] == [1, 2]
    arrivals = subscriber.read().arrivals
    assert [arrival.payload for arrival in arrivals] == [array.tobytes()] * 2
    assert [arrival.large for arrival in arrivals] == [size > 2 * CHUNK_BYTES] * 2
    assert arrivals[1].headers == (("n", 2),)
