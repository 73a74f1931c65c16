"""Layout of shadow trials: what is packed is unpacked, and damage is found."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.optimizer.history.layout import (
    HEADER,
    MAX_BODY_BYTES,
    TRIAL_KIND,
    BadRecord,
    checked_size,
    framed,
    kind_at,
)
from gateway.optimizer.history.record import ShadowTrial, TriedChain
from gateway.optimizer.history.trial_record import MAX_TRIED, pack_trial, unpack_trial
from tests.optimizer.history.records import ANY_TRIAL, shadow_trial


@given(ANY_TRIAL)
def test_what_is_packed_is_unpacked(original: ShadowTrial) -> None:
    data = pack_trial(original)
    assert checked_size(data, 0) == len(data) <= HEADER.size + MAX_BODY_BYTES
    assert kind_at(data, 0) == TRIAL_KIND
    assert unpack_trial(data, 0, len(data)) == original


def test_a_chain_whose_figures_are_no_numbers_is_left_out() -> None:
    good = TriedChain("lz4", 1, 0.5, 0.5)
    data = pack_trial(shadow_trial(tried=(TriedChain("zstd:1", 1, math.nan, 0.5), good), cpu_s=math.inf))
    found = unpack_trial(data, 0, len(data))
    assert (found.tried, found.cpu_s) == ((good,), 0.0)


def test_values_without_room_are_cut() -> None:
    tried = (TriedChain("lz4", -1, 0.5, 0.5),) * (MAX_TRIED + 5)
    data = pack_trial(shadow_trial(tried=tried, sample_bytes=2**70))
    found = unpack_trial(data, 0, len(data))
    assert (len(found.tried), found.tried[0].encoded_bytes, found.sample_bytes) == (MAX_TRIED, 0, 2**64 - 2)


@given(st.binary(max_size=300), st.integers(0, 310))
def test_a_body_of_any_bytes_is_a_trial_or_a_bad_record(body: bytes, cut: int) -> None:
    for content in (body, pack_trial(shadow_trial())[HEADER.size :][:cut]):
        data = framed(TRIAL_KIND, content)
        assert checked_size(data, 0) == len(data)
        try:
            found = unpack_trial(data, 0, len(data))
        except BadRecord:
            continue
        assert isinstance(found, ShadowTrial)


def test_a_later_gateway_may_add_fields() -> None:
    longer = framed(TRIAL_KIND, pack_trial(shadow_trial())[HEADER.size :] + b"more")
    assert unpack_trial(longer, 0, len(longer)) == shadow_trial()


@pytest.mark.parametrize("based", [True, False])
def test_a_compact_record(based: bool) -> None:
    trial = replace(shadow_trial(), based=based)
    assert len(pack_trial(trial)) < 250
