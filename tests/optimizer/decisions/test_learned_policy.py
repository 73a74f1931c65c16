"""The learned policy: it follows decisions, leaves all else to its baseline, and is bounded."""

from __future__ import annotations

import logging

import pytest

from gateway.connections.link_tier import TIERS
from gateway.connections.ports import EncodingOutcome, Sample
from gateway.connections.receiver_profile import ReceiverProfile
from gateway.ids import Epoch, StreamId, StreamName
from gateway.optimizer.decisions import learned_policy
from gateway.optimizer.decisions.decision import Decision
from gateway.optimizer.decisions.learned_policy import LearnedPolicy
from gateway.optimizer.decisions.learned_stream import MAX_PROFILES
from gateway.optimizer.decisions.switchback import BLOCK_MESSAGES, BLOCKS
from gateway.optimizer.delivery_cost import Delivery
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.messages import Kind
from gateway.streams.stream import Stream
from tests.connections.memory import FixedPolicy, ManualClock

SLOW = ReceiverProfile(frozenset({"lz4", "zstd", "xor"}), TIERS[1])
LZ4, ZSTD = Chain(False, "lz4"), Chain(False, "zstd", 1)
DELTA, OTHER_DELTA = Chain(False, "lz4", None, "xor", 1), Chain(False, "zstd", 1, "xor", 1)
DELIVERY = Delivery(payload_bytes=1_000_000, goodput_bytes_per_s=2.5e6)


def stream(number: int = 1) -> Stream:
    return Stream(StreamId(number), StreamName(f"wf/{number}"), Kind.STATE, Epoch(1))


class Learned:
    """A policy with one stream, whose receivers are known to it."""

    def __init__(self, decision: Decision | None = None) -> None:
        self.baseline = FixedPolicy(LZ4, DELTA)
        self.clock = ManualClock()
        self.policy = LearnedPolicy(self.baseline, self.clock)
        self.stream = stream()
        self.policy.chain_for(self.stream, SLOW)
        if decision is not None:
            self.decide(decision)

    def decide(self, decision: Decision) -> None:
        found = self.policy.get(self.stream.id)
        assert found is not None
        found.put(SLOW, decision, DELIVERY)
        self.policy.apply(found, changed=True)

    def chains(self) -> tuple[Chain, Chain]:
        return self.policy.chain_for(self.stream, SLOW), self.policy.delta_for(self.stream, SLOW)

    def publish(self, messages: int, sent_bytes: dict[Chain, int] | None = None) -> None:
        """Have messages sent by the chain that the policy gives."""
        for _ in range(messages):
            self.policy.wants_sample(self.stream, based=False)
            chain = self.policy.chain_for(self.stream, SLOW)
            if sent_bytes is not None:
                self.policy.report(self.stream, EncodingOutcome(chain, 1000, sent_bytes[chain], 1e-6))


BETTER = Decision(ZSTD, OTHER_DELTA, 0.1, 0.2, "half the bytes")
WHOLE = Decision(ZSTD, None, 0.1, 0.2, "half the bytes")


def test_without_a_decision_the_baseline_chooses() -> None:
    learned = Learned()
    assert learned.chains() == (LZ4, DELTA)
    assert learned.policy.chain_for(stream(2), ReceiverProfile(frozenset())) == PLAIN
    assert learned.policy.delta_for(stream(3), SLOW) == DELTA


def test_a_decision_is_followed_and_told_to_plans_once() -> None:
    learned = Learned(BETTER)
    assert learned.chains() == (ZSTD, OTHER_DELTA)
    assert set(learned.policy.take_changed()) == {learned.stream}
    assert not learned.policy.take_changed()


def test_a_decision_without_deltas_makes_none() -> None:
    assert Learned(WHOLE).chains() == (ZSTD, PLAIN)


def test_the_baseline_goes_on_learning() -> None:
    learned, outcome = Learned(BETTER), EncodingOutcome(LZ4, 1000, 500, 1e-6)
    learned.policy.report(learned.stream, outcome)
    assert learned.baseline.outcomes == [outcome]
    with pytest.raises(AssertionError, match="it wants none"):
        learned.policy.observe(learned.stream, Sample(b"", LZ4))  # type: ignore[arg-type]
    learned.baseline.changed = [stream(7)]
    assert {each.id for each in learned.policy.take_changed()} == {1, 7}


def test_one_block_in_sixteen_goes_by_the_baseline_and_is_no_change_to_plans() -> None:
    learned = Learned(BETTER)
    learned.policy.take_changed()
    chains = []
    for _ in range(2 * BLOCKS * BLOCK_MESSAGES):
        learned.policy.wants_sample(learned.stream, based=False)
        chains.append(learned.chains())
    assert chains.count((LZ4, DELTA)) == 2 * BLOCK_MESSAGES
    assert chains.count((ZSTD, OTHER_DELTA)) == 2 * (BLOCKS - 1) * BLOCK_MESSAGES
    assert not learned.policy.take_changed()


