"""Units in flight to one receiver: count of deliveries, acknowledgement timeout, and joining of units into runs."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.connections.consumers.ack_unit import AckUnit
from gateway.connections.outbound.backfill import LargeForm
from gateway.connections.outbound.connection import Connection
from gateway.connections.sessions.credit_window import CreditWindow
from gateway.errors import Code
from gateway.protocol.signals import Replay
from gateway.streams.run import Run
from gateway.streams.stream import Stream


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


def covered(in_flight: Mapping[int, InFlight], first: int, last: int) -> list[InFlight]:
    """Return the units in flight that lie within a range of offsets. The range may be of any length: a peer names it.

    Args:
        in_flight: the units by first offset.
        first: first offset of the range.
        last: last offset of the range.
    """
    if last - first < len(in_flight):
        found = [in_flight[offset] for offset in range(first, last + 1) if offset in in_flight]
        return [entry for entry in found if entry.unit.last <= last]
    return [entry for entry in in_flight.values() if first <= entry.unit.first and entry.unit.last <= last]


def put_back(queued: deque[InFlight], entry: InFlight) -> None:
    """Queue a unit again, in order of its offset."""
    later = (at for at, other in enumerate(queued) if other.unit.first > entry.unit.first)
    queued.insert(next(later, len(queued)), entry)


class AckTimeout:
    """Acknowledgement timeout of the oldest unit in flight, checked by a sweep instead of a timer for each unit.

    Args:
        timeout_s: time that a receiver may take for one delivery of a unit (spec section 7.4).
    """

    __slots__ = ("_oldest", "_since_s", "_timeout_s", "_tries")

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._oldest: InFlight | None = None
        self._tries = 0
        self._since_s = 0.0

    def ends(self, oldest: InFlight | None, now_s: float) -> bool:
        """Return whether the receiver has had the same delivery for too long; the time then begins anew.

        Args:
            oldest: the oldest unit in flight; ``None``: the receiver is not expected to work on any.
            now_s: seconds from some fixed moment.
        """
        if oldest is None or oldest is not self._oldest or oldest.tries != self._tries:
            self._oldest = oldest
            self._tries = 0 if oldest is None else oldest.tries
            self._since_s = now_s
            return False
        if now_s - self._since_s < self._timeout_s:
            return False
        self._oldest = None
        return True


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
