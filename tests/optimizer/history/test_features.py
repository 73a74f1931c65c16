"""Features of payloads: they are what they say, for payloads of any size, and cost little."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.optimizer.history.features import PIECE_BYTES, SAMPLE_BYTES, features_of, sample_of
from gateway.optimizer.history.record import PayloadFeatures

RNG = np.random.default_rng(3)


def test_zeros_and_entropy_of_each_byte() -> None:
    values = np.arange(1024, dtype="<u2")
    found = features_of(values.tobytes(), 2)
    assert found.zero_share == pytest.approx(1 / 1024)
    assert found.plane_entropy_bits == pytest.approx((8.0, 2.0))
    assert (found.unchanged_share, found.repeated_share) == (None, None)
    zeros = features_of(bytes(100_000), 8)
    assert (zeros.zero_share, zeros.plane_entropy_bits) == (1.0, (0.0,) * 8)


def test_a_version_is_compared_with_the_one_before() -> None:
    before = RNG.standard_normal(SAMPLE_BYTES // 8)
    after = before.copy()
    after[::2] += 1
    found = features_of(after.tobytes(), 8, before.tobytes())
    assert (found.unchanged_share, found.repeated_share) == (0.5, 0.0)
    after = before.copy()
    after[: len(after) // 2] += 1
    found = features_of(after.tobytes(), 8, before.tobytes())
    assert (found.unchanged_share, found.repeated_share) == (0.5, 0.5)
    assert features_of(after.tobytes(), 8, b"other size").unchanged_share is None


def test_floats_that_are_no_numbers_are_bytes_as_others() -> None:
    found = features_of(np.full(10_000, np.nan, "<f8").tobytes(), 8)
    assert found == PayloadFeatures(zero_share=0.0, plane_entropy_bits=(0.0,) * 8)


def test_what_is_empty_or_shorter_than_an_element_has_none() -> None:
    assert features_of(b"", 4) == features_of(b"abc", 4) == PayloadFeatures()


@pytest.mark.parametrize("itemsize", [1, 2, 4, 8, 16])
def test_of_a_large_payload_pieces_from_its_begin_to_its_end_are_looked_at(itemsize: int) -> None:
    payload = np.repeat(np.arange(250, dtype=np.uint8), 16_000)
    sample = sample_of(payload.data, itemsize)
    assert sample.nbytes == SAMPLE_BYTES
    assert sample[0].tobytes() == payload[:itemsize].tobytes()
    assert sample[-1].tobytes() == payload[-itemsize:].tobytes()
    begins = sample.reshape(-1, PIECE_BYTES)[:, 0]
    assert begins[-1] == 249
    assert set(np.diff(begins)) <= {16, 17}


@given(st.binary(max_size=9000), st.integers(0, 40), st.booleans())
def test_any_payload_has_features_within_their_ranges(payload: bytes, itemsize: int, based: bool) -> None:
    found = features_of(payload, itemsize, payload if based else None)
    shares = (found.zero_share, found.unchanged_share, found.repeated_share)
    assert all(share is None or 0 <= share <= 1 for share in shares)
    assert all(0 <= bits <= 8 for bits in found.plane_entropy_bits)