def test_what_costs_more_than_the_baseline_is_taken_back_with_a_line_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    learned = Learned(WHOLE)
    learned.policy.take_changed()
    with caplog.at_level(logging.INFO):
        learned.publish(2 * BLOCKS * BLOCK_MESSAGES, {ZSTD: 900, LZ4: 300})
    assert learned.chains() == (LZ4, DELTA)
    assert learned.policy.taken_back == 1
    assert set(learned.policy.take_changed()) == {learned.stream}
    assert "encoding of wf/1 for 20 Mbit/s receivers is taken back: " in caplog.text


def test_without_trust_the_baseline_chooses_at_once_and_decisions_come_back_when_they_are_taken_anew() -> None:
    learned = Learned(BETTER)
    learned.policy.distrust()
    assert learned.chains() == (LZ4, DELTA)
    learned.publish(BLOCKS * BLOCK_MESSAGES)
    assert learned.chains() == (LZ4, DELTA)
    learned.policy.trust()
    found = learned.policy.get(learned.stream.id)
    assert found is not None
    assert found.due
    learned.decide(BETTER)
    assert learned.chains() == (ZSTD, OTHER_DELTA)


def test_receivers_are_told_apart_where_that_pays_and_decisions_are_trusted() -> None:
    learned = Learned(BETTER)
    found = learned.policy.get(learned.stream.id)
    assert found is not None
    assert not learned.policy.tells_apart(learned.stream)
    found.apart = True
    assert learned.policy.tells_apart(learned.stream)
    assert not learned.policy.tells_apart(stream(2))
    learned.policy.distrust()
    assert not learned.policy.tells_apart(learned.stream)


def test_a_stream_that_has_ended_is_forgotten() -> None:
    learned = Learned(BETTER)
    learned.policy.forget(learned.stream)
    assert (len(learned.policy), list(learned.policy.take_changed())) == (0, [])
    assert learned.baseline.forgotten == [1]


def test_streams_and_profiles_beyond_the_bounds_are_left_to_the_baseline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned_policy, "MAX_STREAMS", 2)
    learned = Learned(BETTER)
    for number in range(1, 5):
        assert learned.policy.chain_for(stream(number + 1), SLOW) == LZ4
    assert len(learned.policy) == 2
    for number in range(2 * MAX_PROFILES):
        learned.policy.chain_for(learned.stream, ReceiverProfile(frozenset({str(number)})))
    found = learned.policy.get(learned.stream.id)
    assert found is not None
    assert len(found.decisions) == MAX_PROFILES


def test_changes_that_nobody_takes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned_policy, "MAX_CHANGED", 2)
    learned = Learned()
    for number in range(2, 6):
        learned.policy.chain_for(stream(number), SLOW)
    for found in learned.policy:
        learned.policy.apply(found, changed=True)
    assert len(learned.policy.take_changed()) == 2


def test_a_stream_that_ends_during_a_sweep_is_not_told_to_plans() -> None:
    learned = Learned(BETTER)
    found = learned.policy.get(learned.stream.id)
    assert found is not None
    learned.policy.forget(learned.stream)
    learned.policy.apply(found, changed=True)
    assert learned.policy.take_changed() == set()


def test_the_choice_of_the_baseline_has_no_delta_if_it_makes_none() -> None:
    learned = Learned()
    assert learned.policy.baseline_of(learned.stream, SLOW) == (LZ4, DELTA)
    learned.baseline.delta = PLAIN
    assert learned.policy.baseline_of(learned.stream, SLOW) == (LZ4, None)


def test_receivers_that_are_new_and_trust_that_comes_back_call_for_decisions() -> None:
    learned = Learned()
    found = learned.policy.get(learned.stream.id)
    assert found is not None
    assert found.due
    found.due = False
    learned.policy.chain_for(learned.stream, SLOW._replace(tier=TIERS[2]))
    assert found.due
    found.due = False
    learned.policy.distrust()
    assert not found.due
    learned.policy.trust()
    assert found.due


def test_it_tells_the_chains_in_use() -> None:
    learned = Learned()
    assert learned.policy.in_use(learned.stream, SLOW) == learned.baseline.in_use(learned.stream, SLOW) != {}
    learned.decide(Decision(ZSTD, OTHER_DELTA, 0.1, 0.2, "tried", predicted_ratio=0.25))
    assert learned.policy.in_use(learned.stream, SLOW) == {OTHER_DELTA: 0.25, ZSTD: None}
    learned.decide(Decision(ZSTD, None, 0.1, 0.2, "tried", predicted_ratio=0.5))
    assert learned.policy.in_use(learned.stream, SLOW) == {ZSTD: 0.5}
