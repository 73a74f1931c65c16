"""Program of the worker: whatever becomes of a trial, its sample is gone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from gateway.optimizer.candidates import candidates
from gateway.optimizer.shadow import trying, worker
from gateway.optimizer.shadow.sample_memory import SampleMemory
from gateway.optimizer.shadow.trial_messages import TrialRequest
from gateway.optimizer.shadow.worker import answer
from gateway.protocol.codecs import CODEC_NAMES, FILTER_NAMES
from gateway.protocol.dtypes import dtype_named
from gateway.protocol.encoding import Chain, encode

TOKENS = np.arange(8192, dtype=np.int64)
CHAINS = candidates(dtype_named("int64"), (*CODEC_NAMES, *FILTER_NAMES), integers=True, based=True)


@pytest.fixture
def memory() -> Iterator[SampleMemory]:
    shared = SampleMemory()
    yield shared
    shared.close()
    os.close(shared.descriptor)


def filled(memory: SampleMemory, *chains: str, dtype: str = "int64", longest_s: float = 60.0) -> TrialRequest:
    size, base_bytes = memory.fill(2, TOKENS.data.cast("B"), (TOKENS + 1).data.cast("B"))
    return TrialRequest(2, size, base_bytes, dtype, chains, longest_s)


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
    assert not found.says_something
    assert not any(memory.slot(2))


def test_a_trial_without_memory_has_failed(memory: SampleMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    def out_of_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(worker, "try_chains", out_of_memory)
    found = answer(filled(memory, "none", "lz4"), memory)
    assert (found.error, found.failed, found.says_something) == ("none: MemoryError", ("none", "lz4"), False)
    assert not any(memory.slot(2))


def test_a_chain_that_raises_leaves_the_others(memory: SampleMemory, monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(chain: Chain, *rest: Any, **named: Any) -> Any:
        if chain.codec == "pco":
            raise RuntimeError("no such number")
        return encode(chain, *rest, **named)

    monkeypatch.setattr(trying, "encode", raising)
    found = answer(filled(memory, *map(str, CHAINS)), memory)
    assert found.failed == ("pco:4", "pco:8")
    assert (found.error, found.says_something) == ("pco:4: no such number", True)
    assert [each.chain for each in found.tried] == [str(chain) for chain in CHAINS if chain.codec != "pco"]


def test_past_its_time_no_further_chain_is_tried(memory: SampleMemory) -> None:
    found = answer(filled(memory, *map(str, CHAINS), longest_s=0.0), memory)
    assert len(found.tried) <= 1
    assert (found.error, found.failed) == ("", ())
