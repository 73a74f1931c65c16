"""Invariant: the table of spec section 10, by id and by name."""

from __future__ import annotations

import pytest

from gateway.errors import Code, RequestRefused
from gateway.protocol.codecs import (
    CODEC_NAMES,
    COMPRESSORS,
    DELTAS,
    FILTER_NAMES,
    FILTERS,
    NONE,
    compressor_of,
    filter_of,
    is_compressor,
)


def test_the_table_of_the_spec() -> None:
    assert {codec.id: codec.name for codec in (NONE, *COMPRESSORS.values())} == {
        0: "none",
        1: "lz4",
        2: "zstd",
        3: "snappy",
        4: "pco",
    }
    assert {step.id: step.name for step in FILTERS.values()} == {
        16: "shuffle",
        17: "xor",
        18: "diff8",
        19: "diff16",
        20: "diff32",
        21: "diff64",
    }
    assert FILTERS["shuffle"].parameters == range(2, 17)
    assert all(step.parameters == range(1, 256) for step in DELTAS.values())


def test_names_stand_in_the_order_of_preference() -> None:
    assert CODEC_NAMES == ("lz4", "zstd", "snappy", "pco")
    assert FILTER_NAMES == ("shuffle", "xor", "diff8", "diff16", "diff32", "diff64")


def test_lookups_agree() -> None:
    for name, codec in COMPRESSORS.items():
        assert compressor_of(codec.id) is codec
        assert (codec.name, is_compressor(codec.id)) == (name, True)
    for name, step in FILTERS.items():
        assert filter_of(step.id) is step
        assert (step.name, is_compressor(step.id)) == (name, False)
    assert compressor_of(0) is NONE


@pytest.mark.parametrize("step_id", [5, 15, 22, 255])
def test_unknown_ids(step_id: int) -> None:
    assert not is_compressor(step_id)
    for lookup in (compressor_of, filter_of):
        with pytest.raises(RequestRefused, match=f"id {step_id}") as caught:
            lookup(step_id)
        assert caught.value.code == Code.UNKNOWN_CODEC
