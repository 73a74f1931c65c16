"""A learned stream: which decisions are in force in which block, and which of them are taken back."""

from __future__ import annotations

from gateway.connections.link_tier import TIERS
from gateway.connections.ports import EncodingOutcome
from gateway.connections.receiver_profile import ReceiverProfile
from gateway.ids import Epoch, StreamId, StreamName
from gateway.optimizer.decisions.deciding import UNENCODED, Chains
from gateway.optimizer.decisions.decision import Decision
from gateway.optimizer.decisions.guard import FIRST_RECESS_S
from gateway.optimizer.decisions.learned_stream import GuardedDecision, LearnedStream
from gateway.optimizer.decisions.switchback import BLOCK_MESSAGES, COMPARED_BLOCKS
from gateway.optimizer.delivery_cost import Delivery
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.messages import Kind
from gateway.streams.stream import Stream

SLOW = ReceiverProfile(frozenset({"lz4", "zstd"}), TIERS[1])
FAST = ReceiverProfile(frozenset({"lz4", "zstd"}), TIERS[-1])
LZ4, ZSTD, DELTA = Chain(False, "lz4"), Chain(False, "zstd", 1), Chain(False, "lz4", None, "xor", 1)
BETTER = Decision(ZSTD, None, 0.1, 0.2, "half the bytes")
USED = Chains(LZ4, None)
USUAL = Decision(LZ4, None, 0.2, 0.2, "as the baseline")
DELIVERY = Delivery(payload_bytes=1_000_000, goodput_bytes_per_s=2.5e6)


def learned(decision: Decision = BETTER, delivery: Delivery | None = DELIVERY) -> LearnedStream:
    stream = Stream(StreamId(1), StreamName("wf/1"), Kind.STATE, Epoch(1))
    found = LearnedStream(stream, 0.0, {SLOW: GuardedDecision(), FAST: GuardedDecision()})
    found.put(SLOW, decision, delivery)
    found.apply(0.0, trusted=True)
    return found


def pass_blocks(found: LearnedStream, count: int) -> None:
    for _ in range(count * BLOCK_MESSAGES):
        if found.blocks.count():
            found.apply(0.0, trusted=True)


def compare(found: LearnedStream, sent: dict[Chain, int], baseline: Chains = USED) -> list[ReceiverProfile]:
    """Have a round of messages sent by some chains, of so many bytes of a thousand, and compare them."""
    while not found.blocks.is_compared:
        found.blocks.count()
    for chain, sent_bytes in sent.items():
        for _ in range(BLOCK_MESSAGES):
            found.blocks.add(EncodingOutcome(chain, 1000, sent_bytes, 1e-6))
    pass_blocks(found, COMPARED_BLOCKS)
    return found.compare(lambda _: baseline, 0.0)


def test_a_decision_is_in_force_for_its_receivers() -> None:
    found = learned()
    assert (found.chains, found.deltas) == ({SLOW: ZSTD}, {SLOW: PLAIN})
    found.put(SLOW, Decision(LZ4, DELTA, 0.1, 0.2, "deltas"), DELIVERY)
    found.apply(0.0, trusted=True)
    assert (found.chains, found.deltas) == ({SLOW: LZ4}, {SLOW: DELTA})


def test_a_decision_for_payloads_that_are_published_encoded_is_for_these_alone() -> None:
    found = learned()
    assert found.put(SLOW, BETTER, DELIVERY, 0.5)
    assert not found.put(SLOW, BETTER, DELIVERY, 0.4)
    found.apply(0.0, trusted=True)
    assert (found.anew, found.chains, found.deltas) == ({SLOW: ZSTD}, {}, {})
    assert not compare(found, {ZSTD: 400}, baseline=USED)
    slower = learned()
    slower.put(SLOW, BETTER, DELIVERY, 0.5)
    assert [SLOW] in [compare(slower, {ZSTD: 2000}) for _ in range(4)]  # what goes as published is the baseline
    slower.apply(0.0, trusted=True)
    assert not slower.anew


def test_what_the_baseline_chooses_too_is_left_to_it() -> None:
    assert not learned(USUAL).chains


def test_no_decision_is_in_force_without_trust_or_in_the_block_of_the_baseline() -> None:
    found = learned()
    found.apply(0.0, trusted=False)
    assert not found.chains
    pass_blocks(found, 2)
    assert found.blocks.by_baseline
    assert not found.chains
    pass_blocks(found, 1)
    assert found.chains == {SLOW: ZSTD}


def test_only_other_chains_are_another_decision() -> None:
    found = learned()
    assert not found.put(SLOW, Decision(ZSTD, None, 0.15, 0.2, "as before"), DELIVERY)
    assert found.put(SLOW, Decision(LZ4, None, 0.15, 0.2, "another one"), DELIVERY)
    assert found.put(SLOW, None, None)
    assert not found.put(SLOW, USUAL, DELIVERY)


def test_a_decision_that_costs_more_is_taken_back_until_its_recess_is_over() -> None:
    found, worse = learned(), {ZSTD: 800, LZ4: 400}
    assert [compare(found, worse), compare(found, worse)] == [[], [SLOW]]
    found.apply(0.0, trusted=True)
    assert not found.chains
    assert compare(found, worse) == []  # it is not in force
    found.apply(FIRST_RECESS_S, trusted=True)
    assert found.chains == {SLOW: ZSTD}


def test_a_decision_that_costs_less_is_kept() -> None:
    found = learned()
    for _ in range(10):
        assert compare(found, {ZSTD: 400, LZ4: 800}) == []
    verdict = found.decisions[SLOW].guard.verdict(0.0)
    assert (verdict.in_force, verdict.pairs) == (True, 10)
    assert verdict.measured_s is not None
    assert verdict.baseline_s is not None
    assert verdict.measured_s < verdict.baseline_s


def test_the_time_in_which_receivers_decode_counts() -> None:
    found = learned()
    found.decisions[SLOW].decode_s_per_byte = {"zstd:1": 1e-5, "lz4": 1e-9}
    for _ in range(2):
        taken_back = compare(found, {ZSTD: 400, LZ4: 400})
    assert taken_back == [SLOW]


def test_without_outcomes_of_both_or_a_delivery_nothing_is_compared() -> None:
    for found, sent, baseline in (
        (learned(), {LZ4: 400}, USED),
        (learned(), {ZSTD: 900}, USED),
        (learned(), {ZSTD: 900}, Chains(ZSTD, None)),
        (learned(delivery=None), {ZSTD: 900, LZ4: 400}, USED),
    ):
        compare(found, sent, baseline)
        assert found.decisions[SLOW].guard.verdict(0.0).pairs == 0


def test_plain_payloads_of_the_baseline_are_compared() -> None:
    found = learned()
    compare(found, {ZSTD: 900}, UNENCODED)
    assert found.decisions[SLOW].guard.verdict(0.0).pairs == 1


def test_another_decision_begins_without_the_pairs_of_the_one_before() -> None:
    found = learned()
    compare(found, {ZSTD: 300, LZ4: 600})
    assert found.decisions[SLOW].guard.verdict(0.0).pairs == 1
    found.put(SLOW, Decision(ZSTD, DELTA, 0.1, 0.2, "deltas"), DELIVERY)
    assert found.decisions[SLOW].guard.verdict(0.0).pairs == 0


def test_only_receivers_with_a_decision_of_their_own_are_missed() -> None:
    found = learned()
    found.decisions[SLOW].recorded_s = 10.0
    assert not found.drop_idle(10.0)
    assert list(found.decisions) == [SLOW]
    assert found.drop_idle(10.1)
    assert not found.decisions
