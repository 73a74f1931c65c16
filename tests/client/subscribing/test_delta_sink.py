"""Tests deltas of a view of a state, frame by frame: decoded from their base, or a keyframe is requested."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from gateway.client import View, connect
from gateway.client.decoding.delta_bases import MIN_BASE_BYTES
from gateway.protocol.data import write_data
from gateway.protocol.encoding import Chain, encode
from gateway.protocol.messages import Kind, Refresh, StreamInfo, Subscribe
from gateway.protocol.meta import write_meta
from gateway.protocol.tensors import Array, spec_of
from gateway.protocol.wire import Opcode
from tests.client.scripted_gateway import ScriptedGateway

VERSIONS = [np.r_[number, np.arange(MIN_BASE_BYTES)] for number in range(6)]


def frame(offset: int, base: Array | None = None) -> bytes:
    """A version of the view, as a delta if a base is given."""
    state = VERSIONS[offset]
    chain = Chain.parse("xor:1+lz4")
    encoded = None if base is None else encode(chain, state.tobytes(), state.dtype, base=base.tobytes())
    encoding, payload = encoded or (None, state.tobytes())
    return b"".join(
        write_data(
            Opcode.MESSAGE,
            stream=9,
            offset=offset,
            timestamp_ns=0,
            meta=write_meta([spec_of(state)]),
            encoding=encoding,
            payload=(payload,),
        )
    )


async def test_a_view_decodes_deltas_and_requests_a_keyframe_once_for_each_missing_base(
    scripted: ScriptedGateway,
) -> None:
    assert scripted.welcome is not None
    scripted.welcome = replace(scripted.welcome, filters=("shuffle", "patch", "xor"))
    errors: list[Exception] = []
    async with (
        connect(scripted.url) as client,
        client.subscribe("wf/a", view=View(slice(None)), on_error=errors.append) as messages,
    ):
        peer = await scripted.accept()
        asked = (await peer.next(Opcode.SUBSCRIBE)).session()
        assert isinstance(asked, Subscribe)
        peer.send(StreamInfo(9, "wf/a", Kind.STATE, 5, 0, subscription=asked.subscription))
        peer.send(frame(0), frame(1, VERSIONS[0]))
        for offset in (0, 1):
            np.testing.assert_array_equal((await anext(messages)).tensor, VERSIONS[offset])
        # Version 2 did not come: neither 3 nor 4 has a base, and one request is enough.
        peer.send(frame(3, VERSIONS[2]), frame(4, VERSIONS[3]))
        assert (await peer.next(Opcode.REFRESH)).session() == Refresh(9)
        peer.send(frame(4), frame(5, VERSIONS[4]))
        for offset in (4, 5):
            np.testing.assert_array_equal((await anext(messages)).tensor, VERSIONS[offset])
        assert [type(error).__name__ for error in errors] == ["DeltaBaseMissing", "DeltaBaseMissing"]
        assert messages.stats.failed == 2
        await messages.close()
        assert (await peer.next(Opcode.REFRESH, Opcode.UNSUBSCRIBE)).opcode == Opcode.UNSUBSCRIBE
