"""One client's place in one stream whose receivers acknowledge: what it has still to get, and what it is at.

Knows times only as they are given to it. What becomes of units for good is told to a
:class:`~gateway.connections.consumers.steward.Steward`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from gateway.connections.consumers.ack_timeout import AckTimeout
from gateway.connections.consumers.ack_unit import AckUnit
from gateway.connections.consumers.in_flight import InFlight, Sending
from gateway.connections.consumers.settings import ConsumerSettings
from gateway.connections.consumers.steward import Form, Steward
from gateway.connections.outbound.backfill import Taken
from gateway.connections.outbound.connection import Connection
from gateway.connections.sessions.credit_window import CreditWindow
from gateway.errors import Code, name_of
from gateway.ids import ClientId
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Gap
from gateway.streams.progress import Progress
from gateway.streams.stream import Stream


class Consumer:
    """What one client has still to get of one stream (spec section 7.4).

    Args:
        client_id: who it is.
        stream: of kind ``collaboration`` or ``control``.
        settings: bounds and times.
        steward: of the stream.
        now_s: seconds from some fixed moment.
        progress: how far it has got; kept by the steward.

    Attributes:
        burials: its dead letters that are not published yet; counted by the steward.
        connection: the one of the client's connections that is served; ``None`` while it is away,
        lost_s: since when.
        delivered: messages that it got, each counted once.
        replayed: messages that it got once more.
        expired: messages whose deadline passed before it got them.
        dropped: messages that it did not get or process, and never will.
        dead_lettered: those of them that became dead letters.
        stale: see :class:`~gateway.connections.outbound.connection.Membership`; what is sent does not depend on it.
    """

    __slots__ = (
        "_catching_up",
        "_credits",
        "_flying",
        "_gaps",
        "_is_control",
        "_patience",
        "_settings",
        "_steward",
        "_timed",
        "_waiting",
        "burials",
        "client_id",
        "connection",
        "dead_lettered",
        "delivered",
        "dropped",
        "expired",
        "lost_s",
        "progress",
        "replayed",
        "stale",
        "stream",
    )

    def __init__(
        self,
        client_id: ClientId,
        stream: Stream,
        settings: ConsumerSettings,
        steward: Steward,
        now_s: float,
        progress: Progress,
    ) -> None:
        self.client_id = client_id
        self.stream = stream
        self.progress = progress
        self.burials = 0
        self._is_control = stream.kind is Kind.CONTROL
        self._settings = settings
        self._steward = steward
        self._waiting: deque[InFlight] = deque()
        """To be sent, oldest first: what was sent before, then the rest."""
        self._flying: dict[int, InFlight] = {}
        """Sent and not acknowledged, by first offset, those that were sent again first."""
        self._timed = 0
        """How many of those that wait have a deadline."""
        self._gaps: list[Gap] = []
        """What will not come, and the receiver was not told yet."""
        self._patience = AckTimeout(settings.ack_timeout_s)
        self._credits: Sequence[CreditWindow] = ()
        self._catching_up = False
        """More commands waited when the connection came than may be pending: so it is not its fault."""
        self.connection: Connection | None = None
        self.lost_s: float | None = now_s
        self.delivered = self.replayed = self.expired = self.dropped = self.dead_lettered = 0
        self.stale = False

    @property
    def pending(self) -> int:
        """Units that are not acknowledged, sent or not."""
        return len(self._waiting) + len(self._flying)

    # Who is served.

    def attach(self, connection: Connection, credits: Sequence[CreditWindow]) -> None:
        """Serve a connection from now on: what the client has not acknowledged first.

        Args:
            credits: of its subscriptions that match the stream; what is sent takes of each.
        """
        self._return_all(None)
        self.connection = connection
        self.lost_s = None
        self._credits = credits
        self._catching_up = self.pending > self._settings.max_pending_commands
        self._steward.wake(self)

    def change_credits(self, credits: Sequence[CreditWindow]) -> None:
        """The connection has one subscription more or less that matches the stream."""
        self._credits = credits
        self._steward.wake(self)

    def detach(self, now_s: float) -> None:
        """The connection is lost: what it was at counts as a try, the rest is as if it had not been sent."""
        head = self._head
        self._return_all(head)
        self.connection = None
        self.lost_s = now_s
        self._credits = ()
        if head is not None and head.tries >= self._settings.max_tries:
            self._waiting.remove(head)
            self._timed -= head.unit.timed
            self._bury(head, f"{self.client_id} lost its connection {head.tries} times while it was at it")

    def end(self, reason: str | None) -> None:
        """The client gets nothing any more.

        Args:
            reason: makes what it has not acknowledged dead letters; ``None``: it has given that up itself.
        """
        self._return_all(None)
        self.connection = None
        waiting, self._waiting = self._waiting, deque()
        self._timed = 0
        for flight in waiting:
            if reason is None:
                self._give_up(flight.unit)
            else:
                self._bury(flight, reason)

    # What it gets.

    def put(self, units: Iterable[AckUnit]) -> None:
        """New units of the stream."""
        for unit in units:
            self._waiting.append(InFlight(unit))
            self._timed += unit.timed
        connection, bound = self.connection, self._settings.max_pending_commands
        if self._is_control and connection is not None and self.pending > bound and not self._catching_up:
            problem = f"{self.pending} commands of {self.stream.name} are not acknowledged, more than {bound}"
            connection.close(Code.SLOW_CONSUMER, problem)

    def wake(self) -> None:
        """See :class:`~gateway.connections.sessions.credit_window.CreditWaiter`."""
        self._steward.wake(self)

    def pump(self, now_ns: int) -> None:
        """Send what may be sent now.

        Args:
            now_ns: Unix time.
        """
        connection = self.connection
        if connection is None or connection.closed:
            return
        waiting = self._waiting
        sending = Sending(connection, self.stream)
        resent: dict[int, InFlight] = {}
        while waiting:
            flight = waiting[0]
            unit = flight.unit
            if unit.timed and self._expire(unit, now_ns):
                waiting.popleft()
                continue
            form = self._form_now(unit, connection, len(resent))
            if form is None:
                break
            waiting.popleft()
            self._timed -= unit.timed
            if isinstance(form, Gap):
                self._add_gap(form)
                self._give_up(unit)
                continue
            if flight.sent:
                self.replayed += unit.count
                sending.announce(unit)
            else:
                self.delivered += unit.count
            self._send(flight, connection, resent if flight.sent else self._flying)
            sending.add(form)
        sending.flush()
        if resent:
            self._flying = {**resent, **self._flying}
        gaps, self._gaps = self._gaps, []
        for gap in gaps:
            connection.send_in_order(self.stream, gap)

    def done(self, first: int, last: int, code: int) -> None:
        """The receiver is through with these offsets (spec section 7.4). A unit that they cover in part is not."""
        for flight in self._covered(first, last):
            del self._flying[flight.unit.first]
            flight.settle()
            if not code:
                self._steward.release(self, flight.unit)
            else:
                self._try_again(flight, f"not processed: {name_of(code)}")
        if not code and self._waiting and self._waiting[0].sent:
            self._spare(first, last)
        if self._catching_up and self.pending <= self._settings.max_pending_commands:
            self._catching_up = False
        self._steward.wake(self)

    def settle(self, connection: Connection) -> None:
        """Nothing: what is sent is in the connection's ledger already."""

    def read(self, first: int, last: int, max_bytes: int, taken: Taken) -> None:
        """Nothing: what waits for a consumer is kept for it, and never left to history."""
        taken(())

    # Time.

    def sweep(self, now_s: float, now_ns: int) -> bool:
        """To be called about once a second.

        Args:
            now_s: seconds from some fixed moment.
            now_ns: Unix time.

        Returns:
            whether the consumer goes on; otherwise it has been waited for in vain, and has ended.
        """
        if self._timed:
            self._waiting = deque(flight for flight in self._waiting if not self._expire(flight.unit, now_ns))
            self._steward.wake(self)
        ttl_s = self._settings.consumer_ttl_s
        if self.lost_s is not None and now_s - self.lost_s >= ttl_s:
            self.end(f"{self.client_id} has not come back within {ttl_s:g} s")
            return False
        head = self._head
        # A receiver that does not keep up with reading cannot be at what is still on its way to it.
        lagging = self.connection is None or self.connection.lagging
        if self._patience.ends(None if lagging else head, now_s) and head is not None:
            del self._flying[head.unit.first]
            head.settle()
            self._try_again(head, f"not acknowledged within {self._settings.ack_timeout_s:g} s")
            self._steward.wake(self)
        return True

    # How it is sent.

    @property
    def _head(self) -> InFlight | None:
        """What the receiver is at: it works in order."""
        return next(iter(self._flying.values()), None)

    def _form_now(self, unit: AckUnit, connection: Connection, resent: int) -> Form | None:
        """The unit as the connection gets it, if it may have it now."""
        if connection.closed:
            return None
        if self._is_control:
            if len(self._flying) + resent >= self._settings.max_pending_commands:
                return None
        else:
            for credit in self._credits:
                if not credit.allows(unit.nbytes):
                    credit.wait(self)
                    return None
        return self._steward.form_of(unit, connection)

    def _send(self, flight: InFlight, connection: Connection, flying: dict[int, InFlight]) -> None:
        unit = flight.unit
        if not connection.format.acknowledges:
            self._steward.release(self, unit)
            return
        flight.take(() if self._is_control else self._credits)
        flying[unit.first] = flight

    # What becomes of units.

    def _covered(self, first: int, last: int) -> list[InFlight]:
        """The flights within a range that may be as long as a peer likes."""
        flying = self._flying
        if last - first < len(flying):
            found = [flying[offset] for offset in range(first, last + 1) if offset in flying]
            return [flight for flight in found if flight.unit.last <= last]
        return [flight for flight in flying.values() if first <= flight.unit.first and flight.unit.last <= last]

    def _spare(self, first: int, last: int) -> None:
        """What is processed after all need not be sent again: the answer came late, or on another connection."""
        again: list[InFlight] = []
        while self._waiting and self._waiting[0].sent:
            flight = self._waiting.popleft()
            if first <= flight.unit.first and flight.unit.last <= last:
                self._timed -= flight.unit.timed
                self._steward.release(self, flight.unit)
            else:
                again.append(flight)
        self._waiting.extendleft(reversed(again))

    def _try_again(self, flight: InFlight, reason: str) -> None:
        if flight.tries >= self._settings.max_tries:
            self._bury(flight, reason)
            return
        self._timed += flight.unit.timed
        later = (at for at, other in enumerate(self._waiting) if other.unit.first > flight.unit.first)
        self._waiting.insert(next(later, len(self._waiting)), flight)

    def _return_all(self, tried: InFlight | None) -> None:
        """Nothing is under way any more; all but ``tried`` as if it had not been."""
        for flight in self._flying.values():
            flight.settle()
            flight.tries -= flight is not tried
            self._timed += flight.unit.timed
        if self._flying:
            self._waiting = deque(sorted([*self._flying.values(), *self._waiting], key=lambda each: each.unit.first))
        self._flying = {}

    def _expire(self, unit: AckUnit, now_ns: int) -> bool:
        if unit.deadline_ns is None or now_ns <= unit.deadline_ns:
            return False
        self._timed -= 1
        self.expired += unit.count
        self._add_gap(Gap(self.stream.id, Code.EXPIRED, unit.first, unit.last))
        self._steward.expired(self, unit)
        return True

    def _add_gap(self, gap: Gap) -> None:
        before = self._gaps[-1] if self._gaps else None
        if before is not None and before.code == gap.code and before.last + 1 == gap.first:
            self._gaps[-1] = Gap(gap.stream, gap.code, before.first, gap.last)
        else:
            self._gaps.append(gap)

    def _give_up(self, unit: AckUnit) -> None:
        self.dropped += unit.count
        self._steward.release(self, unit)

    def _bury(self, flight: InFlight, reason: str) -> None:
        self.dropped += flight.unit.count
        self.dead_lettered += flight.unit.count
        self._steward.bury(self, flight.unit, flight.tries, reason)
