"""Board of the demo: counts and rates of its streams, and the curves of loss and accuracy.

Takes messages with their arrival times; displays nothing, and has no clock.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np
import numpy.typing as npt

from gateway.client import Message
from gateway.demo import streams
from gateway.protocol.dtypes import dtype_name
from gateway.protocol.messages import Kind

WINDOW_S: Final = 3.0
"""Period over which rates are computed."""
MIN_SPAN_S: Final = 1.0
"""Shortest period of a rate: a stream younger than :data:`WINDOW_S` has its rate since its first message."""
CURVE: Final = 1000
"""Points kept of a curve."""
LATENCY_SHARE: Final = 0.1
"""Weight of the newest message in the smoothed latency of a stream."""


class StreamRow:
    """Counters of one stream."""

    def __init__(self) -> None:
        self.kind: Kind | None = None
        """Kind of the stream; None before its first message."""
        self.offset = -1
        """Offset of the newest message."""
        self.tensors = ""
        """dtype and shape of the newest message's first tensor, and the number of further ones."""
        self.messages = 0
        """Messages received."""
        self.bytes = 0
        """Bytes of their payloads."""
        self.latency_s: float | None = None
        """Time from publish to arrival, smoothed."""
        self.ratio: float | None = None
        """Compression ratio of the publisher's last message, if its headers have it."""
        self.conflated = 0
        """Messages of a ``state`` stream that were replaced by newer ones before they arrived."""
        self._epoch = 0
        self._start_s = 0.0
        self._recent: deque[tuple[float, int]] = deque()

    def receive(self, message: Message, now_s: float) -> None:
        """Count a message that arrived at ``now_s``."""
        if message.kind is Kind.STATE and self.messages and message.epoch == self._epoch:
            self.conflated += max(0, message.offset - self.offset - 1)
        if not self.messages:
            self._start_s = now_s
        self.kind, self.offset, self._epoch = message.kind, message.offset, message.epoch
        self.tensors = _describe(message)
        self.messages += 1
        self.bytes += message.nbytes
        if self.latency_s is None:
            self.latency_s = message.latency_s
        self.latency_s += LATENCY_SHARE * (message.latency_s - self.latency_s)
        self.ratio = message.headers.get("ratio", self.ratio)
        self._recent.append((now_s, message.nbytes))

    def rates(self, now_s: float) -> tuple[float, float]:
        """Return messages and bytes a second over the last :data:`WINDOW_S`."""
        while self._recent and self._recent[0][0] <= now_s - WINDOW_S:
            self._recent.popleft()
        if not self._recent:
            return 0.0, 0.0
        span_s = max(MIN_SPAN_S, min(WINDOW_S, now_s - self._start_s))
        return len(self._recent) / span_s, sum(size for _, size in self._recent) / span_s


class Board:
    """State of all streams of the demo."""

    def __init__(self) -> None:
        self.rows: dict[str, StreamRow] = {}
        """Counters by stream."""
        self.losses: deque[float] = deque(maxlen=CURVE)
        """Losses of the latest steps."""
        self.accuracies: deque[float] = deque(maxlen=CURVE)
        """Accuracies of the latest evaluations, 0 to 1."""
        self.confusion: npt.NDArray[np.int64] | None = None
        """Confusion matrix, int64 (10, 10); None before the first one."""
        self.run = 0
        """Number of the training run, from 1."""
        self.step = 0
        """Step of this run."""

    def receive(self, message: Message, now_s: float) -> None:
        """Take in a message of any stream that arrived at ``now_s``."""
        self.rows.setdefault(message.stream, StreamRow()).receive(message, now_s)
        match message.stream:
            case streams.LOSS:
                self.losses.append(float(message.tensor))
            case streams.ACCURACY:
                self.accuracies.append(float(message.tensor))
            case streams.CONFUSION:
                self.confusion = message.tensor
            case streams.WEIGHTS:
                self.run, self.step = message.headers.get("run", 0), message.headers.get("step", 0)

    @property
    def conflated(self) -> int:
        """Conflated messages of all streams."""
        return sum(row.conflated for row in self.rows.values())

    def rates(self, now_s: float) -> tuple[float, float]:
        """Return messages and bytes a second of all streams over the last :data:`WINDOW_S`."""
        rates = [row.rates(now_s) for row in self.rows.values()]
        return sum(messages for messages, _ in rates), sum(size for _, size in rates)

    def summary(self, now_s: float) -> str:
        """Return the current numbers in one line."""
        messages, size = self.rates(now_s)
        loss = f"{self.losses[-1]:.4f}" if self.losses else "-"
        accuracy = f"{self.accuracies[-1]:.1%}" if self.accuracies else "-"
        return (
            f"run {self.run} step {self.step}  loss {loss}  accuracy {accuracy}  {_count(len(self.rows), 'stream')}"
            f"  {messages:.0f} msg/s  {size / 1e6:.2f} MB/s  {self.conflated} conflated"
        )

    def total(self) -> str:
        """Return the totals in one line."""
        best = f", best accuracy {max(self.accuracies):.1%}" if self.accuracies else ""
        messages = sum(row.messages for row in self.rows.values())
        size = sum(row.bytes for row in self.rows.values())
        return f"{_count(messages, 'message')} of {_count(len(self.rows), 'stream')}, {size / 1e6:,.1f} MB{best}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _describe(message: Message) -> str:
    if not message.specs:
        return ""
    first, more = message.specs[0], len(message.specs) - 1
    return f"{dtype_name(first.dtype)}{list(first.shape)}{f' +{more}' if more else ''}"
