"""Advice: the candidate of least cost, among those that the receivers know, in words with figures."""

from __future__ import annotations

import math

from hypothesis import given

from gateway.connections.link_tier import TIERS
from gateway.optimizer.decisions.advice import Advice, advise, figures_of
from gateway.optimizer.history.record import AS_PUBLISHED, ShadowTrial, TrafficRecord, TriedChain
from tests.optimizer.history.records import ANY_RECORD, ANY_TRIAL, record, shadow_trial

EVERY = ("lz4", "pco", "zstd")


def advices(**fields: object) -> dict[str, Advice]:
    values: dict[str, object] = {"chain": "none", "codecs": EVERY, "payload_bytes": 524_288, "receivers": 1}
    return {each.tier: each for each in advise(shadow_trial(), record(**(values | fields)))}  # type: ignore[arg-type]


def test_the_best_depends_on_the_tier() -> None:
    found = advices()
    assert list(found) == [tier.name for tier in TIERS]
    assert [each.best for each in found.values()] == ["pco:8", "pco:8", "lz4", "lz4", "none"]
    assert {each.instead_of for each in found.values()} == {"none"}
    assert not any(each.there for each in found.values())


def test_receivers_without_a_codec_get_none_of_it() -> None:
    assert [each.best for each in advices(codecs=("lz4", "zstd")).values()][:2] == ["zstd:1", "zstd:1"]
    assert {each.best for each in advices(codecs=()).values()} == {"none"}


def test_it_says_in_words_and_figures_what_would_change() -> None:
    found = advices(codecs=("lz4", "zstd"))
    assert found["20 Mbit/s"].words == "zstd:1 would take 77.9 ms to a 20 Mbit/s receiver where none takes 210 ms"
    assert found["loopback"].words == "none takes 419 us to a receiver on this machine, no candidate less"
    found = advices(codecs=("lz4", "zstd"), chain="zstd:1")
    assert found["20 Mbit/s"].words == "zstd:1 takes 77.9 ms to a 20 Mbit/s receiver, no candidate less"


def test_a_link_that_cannot_take_all_is_said_to_be_too_slow() -> None:
    found = advices(arrival_interval_s=0.1)
    words = {name: each.words for name, each in found.items()}
    assert words["2 Mbit/s"] == "pco:8 would need 4.2 times what a 2 Mbit/s receiver takes, none 21.0 times"
    assert words["20 Mbit/s"].endswith("where none needs 2.1 times what it takes")
    found = advices(arrival_interval_s=0.1, chain="pco:8")
    assert found["2 Mbit/s"].words == "pco:8 would need 4.2 times what a 2 Mbit/s receiver takes"


def test_a_candidate_that_spares_the_cpu_says_so() -> None:
    advice = Advice("1 Gbit/s", False, "lz4", 1.3e-3, "zstd:1", 1.2e-3, 0.0, 0.0)
    assert advice.words == "lz4 would take 1.3 ms to a 1 Gbit/s receiver where zstd:1 takes 1.2 ms and more of the CPU"


def test_the_tier_of_the_receivers_is_marked() -> None:
    assert [name for name, each in advices(goodput_bytes_per_s=3e6).items() if each.there] == ["20 Mbit/s"]
    shared = advices(tier="20 Mbit/s", goodput_bytes_per_s=13e9)
    assert [name for name, each in shared.items() if each.there] == ["20 Mbit/s"]


def test_receivers_that_decode_slowly_get_what_is_decoded_fast() -> None:
    decode_s_per_byte = 300 * 2.0**-13 / 131_072
    found = advices(chain="zstd:1", decode_s_per_byte=decode_s_per_byte)
    assert found["20 Mbit/s"].best == "lz4"


def test_a_chain_in_use_that_was_not_tried_is_compared_as_plain() -> None:
    assert advices(chain="snappy")["20 Mbit/s"].instead_of == "none"


def test_payloads_that_go_out_as_published_and_trials_without_outcomes_need_no_advice() -> None:
    assert advices(chain=AS_PUBLISHED) == {}
    assert list(advise(shadow_trial(tried=()), record())) == []


def test_chains_of_a_later_gateway_are_left_out() -> None:
    trial = shadow_trial(tried=(TriedChain("none", 131_072, 0.0, 0.0), TriedChain("magic:3", 1, 0.0, 0.0)))
    assert {each.best for each in advise(trial, record(codecs=("magic",)))} == {"none"}


@given(ANY_TRIAL, ANY_RECORD)
def test_whatever_was_recorded_is_advised_upon(trial: ShadowTrial, any_record: TrafficRecord) -> None:
    for each in advise(trial, any_record):
        assert each.words
        assert not math.isnan(each.best_s)
    assert len(figures_of(trial)) == len(trial.tried)
