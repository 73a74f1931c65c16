"""Health of a store, for the probes of an orchestrator and for metrics."""

from __future__ import annotations

from typing import Final, NamedTuple


class StoreHealth(NamedTuple):
    """Health of a store at one time."""

    problem: str | None
    """Reason why messages are not stored now; ``None``: they are."""
    failures: int
    """Operations that failed: transactions, reads, checks of the file."""
    refused_messages: int
    """Published messages that were not stored."""

    @property
    def failing(self) -> bool:
        """Whether messages are not stored now."""
        return self.problem is not None


NO_STORE: Final = StoreHealth(problem=None, failures=0, refused_messages=0)
"""Health where there is no store."""
