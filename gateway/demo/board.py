"""What is known of the demo's streams at a moment: counts, rates, the curves of loss and accuracy.

Takes messages and the time they came at; shows nothing, and has no clock.
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
"""Rates are of the last so many seconds."""
MIN_SPAN_S: Final = 1.0
"""A stream that is younger than the window has its rate since its first message, or at least over so long."""
CURVE: Final = 1000
"""Points of a curve that are remembered."""
LATENCY_SHARE: Final = 0.1
"""How much the newest message counts in a stream's latency."""


class StreamRow:
    """One stream.

    Attributes:
        kind: its delivery contract.
        offset: of the newest message.
        tensors: dtype and shape of the newest message's first tensor, and how many more there are.
        messages: how many came.
        bytes: how much payload that was.
        latency_s: from publishing to arrival, smoothed.
        ratio: how far the publisher could compress its last message, where it says so.
        conflated: messages of a state that were replaced by newer ones on the way here.
    """

    def __init__(self) -> None:
        self.kind: Kind | None = None
        self.offset = -1
        self.tensors = ""
        self.messages = 0
        self.bytes = 0
        self.latency_s: float | None = None
        self.ratio: float | None = None
        self.conflated = 0
        self._epoch = 0
        self._start_s = 0.0
        self._recent: deque[tuple[float, int]] = deque()

    def receive(self, message: Message, now_s: float) -> None:
        """Count a message."""
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
        """Messages and bytes per second, of late."""
        while self._recent and self._recent[0][0] <= now_s - WINDOW_S:
            self._recent.popleft()
        if not self._recent:
            return 0.0, 0.0
        span_s = max(MIN_SPAN_S, min(WINDOW_S, now_s - self._start_s))
        return len(self._recent) / span_s, sum(size for _, size in self._recent) / span_s


class Board:
    """All streams of the demo.

    Attributes:
        rows: by stream.
        losses: of the latest steps.
        accuracies: of the latest evaluations, 0 to 1.
        confusion: int64 (10, 10), None before it came.
        run: which training it is, from 1.
        step: of this training.
    """

    def __init__(self) -> None:
        self.rows: dict[str, StreamRow] = {}
        self.losses: deque[float] = deque(maxlen=CURVE)
        self.accuracies: deque[float] = deque(maxlen=CURVE)
        self.confusion: npt.NDArray[np.int64] | None = None
        self.run = 0
        self.step = 0

    def receive(self, message: Message, now_s: float) -> None:
        """Take in a message of any stream."""
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
        """Over all streams."""
        return sum(row.conflated for row in self.rows.values())

    def rates(self, now_s: float) -> tuple[float, float]:
        """Messages and bytes per second over all streams, of late."""
        rates = [row.rates(now_s) for row in self.rows.values()]
        return sum(messages for messages, _ in rates), sum(size for _, size in rates)

    def summary(self, now_s: float) -> str:
        """How things stand, in one line."""
        messages, size = self.rates(now_s)
        loss = f"{self.losses[-1]:.4f}" if self.losses else "-"
        accuracy = f"{self.accuracies[-1]:.1%}" if self.accuracies else "-"
        return (
            f"run {self.run} step {self.step}  loss {loss}  accuracy {accuracy}  {len(self.rows)} streams"
            f"  {messages:.0f} msg/s  {size / 1e6:.2f} MB/s  {self.conflated} conflated"
        )

    def total(self) -> str:
        """What came in all, in one line."""
        best = f", best accuracy {max(self.accuracies):.1%}" if self.accuracies else ""
        messages = sum(row.messages for row in self.rows.values())
        size = sum(row.bytes for row in self.rows.values())
        return f"{messages:,} messages of {len(self.rows)} streams, {size / 1e6:,.1f} MB{best}"


def _describe(message: Message) -> str:
    if not message.specs:
        return ""
    first, more = message.specs[0], len(message.specs) - 1
    return f"{dtype_name(first.dtype)}{list(first.shape)}{f' +{more}' if more else ''}"
