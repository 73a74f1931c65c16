"""Invariant: byte k of every element stands together, the tail is unchanged, and the way back gives the same bytes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.codecs.shuffle import Shuffle

SIZES = st.sampled_from(Shuffle.parameters)


def shuffled(data: bytes, size: int) -> bytes:
    out = memoryview(bytearray(len(data)))
    Shuffle().encode_into(data, out, size, None)
    return bytes(out)


def unshuffled(data: bytes, size: int) -> bytes:
    out = memoryview(bytearray(len(data)))
    Shuffle().decode_into(data, out, size, None)
    return bytes(out)


def test_bytes_of_the_spec() -> None:
    assert shuffled(b"abcdABCD0123xy", 4) == b"aA0bB1cC2dD3xy"


@given(data=st.binary(max_size=300), size=SIZES)
def test_shuffle_by_its_definition(data: bytes, size: int) -> None:
    whole = len(data) // size * size
    planes = [data[:whole][k::size] for k in range(size)]
    assert shuffled(data, size) == b"".join(planes) + data[whole:]


@given(data=st.binary(max_size=300), size=SIZES)
def test_round_trip(data: bytes, size: int) -> None:
    assert unshuffled(shuffled(data, size), size) == data


@pytest.mark.parametrize("size", Shuffle.parameters)
@pytest.mark.parametrize("offset", [0, 1, 3])
def test_large_data_at_any_address(size: int, offset: int) -> None:
    data = np.random.default_rng(size).bytes(100_003)[offset:]
    room = memoryview(bytearray(len(data) + offset))[offset:]
    Shuffle().encode_into(memoryview(data), room, size, None)
    assert unshuffled(bytes(room), size) == data
