"""The meter counts what was decoded, however it came, and nothing that was plain."""

from __future__ import annotations

import itertools

import pytest

from gateway.client.decoding.decode_meter import DecodeMeter
from gateway.errors import RequestRefused
from gateway.protocol.codecs import COMPRESSORS
from gateway.protocol.encoding import Chain, CodecStep, Encoding
from gateway.protocol.transfers import Assembler, Chunk, ChunkPlan
from tests.client.decoding_wire import Noted, Wire
from tests.connections.frames import encoded

ZEROS = bytes(8192)


def ticking() -> DecodeMeter:
    """A meter whose clock counts its looks."""
    return DecodeMeter(itertools.count(100).__next__)


def test_a_payload_counts_with_its_decoded_size() -> None:
    meter = ticking()
    encoding, data = encoded(Chain.parse("zstd"), ZEROS)
    assert encoding is not None
    for _ in range(3):
        assert meter.decode(encoding, data) == ZEROS
    assert meter.sums() == (3 * len(ZEROS), 3)


def test_chunks_count_unless_they_are_plain() -> None:
    meter = ticking()
    assembler = Assembler(ChunkPlan(1, 4096, len(ZEROS)))
    encoding, data = encoded(Chain.parse("zstd"), ZEROS[:4096])
    meter.assemble(assembler, Chunk(1, 0, encoding, memoryview(data)))
    meter.assemble(assembler, Chunk(1, 1, None, memoryview(ZEROS)[4096:]))
    assert assembler.payload() == ZEROS
    assert meter.sums() == (4096, 1)


def test_what_cannot_be_decoded_does_not_count() -> None:
    meter = ticking()
    with pytest.raises(RequestRefused):
        meter.decode(Encoding(8, (CodecStep(COMPRESSORS["zstd"].id, 0),)), b"nonsense")
    assert meter.sums() == (0, 0)


@pytest.mark.parametrize("nbytes", [8192, 1 << 20])
async def test_payloads_of_a_session_count_on_the_loop_and_in_threads(nbytes: int) -> None:
    wire, to = Wire(), Noted()
    wire.message(to, 0, bytes(nbytes), "zstd")
    wire.message(to, 1, bytes(nbytes))
    await to.wait(2)
    decoded_bytes, spent_ns = wire.meter.sums()
    assert decoded_bytes == nbytes
    assert spent_ns > 0
