"""The score of a link lies in 0..1 whatever is measured, and falls with each value that becomes worse."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import fields, replace
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.link_quality import HALF_SCORE_S, SCORED_BYTES, LinkQuality, quality_score
from tests.layout import ROOT

VECTORS: Final = ROOT / "spec" / "vectors" / "scores" / "quality-score.jsonl"
TERMS: Final = [field.name for field in fields(LinkQuality)]

plausible = st.one_of(st.none(), st.floats(0, 1e12))
qualities = st.builds(LinkQuality, **dict.fromkeys(TERMS, plausible))
anything = st.builds(LinkQuality, **dict.fromkeys(TERMS, st.one_of(st.none(), st.floats())))


@given(anything)
def test_the_score_lies_between_0_and_1_whatever_was_measured(quality: LinkQuality) -> None:
    assert 0 <= quality.score <= 1


@pytest.mark.parametrize("term", TERMS)
@given(quality=qualities, values=st.tuples(st.floats(0, 1e12), st.floats(0, 1e12)))
def test_the_score_is_monotone_in_each_term(term: str, quality: LinkQuality, values: tuple[float, float]) -> None:
    low, high = (replace(quality, **{term: value}).score for value in sorted(values))
    if term == "goodput_bytes_per_s":
        low, high = high, low
    assert low >= high


@pytest.mark.parametrize("term", TERMS)
@given(quality=qualities, value=st.floats(0, 1e12))
def test_a_value_that_is_not_known_never_makes_the_score_worse(term: str, quality: LinkQuality, value: float) -> None:
    assert replace(quality, **{term: None}).score >= replace(quality, **{term: value}).score


@pytest.mark.parametrize("term", TERMS)
def test_each_term_counts(term: str) -> None:
    better, worse = (0.1, 0.2) if term != "goodput_bytes_per_s" else (2e6, 1e6)
    assert LinkQuality(**{term: better}).score > LinkQuality(**{term: worse}).score


def test_nothing_is_held_against_a_link_of_which_nothing_is_known() -> None:
    assert LinkQuality().score == 1.0


def test_some_links_by_hand() -> None:
    assert LinkQuality(rtt_s=2 * HALF_SCORE_S).score == pytest.approx(0.5)
    assert LinkQuality(goodput_bytes_per_s=SCORED_BYTES / HALF_SCORE_S).score == pytest.approx(0.5)
    assert LinkQuality(queue_delay_s=HALF_SCORE_S, gap_share=0.5, conflated_share=0.5).score == pytest.approx(0.1875)
    assert LinkQuality(goodput_bytes_per_s=0.0).score == 0
    assert LinkQuality(gap_share=1.0).score == 0
    assert quality_score(math.inf) == 0


RECORDED: Final = (13, "7c5f5adfdf390a6646a6be4005dc814f4d38f8f07dc151f191f6b94abb52bc7e")
"""Number of the golden scores, and the SHA-256 of their lines: further ones come behind them, and none changes."""


def test_golden_scores_are_only_added() -> None:
    count, digest = RECORDED
    lines = VECTORS.read_bytes().splitlines(keepends=True)
    assert hashlib.sha256(b"".join(lines[:count])).hexdigest() == digest
    assert len(lines) == count, "record the new ones"


def vectors() -> list[dict[str, Any]]:
    """The lines of the golden file; ``"infinity"`` stands for a value that JSON has no number for."""
    return [json.loads(line) for line in VECTORS.read_text("ascii").splitlines()]


@pytest.mark.parametrize("vector", vectors(), ids=lambda vector: vector["about"])
def test_golden_scores(vector: dict[str, Any]) -> None:
    assert LinkQuality(**vector["link"]).score == pytest.approx(vector["score"], abs=1e-12)


def test_the_golden_scores_try_each_term() -> None:
    assert {term for vector in vectors() for term in vector["link"]} == set(TERMS)
