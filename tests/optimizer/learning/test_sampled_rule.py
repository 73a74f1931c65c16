"""The sampled rule: by ratios it chooses as it does by payloads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gateway.optimizer.decisions.advice import figures_of
from gateway.optimizer.decisions.deciding import Chains
from gateway.optimizer.history.record import TriedChain
from gateway.optimizer.learning.sampled_rule import element_of, is_integer, usual_chains
from gateway.optimizer.shadow.trying import try_chains
from gateway.protocol.dtypes import BYTE
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.sampling import choose_chain, choose_delta
from tests.optimizer.learning.trials import CODECS, trial


@pytest.mark.parametrize("kind", ["random", "few", "steps"])
def test_the_choice_is_that_of_the_sampled_policy(kind: str) -> None:
    draw = np.random.default_rng(1)
    before = {
        "random": draw.normal(size=10_000).astype(np.float32),
        "few": draw.integers(0, 3, 10_000).astype(np.float32),
        "steps": np.arange(10_000, dtype=np.float32),
    }[kind]
    after = before.copy()
    after[::50] += 1
    payload, base = after.view(np.uint8).data, before.view(np.uint8).data
    codecs, kinds = [("lz4", None), ("zstd", 1)], [("", 0), ("xor", 1)]
    chains = [Chain(shuffle, *codec, *kind) for shuffle in (False, True) for codec in codecs for kind in kinds]
    tried = tuple(try_chains(chains, payload, after.dtype, base, lambda: 0.0))
    found = replace(trial(1, 4.0), sample_bytes=len(payload), tried=tried, based=True)
    delta = choose_delta(payload, base, after.dtype, CODECS, CODECS, integers=False)
    expected = Chains(choose_chain(payload, after.dtype, CODECS, CODECS), None if delta == PLAIN else delta)
    assert usual_chains(figures_of(found), found, CODECS) == expected


def test_chains_without_figures_make_nothing_smaller() -> None:
    found = replace(trial(1, 4.0), tried=(TriedChain("none", 131_072, 0.0, 0.0),))
    assert usual_chains(figures_of(found), found, CODECS) == Chains(PLAIN, None)


def test_mixed_tensors_are_bytes() -> None:
    assert element_of(replace(trial(1, 4.0), dtype="float9")) == BYTE
    assert element_of(replace(trial(1, 4.0), dtype="")) == BYTE
    assert is_integer(replace(trial(1, 4.0), dtype="uint8"))
    assert not is_integer(trial(1, 4.0))
