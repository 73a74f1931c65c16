"""Units in flight to one receiver: count of deliveries, acknowledgement timeout, and joining of units into runs."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

from gateway.connections.consumers.ack_unit import AckUnit
from gateway.connections.outbound.backfill import LargeForm
from gateway.connections.outbound.connection import Connection
from gateway.connections.sessions.credit_window import CreditWindow
from gateway.errors import Code
from gateway.protocol.signals import Gap, Replay
from gateway.streams.run import Run
from gateway.streams.stream import Stream

ANSWERED_TOGETHER: Final = 64
"""Units of a DONE that are answered in one step: some hundred microseconds."""


@dataclass(slots=True, eq=False)
class InFlight:
    """A unit on its way to one consumer: queued, or sent and not acknowledged."""

    unit: AckUnit
    tries: int = 0
    """Deliveries that count towards ``max_tries``."""
    sent: bool = False
    """The unit was delivered before."""
    credits: Sequence[CreditWindow] = ()
    """Credits that the delivery under way has taken from."""

    def take(self, credits: Sequence[CreditWindow]) -> None:
        """Count a delivery, which takes from these credits."""
        self.sent = True
        self.tries += 1
        self.credits = credits
        for credit in credits:
            credit.take(self.unit.nbytes)

    def settle(self) -> None:
        """End the delivery that is under way, if any."""
        for credit in self.credits:
            credit.settle(self.unit.nbytes)
        self.credits = ()


class UnitsInFlight(Mapping[int, InFlight]):
    """Units that were sent and not acknowledged, by first offset.

    Attributes:
        again: those that were sent more than once, which come first, in the order in which they were sent.
        once: the others.
    """

    __slots__ = ("again", "once")

    def __init__(self) -> None:
        self.again: dict[int, InFlight] = {}
        self.once: dict[int, InFlight] = {}

    def __getitem__(self, first: int) -> InFlight:
        return self.once[first] if first in self.once else self.again[first]

    def __iter__(self) -> Iterator[int]:
        return chain(self.again, self.once)

    def __len__(self) -> int:
        return len(self.again) + len(self.once)

    def oldest(self) -> Iterator[InFlight]:
        """Yield at most two units, of which one is the oldest: the first that was sent again, and the first other."""
        yield from islice(self.again.values(), 1)
        yield from islice(self.once.values(), 1)

    def remove(self, entry: InFlight) -> None:
        """Remove a unit, and end its delivery."""
        first = entry.unit.first
        del (self.once if first in self.once else self.again)[first]
        entry.settle()

    def answer(self, first: int, last: int) -> Iterator[list[InFlight]]:
        """Remove the units that lie within a range of offsets; yield them some at a time."""
        answered = covered(self, first, last)
        while some := [*islice(answered, ANSWERED_TOGETHER)]:
            for entry in some:
                self.remove(entry)
            yield some

    def return_to(self, queued: deque[InFlight]) -> None:
        """Queue all units again, as if they had not been sent."""
        entries = [*self.values()]
        self.again, self.once = {}, {}
        for entry in entries:
            entry.settle()
            entry.tries -= 1
        put_back(queued, entries)


def covered(in_flight: Mapping[int, InFlight], first: int, last: int) -> Iterator[InFlight]:
    """Yield the units in flight that lie within a range of offsets. The range may be of any length: a peer names it.

    Args:
        in_flight: the units by first offset; it may change before the iterator goes on.
        first: first offset of the range.
        last: last offset of the range.
    """
    offsets: Iterable[int] = range(first, last + 1)
    if last - first >= len(in_flight):
        offsets = [offset for offset in in_flight if first <= offset <= last]
    for offset in offsets:
        entry = in_flight.get(offset)
        if entry is not None and entry.unit.last <= last:
            yield entry


def take_answered(queued: deque[InFlight], first: int, last: int) -> list[AckUnit]:
    """Remove and return the units that wait to be sent again and are processed after all.

    The answer came late, or on another connection.

    Args:
        queued: units that were sent before, then the rest, in order of their offsets.
        first: first offset that is processed.
        last: last offset that is processed.
    """
    answered: list[AckUnit] = []
    at = bisect_left(queued, first, key=_first_of)
    queued.rotate(-at)
    left = len(queued) - at
    while left and queued[0].sent and queued[0].unit.last <= last:
        left -= 1
        answered.append(queued.popleft().unit)
    queued.rotate(at)
    return answered


def put_back(queued: deque[InFlight], entries: Iterable[InFlight]) -> None:
    """Queue units again, in order of their offsets; those that are queued before and behind them are not looked at."""
    again = sorted(entries, key=_first_of)
    if not again:
        return
    at = bisect_left(queued, _first_of(again[0]), key=_first_of)
    queued.rotate(-at)
    left = len(queued) - at
    before: list[InFlight] = []
    for entry in again:
        while left and queued[0].unit.first < entry.unit.first:
            left -= 1
            before.append(queued.popleft())
        before.append(entry)
    queued.extendleft(reversed(before))
    queued.rotate(at)


def _first_of(entry: InFlight) -> int:
    return entry.unit.first


@dataclass(slots=True, eq=False)
class _Watch:
    """Time for which the receiver has had one delivery of a unit."""

    tries: int
    """Number of the delivery."""
    since_s: float
    """Time of the delivery, or of the last report that the unit is in progress."""
    begun_s: float | None = None
    """Time of the first report; ``None``: there was none."""
    probe_ns: int | None = None
    """Departure of the PING that asks whether it is in progress; ``None``: the time is not over."""


class AckTimeout:
    """Acknowledgement timeout of the units that a receiver works on, checked by a sweep instead of a timer for each.

    These are the oldest unit in flight, and the units that the receiver has reported to be in progress (spec section
    7.8). When the time of a unit is over, the connection is probed: the delivery has failed if the receiver answers,
    and does not report the unit before. A receiver that does not answer cannot report anything either; the heartbeat
    decides whether it is lost.

    Args:
        timeout_s: time that a receiver may take for one delivery of a unit, or from one report to the next (spec
            section 4.9).
        max_work_s: time after the first report from which on further ones do not count; ``None``: they always do.
    """

    __slots__ = ("_max_work_s", "_timeout_s", "_watched")

    def __init__(self, timeout_s: float, max_work_s: float | None = None) -> None:
        self._timeout_s = timeout_s
        self._max_work_s = max_work_s
        self._watched: dict[InFlight, _Watch] = {}

    def report(self, entry: InFlight, now_s: float) -> None:
        """Begin the time of a unit anew: the receiver still has the unit.

        Args:
            entry: a unit in flight.
            now_s: seconds from some fixed moment.
        """
        watch = self._watch(entry, now_s)
        if watch.begun_s is None:
            watch.begun_s = now_s
        if self._max_work_s is None or now_s - watch.begun_s < self._max_work_s:
            watch.since_s = now_s
            watch.probe_ns = None

    def clear(self) -> None:
        """Forget all times: the receiver is another one, or cannot be expected to work now."""
        self._watched.clear()

    def ended(self, in_flight: Mapping[int, InFlight], now_s: float, connection: Connection) -> list[InFlight]:
        """Return the units whose delivery has failed, and probe the connection for units whose time is over.

        Args:
            in_flight: units in flight by first offset, the oldest one first.
            now_s: seconds from some fixed moment.
            connection: the receiver, which takes data.
        """
        oldest = next(iter(in_flight.values()), None)
        if oldest is not None:
            self._watch(oldest, now_s)
        failed = []
        for entry, watch in list(self._watched.items()):
            here = in_flight.get(entry.unit.first) is entry and entry.tries == watch.tries
            if not here or (watch.begun_s is None and entry is not oldest):
                del self._watched[entry]
            elif now_s - watch.since_s < self._timeout_s:
                pass
            elif watch.probe_ns is None:
                watch.probe_ns = connection.probe()
            elif connection.answered_ns >= watch.probe_ns:
                del self._watched[entry]
                failed.append(entry)
        return failed

    def _watch(self, entry: InFlight, now_s: float) -> _Watch:
        watch = self._watched.get(entry)
        if watch is None or watch.tries != entry.tries:
            watch = self._watched[entry] = _Watch(entry.tries, now_s)
        return watch


def add_gap(gaps: list[Gap], gap: Gap) -> None:
    """Add a gap to others; it is joined to the last one if it follows and the reason is the same."""
    before = gaps[-1] if gaps else None
    if before is not None and before.code == gap.code and before.last + 1 == gap.first:
        gaps[-1] = Gap(gap.stream, gap.code, before.first, gap.last)
    else:
        gaps.append(gap)


class Sending:
    """Messages that go to a connection in one go, their runs joined.

    Args:
        connection: the receiver.
        stream: the stream of all messages.
    """

    __slots__ = ("_connection", "_replay", "_runs", "_stream")

    def __init__(self, connection: Connection, stream: Stream) -> None:
        self._connection = connection
        self._stream = stream
        self._runs: list[Run] = []
        self._replay: Replay | None = None

    def announce(self, unit: AckUnit) -> None:
        """Announce by REPLAY that the unit which is added next was sent before."""
        replay = self._replay
        if replay is not None and replay.last + 1 == unit.first:
            self._replay = Replay(replay.stream, replay.code, replay.first, unit.last)
            return
        self.flush()
        self._replay = Replay(self._stream.id, Code.NOT_PROCESSED, unit.first, unit.last)

    def add(self, form: Run | LargeForm) -> None:
        """Add a message; a large one is handed over at once."""
        if isinstance(form, Run):
            self._runs.append(form)
            return
        self.flush()
        self._connection.enqueue_large(*form)

    def flush(self) -> None:
        """Hand over the messages that were added."""
        connection = self._connection
        replay, self._replay = self._replay, None
        if replay is not None:
            connection.send_in_order(self._stream, replay)
        runs, self._runs = self._runs, []
        if runs:
            connection.deliver(runs)
