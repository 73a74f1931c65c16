"""Invariant: a difference modulo 2**n plus its base gives the data back; bytes of no whole integer stay as they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.protocol.codecs.abc import Filter
from gateway.protocol.codecs.diff import Diff

WIDTHS = {18: 1, 19: 2, 20: 4, 21: 8}
every_width = pytest.mark.parametrize(("wire_id", "itemsize"), list(WIDTHS.items()))


def differences(data: bytes, base: bytes, itemsize: int) -> bytes:
    """The table of spec section 10 in plain Python."""
    out = bytearray(data)
    for at in range(0, len(data) - len(data) % itemsize, itemsize):
        now, before = (int.from_bytes(each[at : at + itemsize], "little") for each in (data, base))
        out[at : at + itemsize] = ((now - before) % 256**itemsize).to_bytes(itemsize, "little")
    return bytes(out)


@every_width
@given(pairs=st.lists(st.tuples(st.integers(0, 255), st.integers(0, 255)), max_size=100))
def test_round_trip(wire_id: int, itemsize: int, pairs: list[tuple[int, int]]) -> None:
    data, base = bytes(one for one, _ in pairs), bytes(other for _, other in pairs)
    codec: Filter = Diff(wire_id, itemsize)
    delta = memoryview(bytearray(len(data)))
    codec.encode_into(data, delta, 1, base)
    assert bytes(delta) == differences(data, base, itemsize)
    out = memoryview(bytearray(len(data)))
    codec.decode_into(delta, out, 1, base)
    assert bytes(out) == data


@every_width
def test_buffers_need_not_be_aligned(wire_id: int, itemsize: int) -> None:
    data, base = memoryview(bytes(range(1, 50)))[1:], memoryview(bytes(range(3, 52)))[1:]
    delta = memoryview(bytearray(len(data) + 1))[1:]
    Diff(wire_id, itemsize).encode_into(data, delta, 1, base)
    assert bytes(delta) == differences(bytes(data), bytes(base), itemsize)


def test_a_step_over_the_end_of_the_range_is_a_small_difference() -> None:
    delta = memoryview(bytearray(4))
    Diff(20, 4).encode_into(bytes(4), delta, 1, b"\xff\xff\xff\xff")
    assert bytes(delta) == b"\1\0\0\0"


@pytest.mark.parametrize("base", [None, b"", b"ab", b"abcd"])
def test_a_base_of_another_size(base: bytes | None) -> None:
    out = memoryview(bytearray(3))
    with pytest.raises(InvalidArgument, match="diff16 of 3 bytes needs a base"):
        Diff(19, 2).encode_into(b"abc", out, 1, base)
    with pytest.raises(RequestRefused, match="delta of 3 bytes to the message 5 before") as caught:
        Diff(19, 2).decode_into(b"abc", out, 5, base)
    assert caught.value.code == Code.CORRUPT_PAYLOAD
