"""Candidates: few chains, and only such as receivers can decode."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.optimizer.candidates import MAX_CANDIDATES, candidates, probes
from gateway.protocol.codecs import CODEC_NAMES, FILTER_NAMES
from gateway.protocol.dtypes import BYTE, DTYPES, dtype_named
from gateway.protocol.encoding import PLAIN, decode, encode

ALL = frozenset((*CODEC_NAMES, *FILTER_NAMES))
SETS = st.frozensets(st.sampled_from(sorted(ALL)))


@given(st.sampled_from(DTYPES), SETS, st.booleans(), st.booleans())
def test_receivers_can_decode_each_of_at_most_twelve(
    element: np.dtype[np.generic], names: frozenset[str], integers: bool, based: bool
) -> None:
    found = candidates(element, names, integers=integers, based=based)
    assert found[0] == PLAIN
    assert len(found) == len(set(found)) <= MAX_CANDIDATES
    for chain in found:
        assert chain.names <= names
        assert based or not chain.delta


@given(st.sampled_from(DTYPES), SETS, st.booleans())
def test_a_codec_more_takes_away_none_of_the_others_but_the_slowest(
    element: np.dtype[np.generic], names: frozenset[str], based: bool
) -> None:
    with_pco = candidates(element, names | {"pco"}, integers=False, based=based)
    without = candidates(element, names - {"pco"}, integers=False, based=based)
    assert [chain for chain in without if chain.level != 9] == [
        chain for chain in with_pco if chain.codec != "pco" and chain.level != 9
    ]


@pytest.mark.skipif("pco" not in CODEC_NAMES, reason="the library of pco has no wheel here")
def test_numbers_are_tried_by_the_codec_of_numbers_where_receivers_know_it() -> None:
    found = candidates(dtype_named("float32"), ALL, integers=False, based=True)
    assert [str(chain) for chain in found] == [
        *("none", "lz4", "shuffle+lz4", "zstd:1", "shuffle+zstd:1", "zstd:3", "shuffle+zstd:3", "pco:4", "pco:8"),
        *("xor:1+shuffle+lz4", "xor:1+zstd:1", "xor:1+shuffle+zstd:1"),
    ]
    without = candidates(dtype_named("float32"), ALL - {"pco"}, integers=False, based=False)
    assert {"zstd:9", "shuffle+zstd:9"} <= {str(chain) for chain in without}


def test_bytes_are_neither_shuffled_nor_numbers() -> None:
    found = [str(chain) for chain in candidates(BYTE, ALL, integers=True, based=True)]
    assert found == ["none", "lz4", "zstd:1", "zstd:3", "zstd:9", "diff8:1+lz4", "diff8:1+zstd:1"]


def test_receivers_that_know_nothing_get_plain_payloads() -> None:
    assert candidates(dtype_named("float64"), (), integers=False, based=True) == (PLAIN,)
    assert [str(chain) for chain in candidates(BYTE, {"snappy"}, integers=False, based=True)] == ["none", "snappy"]


@pytest.mark.parametrize("name", ["float32", "int64", "bfloat16", "bool", "complex64"])
def test_each_can_be_encoded_and_decoded(name: str) -> None:
    element = dtype_named(name)
    data = bytes(np.arange(4096, dtype=np.int32).data)
    base = bytes(np.arange(1, 4097, dtype=np.int32).data)
    for chain in candidates(element, ALL, integers=element.kind == "i", based=True):
        encoded = encode(chain, data, element, base=base)
        if encoded is not None:
            assert bytes(decode(*encoded, base=base)) == data


@given(st.sampled_from(DTYPES), SETS, st.booleans(), st.booleans())
def test_probes_are_quick_and_say_something_of_each_kind_of_candidate(
    element: np.dtype[np.generic], names: frozenset[str], integers: bool, based: bool
) -> None:
    found = candidates(element, names, integers=integers, based=based)
    probed = probes(found)
    assert set(probed) <= set(found)
    assert all(chain.codec != "zstd" or chain.level == 1 for chain in probed)
    assert {chain.codec for chain in probed} == {chain.codec for chain in found}
    assert sum(bool(chain.delta) for chain in probed) <= 1
