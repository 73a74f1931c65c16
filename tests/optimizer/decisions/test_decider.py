"""The decider: when decisions are taken, by which figures, and what it knows nothing of."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given

from gateway.connections.link_tier import TIERS
from gateway.connections.receiver_profile import ReceiverProfile
from gateway.ids import Epoch, StreamId, StreamName
from gateway.optimizer.decisions.decider import IDLE_S, REDECIDE_S, Decider, key_of
from gateway.optimizer.decisions.decision import Decision
from gateway.optimizer.decisions.decision_table import DecisionTable
from gateway.optimizer.decisions.guard import GuardVerdict
from gateway.optimizer.decisions.learned_policy import LearnedPolicy
from gateway.optimizer.decisions.learned_stream import GuardedDecision, LearnedStream
from gateway.optimizer.delivery_cost import EncodingFigures
from gateway.optimizer.history.record import ShadowTrial, TrafficRecord, TriedChain
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.messages import Kind
from gateway.streams.stream import Stream
from tests.connections.memory import FixedPolicy, ManualClock
from tests.optimizer.history.records import ANY_RECORD, ANY_TRIAL, record, shadow_trial

CODECS = ("lz4", "pco", "zstd")
SLOW, FAST = TIERS[1], TIERS[-1]
PCO, LZ4 = Chain(False, "pco", 8), Chain(False, "lz4")


class Deciding:
    """A decider with one stream and its receivers."""

    def __init__(self, profile: ReceiverProfile | None = None, delta: Chain = PLAIN, kind: Kind = Kind.EVENT) -> None:
        self.clock = ManualClock()
        self.policy = LearnedPolicy(FixedPolicy(delta=delta), self.clock)
        self.decider = Decider(self.policy, self.clock)
        self.stream = Stream(StreamId(1), StreamName("wf/1"), kind, Epoch(1))
        self.profile = profile or ReceiverProfile(frozenset({*CODECS, "xor"}), SLOW)
        self.policy.chain_for(self.stream, self.profile)

    def recorded(self, **fields: object) -> None:
        values: dict[str, object] = {
            "codecs": tuple(self.profile.codecs),
            "tier": self.profile.tier.name,
            "sdk": self.profile.sdk,
            "payload_bytes": 524_288,
        }
        self.decider.recorded(self.stream, record(**(values | fields)))  # type: ignore[arg-type]

    def sweep(self) -> None:
        for _ in self.decider.sweep():
            pass

    def decided(self, **fields: object) -> GuardedDecision:
        """Take a record and a trial, and return what is decided."""
        self.recorded(**fields)
        self.decider.tried(1, shadow_trial())
        self.sweep()
        return self.guarded

    def is_due(self) -> bool:
        return self.learned.due

    @property
    def learned(self) -> LearnedStream:
        found = self.policy.get(1)
        assert found is not None
        return found

    @property
    def guarded(self) -> GuardedDecision:
        return self.learned.decisions[self.profile]

    @property
    def chain(self) -> Chain:
        return self.policy.chain_for(self.stream, self.profile)


def test_a_decision_is_taken_when_a_stream_was_tried_and_its_traffic_is_known() -> None:
    deciding = Deciding()
    deciding.sweep()
    assert deciding.guarded.decision is None
    guarded = deciding.decided()
    assert guarded.decision is not None
    assert guarded.decision.reason == "pco:8 would take 50.7 ms to a 20 Mbit/s receiver where none takes 210 ms"
    assert deciding.chain == PCO
    assert deciding.decider.changes == 1
    assert deciding.decider.table.get(key_of(deciding.stream, deciding.profile)) == guarded.decision
    assert set(deciding.policy.take_changed()) == {deciding.stream}


def test_receivers_of_other_tiers_get_what_is_best_for_them() -> None:
    assert Deciding(ReceiverProfile(frozenset(CODECS), TIERS[2])).decided().decision != Deciding().decided().decision
    deciding = Deciding(ReceiverProfile(frozenset({"lz4"}), SLOW))
    deciding.decided(codecs=("lz4",))
    assert deciding.chain == LZ4
    assert deciding.learned.apart


def test_receivers_of_which_no_rate_is_known_are_left_to_the_baseline() -> None:
    deciding = Deciding(ReceiverProfile(frozenset(CODECS)))
    assert deciding.decided(rtt_s=1e-4).decision is None
    assert deciding.chain == PLAIN
    decision = deciding.decided(goodput_bytes_per_s=1e9).decision
    assert decision is not None
    assert "on this machine" in decision.reason


def test_costs_are_those_at_the_rate_that_was_measured() -> None:
    slow, fast = Deciding().decided(goodput_bytes_per_s=1e6), Deciding().decided(goodput_bytes_per_s=5e6)
    assert slow.decision is not None
    assert fast.decision is not None
    assert slow.decision.predicted_s > fast.decision.predicted_s


def test_a_rate_that_was_measured_once_is_remembered_while_receivers_keep_up() -> None:
    deciding = Deciding(ReceiverProfile(frozenset(CODECS)))
    deciding.decided(goodput_bytes_per_s=2e6)
    assert deciding.chain == PCO
    deciding.recorded(goodput_bytes_per_s=None)
    deciding.clock.advance(REDECIDE_S + 1)
    deciding.sweep()
    assert deciding.chain == PCO


def test_a_rate_that_falls_by_a_tier_is_news() -> None:
    deciding = Deciding(ReceiverProfile(frozenset(CODECS)))
    deciding.decided(goodput_bytes_per_s=1e9)
    assert deciding.chain == PLAIN
    deciding.recorded(goodput_bytes_per_s=9e8)
    assert not deciding.is_due()
    deciding.recorded(goodput_bytes_per_s=1.25e6)
    assert deciding.is_due()
    deciding.sweep()
    assert deciding.chain == PCO


def test_receivers_whose_tier_has_changed_are_decided_for_by_the_traffic_of_the_others() -> None:
    deciding = Deciding(ReceiverProfile(frozenset(CODECS)))
    deciding.decided(goodput_bytes_per_s=1e9)
    deciding.profile = deciding.profile._replace(tier=SLOW)
    assert deciding.chain == PLAIN
    deciding.sweep()
    assert deciding.chain == PCO


def test_other_sizes_and_numbers_of_receivers_are_news() -> None:
    deciding = Deciding()
    deciding.decided()
    deciding.recorded(payload_bytes=600_000)
    assert not deciding.is_due()
    deciding.recorded(payload_bytes=5_000_000)
    assert deciding.is_due()
    deciding.sweep()
    deciding.recorded(payload_bytes=5_000_000, receivers=20)
    assert deciding.is_due()


def test_without_news_decisions_are_taken_from_time_to_time() -> None:
    deciding = Deciding()
    deciding.decided()
    before = deciding.learned.decided_s
    deciding.sweep()
    assert deciding.learned.decided_s == before
    deciding.clock.advance(REDECIDE_S + 1)
    deciding.sweep()
    assert deciding.learned.decided_s > before


def test_records_without_messages_and_of_others_say_nothing() -> None:
    deciding = Deciding()
    deciding.recorded(messages=0)
    deciding.recorded(tier=FAST.name)
    deciding.decider.tried(7, shadow_trial())
    assert deciding.guarded.record is None


def test_payloads_that_their_publisher_has_encoded_are_encoded_anew_where_that_saves_much() -> None:
    deciding = Deciding()
    guarded = deciding.decided(published_encoding="lz4")
    assert guarded.decision is not None
    assert guarded.decision.reason.startswith("published by lz4, which none stands for here: pco:8 would take")
    assert guarded.published_ratio == pytest.approx(61_249 / 131_072)
    assert deciding.policy.anew_for(deciding.stream, deciding.profile) == PCO
    assert deciding.chain == PLAIN
    assert deciding.decider.table.get(key_of(deciding.stream, deciding.profile)) is guarded.decision
    deciding.recorded(published_encoding="lz4")
    assert not deciding.is_due()
    deciding.decided()  # the publisher encodes no more
    assert (deciding.policy.anew_for(deciding.stream, deciding.profile), deciding.chain) == (None, PCO)


@pytest.mark.parametrize(
    ("published_encoding", "profile"),
    [("lz4", ReceiverProfile(frozenset(CODECS), FAST)), ("pco", None), ("snappy", None)],
    ids=["a fast link", "nothing better", "never tried"],
)
def test_payloads_that_their_publisher_has_encoded_are_left_alone(
    published_encoding: str, profile: ReceiverProfile | None
) -> None:
    deciding = Deciding(profile)
    fast = {} if profile is None else {"goodput_bytes_per_s": 4e9}
    assert deciding.decided(published_encoding=published_encoding, **fast).decision is None
    assert deciding.policy.anew_for(deciding.stream, deciding.profile) is None


def test_states_that_go_as_deltas_are_not_encoded_anew() -> None:
    deciding = Deciding(delta=Chain(False, "zstd", 1, "xor", 1), kind=Kind.STATE)
    assert deciding.decided(published_encoding="lz4").decision is None


def test_receivers_that_decode_slowly_are_known_by_what_they_report() -> None:
    fast, slow = (
        Deciding().decided(chain="lz4"),
        Deciding().decided(chain="lz4", decode_s_per_byte=2.0**-15 / 131_072 * 8),
    )
    assert fast.decode_factor == 1.0
    assert slow.decode_factor == pytest.approx(8.0)
    assert slow.decode_s_per_byte["pco:8"] == pytest.approx(8 * fast.decode_s_per_byte["pco:8"])


def test_a_stream_without_traffic_is_forgotten_but_for_the_table() -> None:
    deciding = Deciding()
    deciding.decided()
    deciding.clock.advance(IDLE_S + 1)
    deciding.sweep()
    assert len(deciding.policy) == 0
    assert len(deciding.decider.table) == 1
    assert deciding.chain == PLAIN
    deciding.sweep()
    assert deciding.chain == PCO  # by the table


@pytest.mark.parametrize("in_force", [True, False])
def test_decisions_of_an_earlier_start_are_followed_unless_they_were_taken_back(in_force: bool) -> None:
    deciding, table = Deciding(), DecisionTable()
    key = key_of(deciding.stream, deciding.profile)
    table.put(key, Decision(LZ4, None, 0.1, 0.2, "as ever"))
    table.verdicts[key] = GuardVerdict(in_force, 4, 0.1, 0.2)
    deciding.decider.adopt(table)
    deciding.sweep()
    assert deciding.chain == (LZ4 if in_force else PLAIN)
    assert deciding.decider.table.verdicts == ({key: table.verdicts[key]} if in_force else {})
    deciding.decided()
    assert deciding.chain == PCO


def test_receivers_that_are_gone_are_forgotten() -> None:
    deciding = Deciding()
    deciding.decided()
    gone, deciding.profile = deciding.profile, ReceiverProfile(frozenset(CODECS), FAST)
    deciding.policy.chain_for(deciding.stream, deciding.profile)
    deciding.clock.advance(IDLE_S - 1)
    deciding.recorded(goodput_bytes_per_s=1e9)
    deciding.clock.advance(2)
    deciding.sweep()
    assert gone not in deciding.learned.decisions
    assert deciding.guarded.decision is not None


def test_what_was_decided_meanwhile_counts_rather_than_an_earlier_start() -> None:
    deciding, table = Deciding(), DecisionTable()
    decision = deciding.decided().decision
    key = key_of(deciding.stream, deciding.profile)
    table.put(key, Decision(LZ4, None, 0.1, 0.2, "as ever"))
    deciding.decider.adopt(table)
    assert deciding.decider.table.get(key) == decision


@given(ANY_RECORD, ANY_TRIAL)
def test_whatever_was_recorded_decisions_are_finite(traffic: TrafficRecord, trial: ShadowTrial) -> None:
    """NaN features, absent link data, one class of data, chains and codecs that are none, clocks that jump."""
    profile = ReceiverProfile(frozenset(traffic.codecs), SLOW, traffic.sdk)
    deciding = Deciding(profile)
    deciding.recorded(**{name: getattr(traffic, name) for name in traffic.__slots__ if name != "tier"})
    deciding.decider.tried(1, trial)
    deciding.sweep()
    decision = deciding.guarded.decision
    if decision is not None:
        assert math.isfinite(decision.predicted_s)
        assert math.isfinite(decision.baseline_s)
        DecisionTable.from_json(deciding.decider.table.to_json())


@pytest.mark.parametrize("saved", [0.0, 0.03, 0.05, 0.08])
def test_a_saving_about_the_threshold_does_not_come_and_go_with_noise(saved: float) -> None:
    """A thousand trials, three hours, each with noise of 5 % in sizes and 20 % in times."""
    draw, deciding, size = np.random.default_rng(5), Deciding(), 131_072
    deciding.policy = LearnedPolicy(FixedPolicy(LZ4), deciding.clock)
    deciding.decider = Decider(deciding.policy, deciding.clock)
    deciding.policy.chain_for(deciding.stream, deciding.profile)
    deciding.recorded(goodput_bytes_per_s=2.5e6)

    def outcome(chain: str, encoded_bytes: float, encode_s: float) -> TriedChain:
        spread = 1 + np.array([0.05, 0.2, 0.2]) * draw.standard_normal(3).clip(-2, 2)
        return TriedChain(chain, int(encoded_bytes * spread[0]), encode_s * spread[1], encode_s * spread[2] / 4)

    for _ in range(1000):
        tried = outcome("lz4", 60_000, 1e-4), outcome("zstd:1", 60_000 * (1 - saved), 2e-4)
        deciding.decider.tried(1, shadow_trial(tried=(TriedChain("none", size, 0.0, 0.0), *tried)))
        deciding.clock.advance(10.0)
        deciding.sweep()
    assert deciding.decider.changes <= 5


def test_a_probe_decides_with_what_is_predicted_of_the_rest() -> None:
    deciding = Deciding()
    deciding.recorded()
    whole = shadow_trial()
    deciding.decider.probed(1, replace(whole, tried=whole.tried[:3]))
    deciding.sweep()
    assert deciding.guarded.decision is not None
    assert (str(deciding.chain), deciding.guarded.decision.source) == ("zstd:1", "probe")
    deciding.decider.predicted(1, [EncodingFigures("pco:8", 0.2, 1e-8, 1e-9)])
    deciding.decider.predicted(7, [])
    deciding.sweep()
    decision = deciding.guarded.decision
    assert (deciding.chain, decision.source, decision.predicted_ratio) == (PCO, "probe and model", 0.2)
    assert decision.reason.startswith("predicted from other streams: pco:8 would take")
    deciding.decider.tried(1, whole)
    deciding.sweep()
    assert deciding.guarded.decision.source == "trial"
    kept = DecisionTable.from_json(deciding.decider.table.to_json())
    assert dict(kept) == {key_of(deciding.stream, deciding.profile): deciding.guarded.decision}
