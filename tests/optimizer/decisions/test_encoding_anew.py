"""Encoding anew: what a publisher has encoded counts as plain, and to decode it has a price."""

from __future__ import annotations

import pytest

from gateway.optimizer.decisions.decision import Decision
from gateway.optimizer.decisions.encoding_anew import (
    KEPT_SAVING,
    LEAST_SAVING,
    as_decided,
    over_published,
)
from gateway.optimizer.delivery_cost import EncodingFigures
from gateway.protocol.encoding import PLAIN, Chain

TRIED = (
    EncodingFigures("none", 1.0, 0.0, 0.0),
    EncodingFigures("lz4", 0.5, 1e-9, 0.5e-9),
    EncodingFigures("shuffle+zstd:1", 0.25, 4e-9, 1e-9),
    EncodingFigures("shuffle+zstd:3", 0.2, 8e-9, 1e-9),
    EncodingFigures("xor:1+lz4", 0.1, 1e-9, 1e-9),
    EncodingFigures("later:1", 0.1, 1e-9, 1e-9),
)


def test_figures_are_those_of_a_byte_as_it_was_published_with_its_decoding() -> None:
    found = over_published(TRIED, "lz4")
    assert found is not None
    assert found.ratio == 0.5
    by_chain = {each.chain: each for each in found.figures}
    assert list(by_chain) == ["none", "lz4", "shuffle+zstd:1", "shuffle+zstd:3"]
    assert by_chain["none"] == EncodingFigures("none", 1.0, 0.0, 1e-9)
    zstd = by_chain["shuffle+zstd:1"]
    figures = zstd.ratio, zstd.encode_s_per_byte, zstd.decode_s_per_byte
    assert figures == pytest.approx((0.5, 2 * (0.5e-9 + 4e-9), 2e-9))


def test_the_best_level_counts_as_that_of_the_publisher() -> None:
    found = over_published(TRIED, "shuffle+zstd")
    assert found is not None
    assert found.ratio == 0.2
    assert over_published(TRIED, "zstd") is None


def test_a_decision_has_to_save_much() -> None:
    chain = Chain(False, "zstd", 3)
    decision = Decision(chain, None, 0.5, 1.0, "it is better")
    reason = "published by lz4, which none stands for here: it is better"
    assert as_decided(decision, "lz4", None) == Decision(chain, None, 0.5, 1.0, reason)
    little = Decision(chain, None, 1 - (LEAST_SAVING + KEPT_SAVING) / 2, 1.0, "it is better")
    assert as_decided(little, "lz4", None) is None
    assert as_decided(little, "lz4", chain) is not None
    assert as_decided(Decision(PLAIN, None, 1.0, 1.0, "as the baseline"), "lz4", chain) is None
