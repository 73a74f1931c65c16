"""Delayed acknowledgements: those of publishes are held back while receivers are behind (spec sections 4.9 and 7.1)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.no_entries import NO_ENTRIES, with_entry
from gateway.connections.ports import Clock
from gateway.protocol.signals import Ack
from gateway.streams.run import Source

MAX_HELD: Final = 65_536
"""Acknowledgements of one stream that are held back; past it the oldest is sent: its publisher does not wait for it."""

RELEASED_TOGETHER: Final = 32
"""Acknowledgements that are sent at a time when a stream ends: some hundred microseconds."""

EVENT_HOLDS: Final = 4
"""Times of ``max_hold_s`` for which an acknowledgement of an event is held back, if receivers are behind by turns."""


class DelayedAcks:
    """Acknowledgements to the publishers of one stream, in order.

    Args:
        behind: returns whether the receivers are behind.
        clock: measures how long one is held back.
        max_hold_s: longest delay of one. Without a bound two programs that feed each other, and await their
            publishes, would wait for ever.
    """

    __slots__ = ("_behind", "_clock", "_held", "_max_hold_s", "_open", "_timed")

    def __init__(self, behind: Callable[[], bool], clock: Clock, max_hold_s: float) -> None:
        self._behind = behind
        self._clock = clock
        self._max_hold_s = max_hold_s
        self._held: deque[tuple[float, Connection, Ack]] = deque()
        self._open = False
        self._timed = False
        """A timer runs, for the oldest one that was held back when it was set."""

    def __len__(self) -> int:
        """Return the number of acknowledgements that are held back."""
        return len(self._held)

    def send(self, connection: Connection, ack: Ack) -> None:
        """Send an acknowledgement to a publisher, at once or when it may go on."""
        if not self._open and (self._held or self._behind()):
            self._held.append((self._clock.monotonic_s() + self._max_hold_s, connection, ack))
            if len(self._held) > MAX_HELD:
                self._send_oldest()
            self._set_timer()
        else:
            connection.send(ack)

    def flush(self) -> None:
        """Send the acknowledgements that need not be held back any more."""
        if self._held:
            now_s, behind = self._clock.monotonic_s(), self._behind()
            while self._held and (self._held[0][0] <= now_s or not behind):
                self._send_oldest()

    def forget(self, connection: Connection) -> None:
        """Drop the acknowledgements to a publisher that is gone."""
        if self._held:
            self._held = deque([entry for entry in self._held if entry[1] is not connection])

    def release(self) -> None:
        """Send all, and hold none back from now on: receivers are not waited for any more."""
        for _ in self.releasing():
            pass

    def releasing(self) -> Iterator[None]:
        """Send all as :meth:`release` does, some at each step."""
        self._open = True
        while self._held:
            for _ in range(min(RELEASED_TOGETHER, len(self._held))):
                self._send_oldest()
            yield

    def _send_oldest(self) -> None:
        _, connection, ack = self._held.popleft()
        connection.send(ack)

    def _set_timer(self) -> None:
        if self._held and not self._timed:
            self._timed = True
            self._clock.call_later(self._held[0][0] - self._clock.monotonic_s(), self._time_is_over)

    def _time_is_over(self) -> None:
        self._timed = False
        self.flush()
        self._set_timer()


class Held(Protocol):
    """Outbox of a receiver, as acknowledgements that wait for it need it."""

    def holds_up(self, source: Source) -> bool:
        """Return whether publishers of a stream wait for the receiver."""

    def when_not_held_up(self, source: Source, call: Callable[[], object]) -> None:
        """Call once, as soon as publishers of a stream need not wait for the receiver any more."""


class EventAcks:
    """Acknowledgements to the publishers of one ``event`` stream, held back while receivers of it are behind.

    Receivers of the stream and of its views count, until they count as slow
    (:class:`~gateway.connections.lagging.publisher_hold.PublisherHold`), and so do queues that wait for threads.
    Receivers are asked when there is something to acknowledge, so that one that falls behind need not tell thousands
    of streams.

    Args:
        clock: measures how long one is held back.
        max_hold_s: time after which a receiver counts as slow; 0: none is held back.

    Attributes:
        holding: whether acknowledgements have to pass :meth:`send`. While it is false they need not.
    """

    __slots__ = ("_acks", "_behind", "_clock", "_flushing", "_max_hold_s", "_waiting", "holding")

    def __init__(self, clock: Clock, max_hold_s: float) -> None:
        self.holding = False
        self._clock = clock
        self._max_hold_s = max_hold_s
        self._behind: dict[object, None] = NO_ENTRIES
        """Queues that are behind."""
        self._waiting: dict[tuple[Held, Source], None] = NO_ENTRIES
        """Outboxes in which messages of the stream, or of one of its views, wait."""
        self._flushing = False
        self._acks: DelayedAcks | None = None
        """Made for the first receiver that is behind: most streams never need it."""

    def __len__(self) -> int:
        """Return the number of acknowledgements that are held back."""
        return 0 if self._acks is None else len(self._acks)

    def holds_for(self, queue: object) -> bool:
        """Return whether acknowledgements are held back for a queue."""
        return queue in self._behind

    def hold(self, queue: object) -> None:
        """Hold acknowledgements back from now on, for a queue that is behind."""
        if self._max_hold_s:
            self._behind = with_entry(self._behind, queue, None)
            self.holding = True

    def let_go(self, queue: object) -> None:
        """Send acknowledgements again, at the end of the turn, unless others are behind as well."""
        if queue in self._behind:
            del self._behind[queue]
            self._look_again()

    def begin_waiting(self, outbox: Held, source: Source) -> None:
        """Ask a receiver from now on whether it is behind.

        Args:
            outbox: of the receiver; messages of the source wait in it.
            source: the stream, or a view of it.
        """
        if self._max_hold_s:
            self._waiting = with_entry(self._waiting, (outbox, source), None)
            self.holding = True

    def end_waiting(self, outbox: Held, source: Source) -> None:
        """Ask a receiver no more: nothing of the source waits for it, or it has left."""
        if (outbox, source) in self._waiting:
            del self._waiting[outbox, source]
            self._look_again()

    def send(self, connection: Connection, ack: Ack) -> None:
        """Send an acknowledgement to a publisher, at once or when it may go on."""
        if not self.holding:
            connection.send(ack)
            return
        if self._acks is None:
            longest_s = EVENT_HOLDS * self._max_hold_s
            self._acks = DelayedAcks(self._is_behind, self._clock, longest_s)
        self._acks.send(connection, ack)

    def forget(self, connection: Connection) -> None:
        """Drop the acknowledgements to a publisher that is gone."""
        if self._acks is not None:
            self._acks.forget(connection)

    def release(self) -> None:
        """Send all, and hold none back from now on: receivers are not waited for any more."""
        for _ in self.releasing():
            pass

    def releasing(self) -> Iterator[None]:
        """Send all as :meth:`release` does, some at each step."""
        self._max_hold_s = 0.0
        self._behind.clear()
        self._waiting.clear()
        if self._acks is not None:
            yield from self._acks.releasing()
        self.holding = False

    def _is_behind(self) -> bool:
        """Return whether a receiver or a queue is behind; if so, it causes another look when it is not any more."""
        if self._behind:
            return True
        for outbox, source in self._waiting:
            if outbox.holds_up(source):
                outbox.when_not_held_up(source, self._look_again)
                return True
        return False

    def _look_again(self) -> None:
        if not len(self):
            self.holding = bool(self._behind or self._waiting)
        elif not self._flushing:
            self._flushing = True
            self._clock.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if self._acks is not None:
            self._acks.flush()
        self.holding = bool(self._behind or self._waiting or len(self))
