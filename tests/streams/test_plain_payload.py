"""PlainPayload: any part of a payload, however it was cut and encoded, without copies where it can be."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, RequestRefused
from gateway.protocol.encoding import Chain, CodecStep, Encoding, encode
from gateway.streams.large import StoredChunk
from gateway.streams.plain_payload import PlainPayload

PAYLOAD = np.arange(5000, dtype="<u4").tobytes()


def cut(piece_bytes: int, encoded: bool) -> PlainPayload:
    pieces = []
    for at in range(0, len(PAYLOAD), piece_bytes):
        piece = PAYLOAD[at : at + piece_bytes]
        found = encode(Chain(shuffle=True, codec="lz4"), piece, np.dtype("<u4")) if encoded else None
        pieces.append(StoredChunk(None, piece) if found is None else StoredChunk(*found))
    return PlainPayload(7, (), piece_bytes, pieces)


@given(
    piece_bytes=st.sampled_from([64, 4096, 8192, len(PAYLOAD)]),
    encoded=st.booleans(),
    at=st.integers(0, len(PAYLOAD) - 1),
    size=st.integers(1, len(PAYLOAD)),
)
def test_a_part_is_what_was_published(piece_bytes: int, encoded: bool, at: int, size: int) -> None:
    size = min(size, len(PAYLOAD) - at)
    assert bytes(cut(piece_bytes, encoded).part(at, size)) == PAYLOAD[at : at + size]


def test_a_part_of_one_piece_is_not_copied() -> None:
    part = cut(4096, encoded=False).part(4096, 4096)
    assert isinstance(part, memoryview)
    whole = PlainPayload(0, (), len(PAYLOAD), [StoredChunk(None, PAYLOAD)]).part(8, 16)
    assert isinstance(whole, memoryview)
    assert whole.obj is PAYLOAD


def test_a_piece_is_decoded_once() -> None:
    payload = cut(4096, encoded=True)
    first, second = payload.part(0, 100), payload.part(100, 100)
    assert isinstance(first, memoryview)
    assert isinstance(second, memoryview)
    assert first.obj is second.obj


def test_several_threads() -> None:
    payload = cut(64, encoded=True)
    with ThreadPoolExecutor(4) as threads:
        parts = list(threads.map(lambda at: bytes(payload.part(at, 200)), list(range(0, 19_800, 40)) * 3))
    assert parts == [PAYLOAD[at : at + 200] for at in range(0, 19_800, 40)] * 3


def test_what_does_not_decode_is_refused() -> None:
    payload = PlainPayload(0, (), 100, [StoredChunk(Encoding(100, (CodecStep(1, 0),)), b"\xff" * 50)])
    with pytest.raises(RequestRefused) as refused:
        payload.part(0, 100)
    assert refused.value.code == Code.CORRUPT_PAYLOAD
