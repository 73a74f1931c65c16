"""Producers: the sequences that producers have published, so that a repeated publish is not published twice.

Knows sequences and the offsets that they got (spec section 4.6); knows no connections.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Final, Protocol

from gateway.errors import Code, RequestRefused
from gateway.protocol.wire import PRODUCER_KEPT_S
from gateway.streams.run import Origin
from gateway.streams.stream import Stream

WINDOW_RANGES: Final = 1024
"""Ranges of sequences that are remembered of one producer on one stream (spec section 13)."""

MAX_ABSENT: Final = 65_536
"""Windows of producers without a connection that a gateway keeps; past it the oldest is dropped (spec section 13)."""

MAX_ABSENT_RANGES: Final = 1024 * 1024
"""Ranges of all these windows together; past it the oldest windows are dropped."""


class Holder(Protocol):
    """Alias of a connection that publishes to a stream for a producer at present."""

    peer: int
    """Number of the connection."""

    def superseded(self) -> None:
        """Refuse further publishes: another connection of the producer has taken over."""


@dataclass(slots=True, eq=False)
class _SequenceSpan:
    """Sequences ``first`` to ``end - 1``, all with the same outcome."""

    first: int
    end: int
    shift: int
    """Offset less sequence; without meaning if they were refused."""
    code: int
    """Error code of their refusal; 0: they were accepted."""


_FIRST: Final = attrgetter("first")


@dataclass(slots=True, eq=False)
class Window:
    """Outcomes of the last messages of one producer to one stream."""

    producer: int
    """Number of the producer."""
    next_sequence: int
    """Above every sequence that has an outcome; at first the lowest one that can have an outcome."""
    holder: Holder | None = field(default=None, init=False)
    """Alias that publishes for the producer; ``None`` while it has no connection."""
    _ranges: list[_SequenceSpan] = field(default_factory=list, init=False)

    @property
    def ranges(self) -> int:
        """Number of ranges of sequences whose outcomes are known."""
        return len(self._ranges)

    def accept(self, first: int, count: int, offset: int) -> None:
        """Note that ``count`` messages from sequence ``first`` on got the offsets from ``offset`` on.

        The cost does not depend on their number; on a stream with one publisher a single range grows.

        Args:
            first: at least ``next_sequence``.
            count: number of messages.
            offset: of the first.
        """
        self._add(first, first + count, offset - first, 0)

    def refuse(self, first: int, count: int, code: int) -> None:
        """Note that ``count`` messages from sequence ``first`` on were refused; known outcomes stay."""
        if first >= self.next_sequence:
            self._add(first, first + count, 0, code)

    def withdraw(self, first: int, count: int, code: int) -> None:
        """Note that ``count`` accepted messages from sequence ``first`` on were refused: they could not be stored."""
        ranges, self._ranges = self._ranges, []
        for known in ranges:
            start, end = max(known.first, first), min(known.end, first + count)
            if start >= end:
                self._ranges.append(known)
                continue
            parts = (known.first, start, known.code), (start, end, code), (end, known.end, known.code)
            self._ranges += [_SequenceSpan(low, high, known.shift, of) for low, high, of in parts if low < high]

    def offset_of(self, first: int, count: int) -> int | None:
        """Return the offset that the message with sequence ``first`` got; ``None`` if the message is new.

        Args:
            first: its sequence, or the first one of a batch.
            count: number of sequences that it takes.

        Raises:
            RequestRefused: the message was refused, with the same code as then; ``OUT_OF_WINDOW``, its outcome is not
                known any more; ``BAD_SEQUENCE``, it is no repetition: only a part of it was sent before, or not as one.
        """
        if first >= self.next_sequence:
            return None
        at = bisect_right(self._ranges, first, key=_FIRST) - 1
        found = self._ranges[at] if at >= 0 else None
        if found is None or first >= found.end:
            raise RequestRefused(
                Code.OUT_OF_WINDOW,
                f"sequence {first} of producer {self.producer} is not new (the next is {self.next_sequence}), and its "
                f"outcome is not known any more: publish it as a new message if it may be delivered twice",
            )
        if first + count > found.end:
            problem = (
                f"sequences {first} to {first + count - 1} of producer {self.producer} were not sent as one before"
            )
            raise RequestRefused(Code.BAD_SEQUENCE, problem)
        if found.code:
            problem = f"sequence {first} of producer {self.producer} was refused when it was first sent"
            raise RequestRefused(found.code, problem)
        return first + found.shift

    def _add(self, first: int, end: int, shift: int, code: int) -> None:
        self.next_sequence = end
        ranges = self._ranges
        if ranges:
            last = ranges[-1]
            if last.end == first and last.shift == shift and last.code == code:
                last.end = end
                return
            if len(ranges) >= 2 * WINDOW_RANGES:
                del ranges[:WINDOW_RANGES]
        ranges.append(_SequenceSpan(first, end, shift, code))


class Producers:
    """Windows of all producers on all streams.

    A window is kept as long as its producer has a connection that publishes to the stream, and for
    :data:`~gateway.protocol.wire.PRODUCER_KEPT_S` longer.

    Args:
        now_s: seconds from some fixed moment.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._windows: dict[Stream, dict[int, Window]] = {}
        """Windows by the number of their producer."""
        self._absent: OrderedDict[tuple[Stream, int], tuple[float, int]] = OrderedDict()
        """Times at which windows lost their holder, of those that have none, and their ranges; the earliest first."""
        self._absent_ranges = 0

    def __len__(self) -> int:
        return sum(map(len, self._windows.values()))

    def attach(self, stream: Stream, producer: int, sequence: int, holder: Holder) -> Window:
        """Return the window of a producer that begins, or continues, to publish to a stream.

        Args:
            stream: the stream.
            producer: number of the producer.
            sequence: the next one that it will send.
            holder: alias that publishes from now on; the one before it is told that it is superseded.
        """
        self._forget_old()
        windows = self._windows.setdefault(stream, {})
        window = windows.get(producer)
        if window is None:
            window = windows[producer] = Window(producer, sequence)
        self._came_back(stream, producer)
        before, window.holder = window.holder, holder
        if before is not None:
            before.superseded()
        return window

    def find(self, stream: Stream, producer: int) -> Window | None:
        """Return the window of a producer on a stream; ``None`` if there is none."""
        return self._windows.get(stream, {}).get(producer)

    def detach(self, stream: Stream, window: Window, holder: Holder) -> None:
        """Take the holder, whose connection is gone, from its window, unless another one has taken over."""
        if window.holder is holder:
            window.holder = None
            if stream in self._windows:
                self._leave(stream, window)

    def forget(self, stream: Stream) -> None:
        """Forget the windows of a stream that has ended."""
        for producer in self._windows.pop(stream, {}):
            self._came_back(stream, producer)

    def restore(self, stream: Stream, origins: Iterable[Origin]) -> None:
        """Restore the windows of a stream from the messages that a store has kept.

        Args:
            stream: the stream.
            origins: of its messages, in the order of the offsets. There may be as many as messages.
        """
        restored: dict[int, Window] = {}
        for first, count, producer, sequence in origins:
            window = restored.get(producer)
            if window is None:
                known = self._windows.setdefault(stream, {})
                window = restored[producer] = known.setdefault(producer, Window(producer, sequence))
            if sequence >= window.next_sequence:
                window.accept(sequence, count, first)
        for window in restored.values():
            if window.holder is None:
                self._leave(stream, window)

    def _leave(self, stream: Stream, window: Window) -> None:
        self._forget_old()
        self._came_back(stream, window.producer)
        self._absent[stream, window.producer] = self._now_s(), window.ranges
        self._absent_ranges += window.ranges
        while len(self._absent) > MAX_ABSENT or (self._absent_ranges > MAX_ABSENT_RANGES and len(self._absent) > 1):
            self._drop_oldest()

    def _came_back(self, stream: Stream, producer: int) -> None:
        _, ranges = self._absent.pop((stream, producer), (0.0, 0))
        self._absent_ranges -= ranges

    def _forget_old(self) -> None:
        """Drop the windows whose time has passed."""
        while self._absent:
            if next(iter(self._absent.values()))[0] + PRODUCER_KEPT_S > self._now_s():
                return
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        (stream, producer), (_, ranges) = self._absent.popitem(last=False)
        self._absent_ranges -= ranges
        windows = self._windows[stream]
        del windows[producer]
        if not windows:
            del self._windows[stream]
