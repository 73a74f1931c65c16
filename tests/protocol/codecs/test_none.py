"""Invariant: ``none`` hands out what it was given, if that has the declared size."""

from __future__ import annotations

import pytest

from gateway.errors import Code, RequestRefused
from gateway.protocol.codecs.none import NoneCodec


def test_data_is_passed_on_as_it_is() -> None:
    data = memoryview(b"abc")
    assert NoneCodec().encode(data, None, 0) is data
    assert NoneCodec().decode(data, 3, 0) is data


@pytest.mark.parametrize("decoded_bytes", [0, 2, 4, 2**64 - 1])
def test_another_size_is_refused(decoded_bytes: int) -> None:
    with pytest.raises(RequestRefused) as caught:
        NoneCodec().decode(b"abc", decoded_bytes, 0)
    assert caught.value.code == Code.CORRUPT_PAYLOAD
