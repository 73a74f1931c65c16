"""Invariant: the same payload gives the same chain, of codecs and filters that the receivers know, and it pays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.codecs import CODEC_NAMES, FILTER_NAMES
from gateway.protocol.dtypes import DTYPES, DTypeLike
from gateway.protocol.encoding import PLAIN, Chain, encode
from gateway.protocol.sampling import MIN_BYTES, choose_chain, choose_delta
from tests.protocol.strategies import Array

RNG = np.random.default_rng(11)
TOKENS = RNG.integers(0, 50_000, 200_000)
NOISE = RNG.normal(size=200_000)
SPARSE = np.where(RNG.random(200_000) < 0.9, 0, NOISE).astype(np.float32)
COUNTER = np.arange(200_000)


def chosen(array: Array, codecs: tuple[str, ...] = CODEC_NAMES, filters: tuple[str, ...] = FILTER_NAMES) -> Chain:
    return choose_chain(array.data.cast("B"), array.dtype, codecs, filters)


@pytest.mark.parametrize("size", [0, 1, MIN_BYTES - 1])
def test_small_payloads_stay_plain(size: int) -> None:
    assert choose_chain(bytes(size), np.dtype("<u4"), CODEC_NAMES, FILTER_NAMES) == PLAIN
    assert choose_chain(bytes(MIN_BYTES), np.dtype("<u4"), CODEC_NAMES, FILTER_NAMES) != PLAIN


def test_noise_stays_plain() -> None:
    assert chosen(NOISE) == PLAIN


@pytest.mark.parametrize("parts", [2, 3, 4, 5, 8, 12, 16, 32])
def test_a_payload_that_repeats_itself_out_of_the_codecs_sight_stays_plain(parts: int) -> None:
    assert chosen(np.tile(NOISE, parts)) == PLAIN


def test_shuffle_where_it_helps_and_only_there() -> None:
    assert chosen(TOKENS).shuffle
    assert not chosen(SPARSE).shuffle
    assert not chosen(TOKENS, filters=()).shuffle
    assert not chosen(SPARSE.view(np.uint8)).shuffle


def test_the_fast_codec_is_preferred() -> None:
    assert chosen(TOKENS, ("lz4", "zstd")).codec == "lz4"
    assert chosen(TOKENS, ("snappy", "zstd")).codec == "snappy"
    assert chosen(TOKENS, ("snappy", "lz4")).codec == "lz4"
    assert chosen(TOKENS, ("zstd",)) == Chain(shuffle=True, codec="zstd", level=1)


def test_zstd_where_it_is_much_better() -> None:
    letters = RNG.choice(np.frombuffer(b"acgt", np.uint8), 200_000)
    assert chosen(letters).codec == "zstd"
    assert chosen(letters, ("lz4",)) == Chain(codec="lz4")


def test_receivers_without_codecs_get_it_plain() -> None:
    assert chosen(TOKENS, ()) == PLAIN
    assert chosen(TOKENS, ("brotli",)) == PLAIN


@pytest.mark.parametrize("array", [TOKENS, SPARSE, COUNTER, COUNTER.astype(np.complex128), np.zeros(9000, np.float16)])
def test_what_is_chosen_pays_on_the_whole_payload(array: Array) -> None:
    payload = array.data.cast("B")
    encoded = encode(chosen(array), payload, array.dtype)
    assert encoded is not None
    assert len(encoded[1]) < 0.8 * len(payload)


@given(
    payload=st.binary(min_size=1, max_size=400).map(lambda unit: unit * 200),
    element=st.sampled_from(DTYPES),
    codecs=st.sets(st.sampled_from([*CODEC_NAMES, "brotli"])),
    filters=st.sets(st.sampled_from(FILTER_NAMES)),
)
def test_the_choice_is_legal_and_repeatable(
    payload: bytes, element: DTypeLike, codecs: set[str], filters: set[str]
) -> None:
    chain = choose_chain(payload, element, codecs, filters)
    assert chain.names <= codecs | filters
    assert choose_chain(memoryview(payload), element, sorted(codecs), sorted(filters)) == chain


def delta_of(old: Array, new: Array, filters: tuple[str, ...] = FILTER_NAMES, *, integers: bool = False) -> Chain:
    one, other = old.data.cast("B"), new.data.cast("B")
    return choose_delta(other, one, new.dtype, CODEC_NAMES, filters, integers=integers)


def some_changed(array: Array, share: float) -> Array:
    """The same with a share of its elements stepped up by one."""
    return np.where(RNG.random(array.shape) < share, array + 1, array).astype(array.dtype)


def test_a_delta_of_what_changes_little() -> None:
    field = NOISE.astype(np.float32)
    new = some_changed(field, 0.01)
    chain = delta_of(field, new)
    assert (chain.delta, chain.distance) == ("xor", 1)
    encoded = encode(chain, new.tobytes(), np.dtype("<u4"), base=field.tobytes())
    assert encoded is not None
    assert len(encoded[1]) < 0.05 * new.nbytes


def test_integers_are_subtracted_where_the_receiver_knows_how() -> None:
    new = some_changed(TOKENS, 0.5)
    assert delta_of(TOKENS, new, integers=True).delta == "diff64"
    assert delta_of(TOKENS, new, ("shuffle", "xor", "diff32"), integers=True).delta == "xor"
    assert delta_of(TOKENS, new).delta == "xor"
    assert delta_of(TOKENS, new, ("shuffle",), integers=True) == PLAIN


def test_no_delta_where_the_payload_alone_is_as_small() -> None:
    assert delta_of(NOISE, RNG.normal(size=NOISE.size)) == PLAIN
    assert delta_of(NOISE.astype(np.float32), np.zeros(NOISE.size, np.float32)) == PLAIN
    assert delta_of(SPARSE, np.roll(SPARSE, 1000)) == PLAIN


def test_no_delta_of_what_is_small_or_has_another_size() -> None:
    assert delta_of(NOISE[:100], NOISE[:100]) == PLAIN
    assert delta_of(NOISE, NOISE[:-1]) == PLAIN
