"""Delivery state of one client on one acknowledged stream: units queued and units in flight.

A consumer sends units to the client's connection and sends again those that are refused or not acknowledged in time. It
reads no clock: its caller passes the time. It returns the outcomes of units as values, which the fan-out of the stream
carries out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from gateway.connections.consumers.ack_unit import AckUnit
from gateway.connections.consumers.in_flight import (
    ANSWERED_TOGETHER,
    AckTimeout,
    InFlight,
    Sending,
    UnitsInFlight,
    add_gap,
    covered,
    put_back,
    take_answered,
)
from gateway.connections.consumers.outcomes import Buried, OutcomeLog, Retried, UnitOutcome
from gateway.connections.consumers.prepared_deliveries import Form, PreparedDeliveries
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.outbound.backfill import Taken
from gateway.connections.outbound.connection import Connection
from gateway.connections.sessions.credit_window import CreditWindow, allowed
from gateway.errors import Code, name_of
from gateway.ids import ClientId
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Gap
from gateway.streams.progress import ConsumerProgress
from gateway.streams.stream import Stream


class Consumer:
    """Delivery state of one client on one stream (spec section 7.4).

    Args:
        client_id: the client.
        stream: of kind ``collaboration`` or ``control``.
        settings: bounds and times.
        deliveries: gives units in the form that a connection can take.
        wake: called with the consumer when there is credit again that it waits for: it is to be pumped.
        now_s: seconds from some fixed moment; the client is away since then.
        progress: offsets that the client has done with; kept by the fan-out.
    """

    __slots__ = (
        "_catching_up",
        "_credits",
        "_deliveries",
        "_gaps",
        "_instance",
        "_interrupted",
        "_is_control",
        "_outcomes",
        "_settings",
        "_timed",
        "_timeout",
        "_wake",
        "client_id",
        "connection",
        "dead_lettered",
        "delivered",
        "dropped",
        "ended",
        "expired",
        "in_flight",
        "lost_s",
        "progress",
        "queued",
        "redelivered",
        "stream",
    )

    def __init__(
        self,
        client_id: ClientId,
        stream: Stream,
        settings: ConsumerSettings,
        deliveries: PreparedDeliveries,
        wake: Callable[[Consumer], object],
        now_s: float,
        progress: ConsumerProgress,
    ) -> None:
        self.client_id = client_id
        self.stream = stream
        self.progress = progress
        self._is_control = stream.kind is Kind.CONTROL
        self._settings = settings
        self._deliveries = deliveries
        self._wake = wake
        self._outcomes = OutcomeLog()
        self.queued: deque[InFlight] = deque()
        """Units to be sent, oldest first: those that were sent before, then the rest."""
        self.in_flight = UnitsInFlight()
        self._timed = False
        """Units that have a deadline may be queued."""
        self._gaps: list[Gap] = []
        """Messages that will not come, of which the receiver was not told yet."""
        self._timeout = AckTimeout(settings.ack_timeout_s, settings.max_work_s)
        self._credits: Sequence[CreditWindow] = ()
        self._instance: int | None = None
        """Instance of the client that was served last; ``None``: it has not told any."""
        self._interrupted: InFlight | None = None
        """Unit on which the client worked when its connection was lost."""
        self._catching_up = False
        """More commands were queued when the connection came than may be pending: not the fault of the connection."""
        self.connection: Connection | None = None
        """The connection of the client that is served; ``None`` while the client is away."""
        self.ended = False
        """The client gets nothing any more: it has left, or it has not come back in time."""
        self.lost_s: float | None = now_s
        """Time at which the last connection was lost; ``None`` while the client is there."""
        self.delivered = 0
        """Messages delivered, each counted once."""
        self.redelivered = 0
        """Messages delivered once more."""
        self.expired = 0
        """Messages whose deadline passed before they were delivered."""
        self.dropped = 0
        """Messages that the client did not get or process, and never will."""
        self.dead_lettered = 0
        """Dropped messages that became dead letters."""

    @property
    def pending(self) -> int:
        """Units that are not acknowledged, sent or not."""
        return len(self.queued) + len(self.in_flight)

    @property
    def first_pending(self) -> int | None:
        """First offset of the units that are not acknowledged; ``None`` if there are none."""
        return min([entry.unit.first for entry in [*self.queued, *self.in_flight.values()]], default=None)

    # The connection that is served. The consumer is to be pumped when it was attached, or its credits have changed.

    def attach(self, connection: Connection, credits: Sequence[CreditWindow]) -> list[UnitOutcome]:
        """Serve a connection from now on, and begin with the units that the client has not acknowledged.

        The unit on which a lost instance of the client worked counts as tried if another comes: it may be the cause.

        Args:
            connection: the connection; it replaces the one before.
            credits: of its subscriptions that match the stream; each delivery takes from all of them.
        """
        self._return_all()
        instance = connection.peer.instance
        if instance is None or instance != self._instance:
            self._count_interrupted()
        self._interrupted = None
        self._instance = instance
        self.connection = connection
        self.lost_s = None
        self.change_credits(credits)
        self._catching_up = self.pending > self._settings.max_pending_commands
        return self._outcomes.take()

    def change_credits(self, credits: Sequence[CreditWindow]) -> None:
        """Replace the credits: the connection has one subscription more or less that matches the stream."""
        before, self._credits = self._credits, credits
        for credit in before:
            credit.leave(self)

    def detach(self, now_s: float) -> None:
        """Note that the connection is lost.

        Its units count as not sent until it is known who comes back: see :meth:`attach`.
        """
        self._interrupted = next(iter(self.in_flight.values()), None)
        self._return_all()
        self.connection = None
        self.lost_s = now_s
        self.change_credits(())

    def end(self, reason: str | None) -> list[UnitOutcome]:
        """End the consumer: the client gets nothing any more.

        Args:
            reason: makes dead letters of the units that are not acknowledged; ``None``: the client has given them up.
        """
        self.ended = True
        self._return_all()
        if self._interrupted is not None:
            self._interrupted.tries += 1
        self.connection = None
        self.change_credits(())
        queued, self.queued = self.queued, deque()
        for entry in queued:
            if reason is None:
                self._drop(entry.unit)
            else:
                self._bury(entry, reason)
        return self._outcomes.take()

    # Units that it gets.

    def put(self, units: Iterable[AckUnit]) -> None:
        """Queue new units of the stream. The consumer is to be pumped then."""
        for unit in units:
            self.queued.append(InFlight(unit))
            if unit.deadline_ns is not None:
                self._timed = True
        connection, bound = self.connection, self._settings.max_pending_commands
        if self._is_control and connection is not None and self.pending > bound and not self._catching_up:
            problem = f"{self.pending} commands of {self.stream.name} are not acknowledged, more than {bound}"
            connection.close(Code.SLOW_CONSUMER, problem)

    def wake(self) -> None:
        """Have the consumer pumped: there is credit again."""
        self._wake(self)

    def pump(self, now_ns: int, most: int) -> int:
        """Send at most ``most`` of the units that may be sent at ``now_ns``, Unix time, and return what is left of it.

        The consumer is woken for the others.
        """
        connection = self.connection
        return most if connection is None or connection.closed else self._send_queued(connection, now_ns, most)

    def take_outcomes(self) -> list[UnitOutcome]:
        """Remove and return the outcomes of :meth:`pump`, and those that another method has left because it failed."""
        return self._outcomes.take()

    def done(self, first: int, last: int, code: int) -> Iterator[None]:
        """Note, in steps, that the receiver has done with these offsets (spec section 7.4); :meth:`pump` behind each.

        Args:
            first: first offset; a unit that is covered in part is not done.
            last: last offset; the range may be as long as a peer likes.
            code: 0 if the messages were processed; otherwise they are delivered again.
        """
        for some in self.in_flight.answer(first, last):
            if code:
                self._try_again(some, f"refused ({name_of(code)})")
            else:
                self._outcomes.released += [entry.unit for entry in some]
            if len(some) == ANSWERED_TOGETHER:
                yield
        if not code and self.queued:
            self._outcomes.released += take_answered(self.queued, first, last)
        self._catching_up = self._catching_up and self.pending > self._settings.max_pending_commands

    def in_progress(self, first: int, last: int, now_s: float) -> None:
        """Note that the receiver still has the units that lie within a range of offsets (spec section 7.8).

        Args:
            first: first offset.
            last: last offset; the range may be as long as a peer likes.
            now_s: seconds from some fixed moment.
        """
        for entry in covered(self.in_flight, first, last):
            self._timeout.report(entry, now_s)

    def book(self, connection: Connection) -> None:
        """Do nothing: messages are in the connection's accounts when they are sent."""

    begin_waiting = book

    def end_waiting(self, connection: Connection) -> None:
        """Have the consumer pumped: everything that waited in the outbox is sent."""
        self._wake(self)

    def read(self, first: int, last: int, max_bytes: int, taken: Taken) -> None:
        """Find nothing: units that wait for a consumer are kept for it, and never left to history."""
        taken(())

    # Time.

    def sweep(self, now_s: float, now_ns: int) -> list[UnitOutcome]:
        """Check deadlines and timeouts and return the outcomes; to be called about once a second.

        If there are outcomes and the consumer has not ended, the caller must pump the consumer.

        Args:
            now_s: seconds from some fixed moment.
            now_ns: Unix time.
        """
        if self._timed:
            self.queued = deque([entry for entry in self.queued if not self._expire(entry.unit, now_ns)])
            self._timed = any(entry.unit.deadline_ns is not None for entry in self.queued)
        ttl_s = self._settings.consumer_ttl_s
        if self.lost_s is not None and now_s - self.lost_s >= ttl_s:
            return self.end(f"{self.client_id} has not come back within {ttl_s:g} s")
        connection = self.connection
        # A receiver that does not keep up with reading cannot work on a unit that is still on its way to it.
        if connection is None or connection.has_waiting:
            self._timeout.clear()
            return self._outcomes.take()
        late = self._timeout.ended(self.in_flight, now_s, connection)
        for entry in late:
            self.in_flight.remove(entry)
        self._try_again(late, f"not acknowledged within {self._settings.ack_timeout_s:g} s")
        return self._outcomes.take()

    # Sending.

    def _send_queued(self, connection: Connection, now_ns: int, left: int) -> int:
        queued, in_flight = self.queued, self.in_flight
        sending = Sending(connection, self.stream)
        try:
            while queued and left:
                left -= 1
                entry = queued[0]
                unit = entry.unit
                if unit.deadline_ns is not None and self._expire(unit, now_ns):
                    queued.popleft()
                    continue
                form = self._form_now(unit, connection)
                if form is None:
                    break
                queued.popleft()
                if isinstance(form, Gap):
                    add_gap(self._gaps, form)
                    self._drop(unit)
                    continue
                if entry.sent:
                    self.redelivered += unit.count
                    sending.announce(unit)
                    sent = in_flight.again
                else:
                    self.delivered += unit.count
                    sent = in_flight.once
                if connection.format.acknowledges:
                    entry.take(() if self._is_control else self._credits)
                    sent[unit.first] = entry
                else:
                    self._outcomes.released.append(unit)
                sending.add(form)
            sending.flush()
        finally:
            if queued and not left:
                self._wake(self)
            for credit in self._credits:
                credit.pass_on(self)
        while self._gaps:
            connection.send_in_order(self.stream, self._gaps.pop(0))
        return left

    def _form_now(self, unit: AckUnit, connection: Connection) -> Form | None:
        """Return the unit as the connection gets it; ``None`` if it may not have it now."""
        if connection.closed or (not connection.format.acknowledges and connection.waits_for(self.stream)):
            return None  # without acknowledgements no credit bounds the bytes that wait
        if self._is_control:
            if len(self.in_flight) >= self._settings.max_pending_commands:
                return None
        elif not allowed(self._credits, unit.nbytes, self):
            return None
        return self._deliveries.of(unit, connection)

    # Outcomes.

    def _try_again(self, entries: Iterable[InFlight], reason: str) -> None:
        again: list[InFlight] = []
        for entry in entries:
            if entry.tries >= self._settings.max_tries:
                self._bury(entry, reason)
                continue
            self._outcomes.add(Retried(entry.unit))
            self._timed = self._timed or entry.unit.deadline_ns is not None
            again.append(entry)
        put_back(self.queued, again)

    def _count_interrupted(self) -> None:
        """Count the delivery that a lost receiver worked on as tried, unless the unit was answered meanwhile."""
        entry = self._interrupted
        if entry is None or entry not in self.queued:
            return
        entry.tries += 1
        if entry.tries >= self._settings.max_tries:
            self.queued.remove(entry)
            self._bury(entry, f"{self.client_id} lost its connection {entry.tries} times while it worked on it")

    def _return_all(self) -> None:
        """Queue all units in flight again, as if they had not been sent."""
        self._timeout.clear()
        self._timed = self._timed or any(entry.unit.deadline_ns is not None for entry in self.in_flight.values())
        self.in_flight.return_to(self.queued)

    def _expire(self, unit: AckUnit, now_ns: int) -> bool:
        if unit.deadline_ns is None or now_ns <= unit.deadline_ns:
            return False
        self.expired += unit.count
        add_gap(self._gaps, Gap(self.stream.id, Code.EXPIRED, unit.first, unit.last))
        self._outcomes.expired.append(unit)
        return True

    def _drop(self, unit: AckUnit) -> None:
        self.dropped += unit.count
        self._outcomes.released.append(unit)

    def _bury(self, entry: InFlight, reason: str) -> None:
        self.dropped += entry.unit.count
        self.dead_lettered += entry.unit.count
        self._outcomes.add(Buried(entry.unit, entry.tries, reason))
