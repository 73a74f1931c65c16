"""Invariant: xor with the same base twice gives the data back; without a base of the same size it refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.protocol.codecs.xor import Xor


@given(pairs=st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), max_size=200))
def test_round_trip(pairs: list[tuple[int, int]]) -> None:
    data, base = bytes(one for one, _ in pairs), bytes(other for _, other in pairs)
    delta = memoryview(bytearray(len(data)))
    Xor().encode_into(data, delta, 1, base)
    assert bytes(delta) == bytes(one ^ other for one, other in pairs)
    out = memoryview(bytearray(len(data)))
    Xor().decode_into(delta, out, 1, base)
    assert bytes(out) == data


@pytest.mark.parametrize("base", [None, b"", b"ab", b"abcd"])
def test_a_base_of_another_size(base: bytes | None) -> None:
    out = memoryview(bytearray(3))
    with pytest.raises(InvalidArgument, match="base"):
        Xor().encode_into(b"abc", out, 1, base)
    with pytest.raises(RequestRefused, match="delta of 3 bytes to the message 5 before") as caught:
        Xor().decode_into(b"abc", out, 5, base)
    assert caught.value.code == Code.CORRUPT_PAYLOAD
