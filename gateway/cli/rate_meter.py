"""Rate meter: messages and bytes of a subscription, and their rates, as ``frys sub`` shows them."""

from __future__ import annotations

from gateway.cli import text
from gateway.client import Message, SubscriptionStats


class RateMeter:
    """Counter of messages and bytes, and of their rates. Takes times of any monotonic clock."""

    def __init__(self) -> None:
        self.messages = 0
        self.bytes = 0
        self._streams: set[str] = set()
        self._start_s = 0.0
        self._mark = (0.0, 0, 0)

    def start(self, now_s: float) -> None:
        """Begin to measure rates at ``now_s``."""
        self._start_s = now_s
        self._mark = (now_s, self.messages, self.bytes)

    def add(self, message: Message) -> None:
        """Count a message."""
        self.messages += 1
        self.bytes += message.nbytes
        self._streams.add(message.stream)

    def recent(self, now_s: float) -> str:
        """Return the rates since the last call, as text."""
        then_s, messages, size = self._mark
        self._mark = (now_s, self.messages, self.bytes)
        return self._rates(self.messages - messages, self.bytes - size, now_s - then_s)

    def total(self, now_s: float, stats: SubscriptionStats) -> str:
        """Return the totals, in one line; without rates below 1 s, a time too short for them."""
        elapsed_s = now_s - self._start_s
        count = f"{text.count(self.messages, 'message')} of {text.count(len(self._streams), 'stream')}"
        rates = f": {self._rates(self.messages, self.bytes, elapsed_s)}" if elapsed_s >= 1 else ""
        return f"{count}, {text.size(self.bytes)} in {elapsed_s:.1f} s{rates}{losses(stats)}"

    def _rates(self, messages: int, size: int, elapsed_s: float) -> str:
        return f"{text.rate(messages, elapsed_s):,.0f} msg/s, {text.rate(size, elapsed_s) / 1e6:,.1f} MB/s"


def losses(stats: SubscriptionStats) -> str:
    """Return the counts of messages that did not arrive, as text; empty if all did."""
    parts = {"conflated": stats.conflated, "dropped": stats.dropped, "not decodable": stats.failed}
    return "".join(f"; {number} {what}" for what, number in parts.items() if number)
