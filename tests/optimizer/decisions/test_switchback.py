"""Switchback: which messages go by the baseline, and the outcomes that are compared."""

from __future__ import annotations

from gateway.connections.ports import EncodingOutcome
from gateway.optimizer.decisions.switchback import (
    BLOCK_MESSAGES,
    BLOCKS,
    LEAST_OUTCOMES,
    Switchback,
)
from gateway.optimizer.delivery_cost import EncodingFigures
from gateway.protocol.encoding import PLAIN, Chain

LZ4, ZSTD, DELTA = Chain(False, "lz4"), Chain(False, "zstd", 1), Chain(False, "lz4", None, "xor", 1)
ROUND = BLOCKS * BLOCK_MESSAGES


def outcome(chain: Chain = LZ4, sent_bytes: int = 500) -> EncodingOutcome:
    return EncodingOutcome(chain, 1000, sent_bytes, 2.0**-20)


def passed(blocks: int) -> Switchback:
    """Blocks of a stream of which the first message of this one was counted."""
    switchback = Switchback()
    for _ in range(blocks * BLOCK_MESSAGES + 1):
        switchback.count()
    return switchback


def test_one_block_in_sixteen_goes_by_the_baseline() -> None:
    switchback, by_baseline = Switchback(), []
    for _ in range(3 * ROUND):
        switchback.count()
        by_baseline.append(switchback.by_baseline)
    for begin in range(0, 3 * ROUND, ROUND):
        one_round = by_baseline[begin : begin + ROUND]
        assert sum(one_round) == BLOCK_MESSAGES
        assert all(one_round[BLOCK_MESSAGES : 2 * BLOCK_MESSAGES])


def test_the_first_message_of_each_block_is_told() -> None:
    switchback = Switchback()
    firsts = [number for number in range(2 * ROUND) if switchback.count()]
    assert firsts == list(range(BLOCK_MESSAGES, 2 * ROUND, BLOCK_MESSAGES))


def test_the_blocks_around_the_baseline_are_compared_once_a_round() -> None:
    blocks = [passed(number) for number in range(BLOCKS)]
    assert [each.is_compared for each in blocks] == [True] * 3 + [False] * 13
    assert [each.ends_comparison for each in blocks] == [False] * 3 + [True] + [False] * 12


def test_outcomes_are_added_up_by_chain() -> None:
    switchback = Switchback()
    for number in range(LEAST_OUTCOMES):
        switchback.add(outcome(LZ4, 400 + 100 * (number % 2)))
        switchback.add(outcome(ZSTD, 250))
    assert switchback.figures(LZ4, None, {"lz4": 2e-9}) == EncodingFigures("lz4", 0.45, 2.0**-20 / 1000, 2e-9)
    assert switchback.figures(ZSTD, None, {}) == EncodingFigures("zstd:1", 0.25, 2.0**-20 / 1000, 0.0)


def test_of_a_chain_with_few_outcomes_nothing_is_said() -> None:
    switchback = Switchback()
    for _ in range(LEAST_OUTCOMES - 1):
        switchback.add(outcome())
    assert switchback.figures(LZ4, None, {}) is None


def test_plain_payloads_have_no_outcomes_and_cost_nothing_to_encode() -> None:
    assert Switchback().figures(PLAIN, None, {}) == EncodingFigures("none", 1.0, 0.0, 0.0)


def test_deltas_count_rather_than_the_few_complete_payloads_beside_them() -> None:
    switchback = Switchback()
    for _ in range(LEAST_OUTCOMES):
        switchback.add(outcome(LZ4))
    found = switchback.figures(LZ4, DELTA, {})
    assert found is not None
    assert found.chain == "lz4"  # hardly any delta was made
    for _ in range(LEAST_OUTCOMES):
        switchback.add(outcome(DELTA))
    found = switchback.figures(LZ4, DELTA, {})
    assert found is not None
    assert found.chain == str(DELTA)


def test_outcomes_of_other_blocks_and_of_the_round_before_are_left_out() -> None:
    switchback = Switchback()
    for _ in range(LEAST_OUTCOMES):
        switchback.add(outcome())
    for _ in range(3 * BLOCK_MESSAGES + 1):
        switchback.count()
    for _ in range(10 * LEAST_OUTCOMES):
        switchback.add(outcome(sent_bytes=1))
    found = switchback.figures(LZ4, None, {})
    assert found is not None
    assert found.ratio == 0.5
    for _ in range(ROUND - 3 * BLOCK_MESSAGES):
        switchback.count()
    assert switchback.figures(LZ4, None, {}) is None
