"""Recording: port by which the wiring of a gateway uses its traffic history, whose modules load only if it has one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from gateway.connections.core import Core
from gateway.connections.ports import DeliveryPolicy
from gateway.optimizer.history.stats import TrafficHistoryStats


class Recording(Protocol):
    """Recording of the decisions of a delivery policy."""

    policy: DeliveryPolicy
    """Policy for the core, which decides as the recorded one does."""

    def begin(self, core: Core) -> None:
        """Record the traffic of a core that has :attr:`policy`, whose sweeps have not begun."""

    def close_records(self) -> Iterator[None]:
        """Close all records, before receivers go; what comes later need not be. Yields behind each, for the loop."""

    def close(self, timeout_s: float) -> None:
        """Have all records written; for any thread, once the core is not used any more.

        Args:
            timeout_s: longest time.
        """

    def stats(self) -> TrafficHistoryStats:
        """Return the counts as they stand."""
