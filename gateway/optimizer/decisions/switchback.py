"""Switchback: blocks of messages of one stream that go by the baseline, and the outcomes around them.

One block in sixteen goes by the baseline, so that the cost of the baseline is known while a decision is in force. It is
compared with the blocks before and behind it, by which a slow change of the contents cancels out. Pure values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.connections.ports import EncodingOutcome
from gateway.optimizer.delivery_cost import EncodingFigures
from gateway.protocol.encoding import PLAIN, Chain

BLOCK_MESSAGES: Final = 32
"""Messages of a block."""
BLOCKS: Final = 16
"""Blocks of a round, of which one goes by the baseline."""
BASELINE_BLOCK: Final = 1
"""Number of the latter. The block before it is the first of a round, so that a new decision is compared at once."""
COMPARED_BLOCKS: Final = 3
"""Blocks from the first of a round on whose outcomes are compared."""
LEAST_OUTCOMES: Final = BLOCK_MESSAGES // 4
"""Outcomes of a chain below which nothing is said about it: others were sent as published, or come too late."""


@dataclass(slots=True)
class OutcomeSum:
    """Sum of the outcomes of one chain."""

    outcomes: int = 0
    """Number of outcomes."""
    published_bytes: int = 0
    """Bytes of the payloads as they were published."""
    sent_bytes: int = 0
    """Bytes as they were sent."""
    seconds: float = 0.0
    """CPU time of encoding."""

    def figures(self, chain: Chain, decode_s_per_byte: float) -> EncodingFigures:
        """Return the mean as figures of the chain.

        Args:
            chain: the chain.
            decode_s_per_byte: time in which receivers decode, which no outcome has.
        """
        size = max(1, self.published_bytes)
        return EncodingFigures(str(chain), self.sent_bytes / size, self.seconds / size, decode_s_per_byte)


class Switchback:
    """Blocks of one stream, and the outcomes of those that are compared."""

    __slots__ = ("_block", "_left", "_sums")

    def __init__(self) -> None:
        self._block = 0
        self._left = BLOCK_MESSAGES
        self._sums: dict[Chain, OutcomeSum] = {}

    @property
    def by_baseline(self) -> bool:
        """True if the messages of this block go by the baseline."""
        return self._block == BASELINE_BLOCK

    @property
    def is_compared(self) -> bool:
        """True if the outcomes of this block count."""
        return self._block < COMPARED_BLOCKS

    @property
    def ends_comparison(self) -> bool:
        """True if this is the first block behind those that are compared, whose outcomes have come."""
        return self._block == COMPARED_BLOCKS

    def count(self) -> bool:
        """Count a message, and return whether it is the first one of another block."""
        if self._left:
            self._left -= 1
            return False
        self._left = BLOCK_MESSAGES - 1
        self._block = (self._block + 1) % BLOCKS
        if not self._block:
            self._sums = {}
        return True

    def add(self, outcome: EncodingOutcome) -> None:
        """Add an outcome of a block that is compared; those of other blocks are left out."""
        if self._block >= COMPARED_BLOCKS:
            return
        found = self._sums.get(outcome.chain)
        if found is None:
            found = self._sums[outcome.chain] = OutcomeSum()
        found.outcomes += 1
        found.published_bytes += outcome.published_bytes
        found.sent_bytes += outcome.sent_bytes
        found.seconds += outcome.seconds

    def figures(self, chain: Chain, delta: Chain | None, decode_s_per_byte: dict[str, float]) -> EncodingFigures | None:
        """Return how payloads were sent by one choice: as deltas if enough were; ``None``: too few were.

        Args:
            chain: chain of complete payloads.
            delta: chain of deltas; ``None``: none were made.
            decode_s_per_byte: time in which receivers decode, by chain; 0 for one that is missing.
        """
        for each in (chain,) if delta is None else (delta, chain):
            if each == PLAIN:
                # There are no outcomes of it.
                return EncodingFigures(str(PLAIN), 1.0, 0.0, decode_s_per_byte.get(str(PLAIN), 0.0))
            found = self._sums.get(each)
            if found is not None and found.outcomes >= LEAST_OUTCOMES:
                return found.figures(each, decode_s_per_byte.get(str(each), 0.0))
        return None
