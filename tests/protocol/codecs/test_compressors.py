"""Invariant: every compressor keeps the contract of ``abc.Compressor``, whatever bytes and sizes it is given."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, RequestRefused
from gateway.protocol.codecs import COMPRESSORS, Compressor
from gateway.protocol.wire import Buffer

SAMPLES = (
    b"",
    b"x",
    bytes(1000),
    bytes(range(256)) * 400,
    np.random.default_rng(7).bytes(70_000),
    np.arange(20_000, dtype=np.int64).tobytes(),
)

LIES = (0, 1, 999, 1001, 2**20, 2**31 - 1, 2**31, 2**32, 2**63, 2**64 - 1)


ELEMENT = np.dtype("<i8")


def encoded(codec: Compressor, data: Buffer, level: int | None = None) -> bytes:
    return bytes(codec.encode(data, level, codec.parameter_for(ELEMENT)))


def decoded_or_code(codec: Compressor, data: bytes, decoded_bytes: int) -> bytes | int:
    try:
        return bytes(codec.decode(data, decoded_bytes, codec.parameter_for(ELEMENT)))
    except RequestRefused as refusal:
        return refusal.code


every_compressor = pytest.mark.parametrize("codec", COMPRESSORS.values(), ids=COMPRESSORS)


@every_compressor
@pytest.mark.parametrize("sample", SAMPLES, ids=len)
def test_round_trip_at_every_kind_of_level(codec: Compressor, sample: bytes) -> None:
    levels = codec.levels
    for level in {None, *levels[:1], *levels[-1:], *([0, 1] if levels else [])}:
        data = encoded(codec, memoryview(sample), level)
        codec.check_size(data, len(sample), codec.parameter_for(ELEMENT))
        assert decoded_or_code(codec, data, len(sample)) == sample


@every_compressor
@given(sample=st.binary(max_size=2000), repeat=st.integers(1, 50))
def test_round_trip(codec: Compressor, sample: bytes, repeat: int) -> None:
    sample *= repeat
    for parameter in codec.parameters:
        data = bytearray(codec.encode(bytearray(sample), None, parameter))
        assert bytes(codec.decode(memoryview(data), len(sample), parameter)) == sample


@every_compressor
@pytest.mark.parametrize("lie", LIES)
def test_another_size_is_refused(codec: Compressor, lie: int) -> None:
    data = encoded(codec, bytes(1000))
    assert decoded_or_code(codec, data, lie) == Code.CORRUPT_PAYLOAD


@every_compressor
def test_what_is_cut_off_or_longer_is_refused(codec: Compressor) -> None:
    sample = SAMPLES[3]
    data = encoded(codec, sample)
    for wrong in (b"", data[:1], data[: len(data) // 2], data[:-1], data + b"tail"):
        assert decoded_or_code(codec, wrong, len(sample)) == Code.CORRUPT_PAYLOAD


@every_compressor
@given(data=st.binary(max_size=200), decoded_bytes=st.one_of(st.integers(0, 5000), st.sampled_from(LIES)))
def test_random_bytes_only_give_corrupt_payload(codec: Compressor, data: bytes, decoded_bytes: int) -> None:
    decoded = decoded_or_code(codec, data, decoded_bytes)
    assert decoded == Code.CORRUPT_PAYLOAD or (isinstance(decoded, bytes) and len(decoded) == decoded_bytes)


@every_compressor
@given(at=st.integers(0, 2**32), byte=st.integers(0, 255))
def test_a_wrong_byte_never_changes_the_size(codec: Compressor, at: int, byte: int) -> None:
    sample = SAMPLES[5]
    data = bytearray(encoded(codec, sample))
    data[at % len(data)] = byte
    decoded = decoded_or_code(codec, bytes(data), len(sample))
    assert decoded == Code.CORRUPT_PAYLOAD or (isinstance(decoded, bytes) and len(decoded) == len(sample))


@every_compressor
def test_the_format_expands_no_more_than_max_ratio(codec: Compressor) -> None:
    size = 16 * 1024 * 1024
    data = encoded(codec, bytes(size))
    assert size <= len(data) * codec.max_ratio
    assert size > len(data) * codec.max_ratio * 0.9


@every_compressor
def test_threads_do_not_share_state(codec: Compressor) -> None:
    samples = [np.random.default_rng(seed).integers(0, 50, 50_000).astype(np.uint8).tobytes() for seed in range(4)]

    def round_trips(sample: bytes) -> bool:
        return all(decoded_or_code(codec, encoded(codec, sample), len(sample)) == sample for _ in range(20))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(round_trips, samples))
