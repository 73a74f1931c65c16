"""Stored trials: chains that were never tried, on payloads that were stored."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gateway.optimizer.candidates import candidates
from gateway.optimizer.payloads.stored_payload import StoredPayload
from gateway.optimizer.payloads.stored_trials import on_stored, stored_trials
from gateway.protocol.codecs import CODEC_NAMES, FILTER_NAMES
from gateway.protocol.dtypes import dtype_named
from gateway.protocol.encoding import Chain
from tests.optimizer.history.records import record
from tests.optimizer.history.records import shadow_trial as made_trial
from tests.optimizer.payloads.payloads import stored

TOKENS = (np.arange(8192) % 100).astype(np.int64)
NEVER = [Chain.parse(chain) for chain in ("zstd:12", "shuffle+zstd:12", "diff64:1+zstd:12")]


def tokens(*, base: bool = False, **changed: Any) -> StoredPayload:
    """A payload of token ids."""
    described: dict[str, Any] = {"dtype": "int64", "element": "int64", "shape": (8192,), "integers": True}
    description = stored(3, **described | changed).description
    return StoredPayload(description, TOKENS.tobytes(), (TOKENS - 1).tobytes() if base else b"")


def test_candidates_and_chains_that_were_never_tried_are_tried() -> None:
    (trial,) = stored_trials([tokens(base=True)], NEVER)
    names = (*CODEC_NAMES, *FILTER_NAMES)
    usual = candidates(dtype_named("int64"), names, integers=True, based=True)
    assert [each.chain for each in trial.tried] == [*map(str, usual), *map(str, NEVER)]
    assert (trial.stream, trial.dtype, trial.shape, trial.time_ns) == ("wf/3", "int64", (8192,), 3)
    assert (trial.sample_bytes, trial.based) == (TOKENS.nbytes, True)
    by = {each.chain: each.encoded_bytes for each in trial.tried}
    assert by["diff64:1+zstd:12"] < by["zstd:12"] < by["none"] == TOKENS.nbytes
    assert trial.features.unchanged_share == 0
    assert trial.cpu_s > 0


def test_a_chain_that_a_payload_does_not_have_is_left_out() -> None:
    (trial,) = stored_trials([tokens()], [*NEVER, Chain.parse("diff32:1+lz4")])
    tried = {each.chain for each in trial.tried}
    assert "zstd:12" in tried
    assert not any(chain.startswith("diff") for chain in tried)
    assert trial.features.unchanged_share is None


def test_payloads_of_a_dtype_that_is_not_known_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        (trial,) = stored_trials([tokens(element="int7"), tokens(view="a")], [])
    assert trial.view == "a"
    assert "a payload of wf/3 is left out: " in caplog.text


def test_records_of_streams_with_stored_payloads_stand_between_their_trials() -> None:
    made = made_trial(3)
    (first,) = stored_trials([tokens()], [])
    trials = [replace(first, stream="wf/3", time_ns=10), replace(first, stream="wf/3", time_ns=30)]
    records = [record(number, time_ns=20) for number in (1, 3)]
    assert on_stored([*records, made], trials) == [trials[0], records[1], trials[1]]
    assert on_stored([*records, made], []) == []
