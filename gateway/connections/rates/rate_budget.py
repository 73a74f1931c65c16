"""Rate budget: messages and bytes that a group of publishers may publish in a second, and the debt of the group."""

from __future__ import annotations

from typing import Final

from gateway.connections.admission.settings import PublishBudget

BURST_S: Final = 1.0
"""Time whose messages and bytes a group may publish at once, when it has published less before."""

MAX_DEBT_S: Final = 5.0
"""Longest time for which a group pays for what it has published."""


class RateBudget:
    """Budget of one group of publishers.

    Debts are times: what was published in advance, in seconds of the rate that is allowed.

    Args:
        budget: the rates; 0: no bound.
        max_debt_s: longest debt; what is published beyond it is forgiven.

    Attributes:
        messages_per_s: rate since the last call of :meth:`spend`.
        bytes_per_s: likewise.
    """

    __slots__ = ("_bytes_debt_s", "_max_debt_s", "_messages_debt_s", "budget", "bytes_per_s", "messages_per_s")

    def __init__(self, budget: PublishBudget, max_debt_s: float = MAX_DEBT_S) -> None:
        self.budget = budget
        self._max_debt_s = max_debt_s
        self._messages_debt_s = self._bytes_debt_s = -BURST_S
        self.messages_per_s = self.bytes_per_s = 0.0

    @property
    def debt_s(self) -> float:
        """Time for which the group is to publish nothing; 0 if it has kept to its budget."""
        return max(0.0, self._messages_debt_s, self._bytes_debt_s)

    @property
    def tight(self) -> bool:
        """Whether the group is in debt, or close to it: it could not publish at once for half of the burst any more."""
        return max(self._messages_debt_s, self._bytes_debt_s) > -BURST_S / 2

    @property
    def at_rest(self) -> bool:
        """Whether it is as new."""
        return self._messages_debt_s == self._bytes_debt_s == -BURST_S

    def spend(self, messages: float, nbytes: float, elapsed_s: float) -> None:
        """Count what the group has published.

        Args:
            messages: messages.
            nbytes: their bytes.
            elapsed_s: time since the last call; above 0.
        """
        self.messages_per_s, self.bytes_per_s = messages / elapsed_s, nbytes / elapsed_s
        budget, messages_debt_s, bytes_debt_s = self.budget, self._messages_debt_s, self._bytes_debt_s
        self._messages_debt_s = self._owed(messages_debt_s - elapsed_s, messages, budget.messages_per_s)
        self._bytes_debt_s = self._owed(bytes_debt_s - elapsed_s, nbytes, budget.bytes_per_s)

    def load(self, messages: float, nbytes: float) -> float:
        """Return the part of the budget that one publisher has taken, in seconds."""
        by_messages = messages / self.budget.messages_per_s if self.budget.messages_per_s else 0.0
        by_bytes = nbytes / self.budget.bytes_per_s if self.budget.bytes_per_s else 0.0
        return max(by_messages, by_bytes)

    def _owed(self, debt_s: float, amount: float, per_s: float) -> float:
        spent_s = amount / per_s if per_s else 0.0
        return min(max(debt_s, -BURST_S) + spent_s, self._max_debt_s)
