"""Program of the worker: whatever becomes of a trial, its sample is gone."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest

from gateway.optimizer.candidates import candidates
from gateway.optimizer.shadow import worker
from gateway.optimizer.shadow.sample_memory import SampleMemory
from gateway.optimizer.shadow.trial_messages import TrialRequest
from gateway.optimizer.shadow.worker import answer
from gateway.protocol.codecs import CODEC_NAMES, FILTER_NAMES
from gateway.protocol.dtypes import dtype_named

TOKENS = np.arange(8192, dtype=np.int64)
CHAINS = candidates(dtype_named("int64"), (*CODEC_NAMES, *FILTER_NAMES), integers=True, based=True)


@pytest.fixture
def memory() -> Iterator[SampleMemory]:
    shared = SampleMemory()
    yield shared
    shared.close()
    os.close(shared.descriptor)


def filled(memory: SampleMemory, *chains: str, dtype: str = "int64") -> TrialRequest:
    size, base_bytes = memory.fill(2, TOKENS.data.cast("B"), (TOKENS + 1).data.cast("B"))
    return TrialRequest(2, size, base_bytes, dtype, chains)


def test_each_candidate_is_tried_and_the_sample_wiped(memory: SampleMemory) -> None:
    found = answer(filled(memory, *map(str, CHAINS)), memory)
    assert (found.slot, found.error) == (2, "")
    assert [each.chain for each in found.tried] == [str(chain) for chain in CHAINS]
    assert found.tried[0].encoded_bytes == TOKENS.nbytes > min(each.encoded_bytes for each in found.tried)
    assert found.cpu_s > 0
    assert not any(memory.slot(2))


@pytest.mark.parametrize(("chain", "dtype"), [("nonsense", "int64"), ("lz4", "nonsense")])
def test_a_request_that_makes_no_sense_has_failed(memory: SampleMemory, chain: str, dtype: str) -> None:
    found = answer(filled(memory, "none", chain, dtype=dtype), memory)
    assert "nonsense" in found.error
    assert not any(memory.slot(2))


def test_a_trial_without_memory_has_failed(memory: SampleMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(worker, "try_chains", out_of_memory)
    assert answer(filled(memory, "lz4"), memory).error == "MemoryError"
    assert not any(memory.slot(2))
