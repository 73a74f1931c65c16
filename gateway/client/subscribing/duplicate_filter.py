"""Duplicate filter: units of an acknowledged stream that the program holds, and units that it has processed.

The gateway delivers a unit again until it has the acknowledgement (spec section 7.4); the filter lets the program get
each message once. The filter outlives sessions, and the epoch of the stream.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.client.messages.ack_handle import AckScope, AckUnitRange, PendingAck
from gateway.client.subscribing.acknowledger import Acknowledger, AckPosition
from gateway.client.subscribing.ranges import Ranges
from gateway.protocol.extensions import Identity

MAX_PRODUCERS: Final = 256
"""Producers whose processed sequences a stream remembers; the least recently seen one is forgotten first."""

MAX_LET_GO: Final = 1024
"""Units that a stream remembers although the program has let go of them without an answer. They come again, unless they
have become dead letters."""


class FilterResult(NamedTuple):
    """Decision about a unit that has arrived."""

    pending: PendingAck | None
    """Unit to be given to the program; ``None``: the unit is a duplicate."""
    scopes: tuple[AckScope, ...] | None
    """Scopes of the subscriptions that get the unit; ``None``: all subscriptions."""
    credit_free: bool
    """Whether the credit of the other subscriptions is released."""


class DuplicateFilter:
    """Duplicate filter of one stream.

    Args:
        stream: name of the stream.
        acknowledger: sends acknowledgements to the gateway.

    Attributes:
        announced_epoch: epoch of the stream that was announced last.
    """

    def __init__(self, stream: str, acknowledger: Acknowledger) -> None:
        self._stream = stream
        self._acknowledger = acknowledger
        self.announced_epoch = 0
        self._position: AckPosition | None = None
        """Stream and epoch of the offsets below; ``None`` before the first unit."""
        self._processed = Ranges()
        """Offsets of the epoch that are processed, or will not come."""
        self._sequences: dict[int, Ranges] = {}
        """Processed sequences, by producer."""
        self._pending: dict[int, PendingAck] = {}
        """Units that the program holds, by their first offset in the epoch."""
        self._identified: dict[Identity, PendingAck] = {}
        self._refusers: dict[int, tuple[AckScope, ...]] = {}
        """Scopes of subscriptions that refused a unit which others have processed, by first offset."""

    def receive(self, unit: AckUnitRange) -> FilterResult:
        """Decide about a unit that has arrived.

        A unit that is processed already is acknowledged at once; a unit that the program holds is acknowledged when the
        program has processed it.
        """
        self._enter_epoch(unit.epoch)
        pending = self._pending.get(unit.first)
        if pending is None and unit.identity is not None:
            pending = self._identified.get(unit.identity)
        scopes: tuple[AckScope, ...] | None = None
        if pending is not None and not pending.held:
            # The program has let go of the message without an answer: it gets the message again.
            scopes = _drop(pending)
            pending = None
        if pending is not None:
            # Credit of an earlier session is void: the credit that the unit took on this session replaces it.
            credit_free = pending.unit.session is unit.session
            self._replace_unit(pending, unit)
            return FilterResult(None, None, credit_free)
        if scopes is None:
            scopes = self._refusers.pop(unit.first, None)
        if scopes is None and self._is_processed(unit):
            self._processed.add(unit.first, unit.last)
            self._acknowledger.add(self._position_in(unit.epoch), 0, unit.first, unit.last)
            return FilterResult(None, None, True)
        pending = self._pending[unit.first] = PendingAck(unit, self._settle, self._report)
        if unit.identity is not None:
            self._identified[unit.identity] = pending
        return FilterResult(pending, scopes, True)

    def skip(self, epoch: int, first: int, last: int) -> None:
        """Count offsets that will not come as processed."""
        self._enter_epoch(epoch)
        self._processed.add(first, last)

    def refuse(self, epoch: int, first: int, last: int, code: int) -> None:
        """Refuse units that have arrived and cannot be decoded."""
        self._acknowledger.add(self._position_in(epoch), code, first, last)

    def report_held(self) -> None:
        """Report the units that wait in a buffer, or that the program holds, as in progress.

        Past the newest :data:`MAX_LET_GO`, units that the program has let go of are forgotten.
        """
        if not self._pending:
            return
        held = Ranges(limit=2**31)
        let_go = []
        for pending in self._pending.values():
            if pending.held:
                held.add(pending.unit.first, pending.unit.last)
            else:
                let_go.append(pending)
        for pending in let_go[:-MAX_LET_GO]:
            _drop(pending)
        if self._position is not None:
            self._acknowledger.report(self._position, held)

    def _report(self, pending: PendingAck) -> None:
        unit = pending.unit
        self._acknowledger.report(self._position_in(unit.epoch), [(unit.first, unit.last)])

    def _settle(self, pending: PendingAck) -> None:
        """Acknowledge or refuse a unit to which all subscriptions have answered."""
        unit = pending.unit
        if self._pending.get(unit.first) is pending:
            del self._pending[unit.first]
        if unit.identity is not None:
            self._identified.pop(unit.identity, None)
        position = self._position_in(unit.epoch)
        if pending.refusers:
            if pending.processed and position is self._position:
                self._refusers[unit.first] = pending.refusers
            self._acknowledger.add(position, pending.code, unit.first, unit.last)
        elif pending.processed:
            self._record_processed(unit)
            self._acknowledger.add(position, 0, unit.first, unit.last)

    def _enter_epoch(self, epoch: int) -> None:
        if self._position is None or epoch != self._position.epoch:
            self._position = AckPosition(self._stream, epoch)
            self._processed = Ranges()
            self._pending = {}
            self._refusers = {}

    def _position_in(self, epoch: int) -> AckPosition:
        """Return the position of an epoch, which mostly is the present one."""
        position = self._position
        return position if position is not None and position.epoch == epoch else AckPosition(self._stream, epoch)

    def _replace_unit(self, pending: PendingAck, unit: AckUnitRange) -> None:
        """Acknowledge a unit that has arrived again at the offset of its last arrival."""
        self._pending.pop(pending.unit.first, None)
        self._pending[unit.first] = pending
        pending.unit = unit

    def _is_processed(self, unit: AckUnitRange) -> bool:
        if self._processed.covers(unit.first, unit.last):
            return True
        if unit.identity is None:
            return False
        producer, sequence = unit.identity
        seen = self._sequences.get(producer)
        return seen is not None and seen.covers(sequence, sequence + unit.count - 1)

    def _record_processed(self, unit: AckUnitRange) -> None:
        if self._position is not None and unit.epoch == self._position.epoch:
            self._processed.add(unit.first, unit.last)
        if unit.identity is None:
            return
        producer, sequence = unit.identity
        seen = self._sequences.pop(producer, None) or Ranges()
        seen.add(sequence, sequence + unit.count - 1)
        self._sequences[producer] = seen
        if len(self._sequences) > MAX_PRODUCERS:
            del self._sequences[next(iter(self._sequences))]


class DuplicateFilters:
    """Duplicate filters of all acknowledged streams, by name; they outlive sessions.

    Args:
        acknowledger: sends acknowledgements to the gateway.
    """

    def __init__(self, acknowledger: Acknowledger) -> None:
        self._acknowledger = acknowledger
        self._filters: dict[str, DuplicateFilter] = {}

    def of(self, stream: str, epoch: int) -> DuplicateFilter:
        """Return the filter of a stream, which is announced with this epoch."""
        found = self._filters.get(stream)
        if found is None:
            found = self._filters[stream] = DuplicateFilter(stream, self._acknowledger)
        found.announced_epoch = epoch
        return found

    def end(self, stream: str, epoch: int) -> None:
        """Forget the filter of a stream that has ended, unless the next one of the name has been announced."""
        found = self._filters.get(stream)
        if found is not None and found.announced_epoch == epoch:
            del self._filters[stream]

    def report_held(self) -> None:
        """Report the units of all streams that wait, or that the program holds."""
        for duplicates in self._filters.values():
            duplicates.report_held()


def _drop(pending: PendingAck) -> tuple[AckScope, ...]:
    """Give up a unit that the program has let go of; return the scopes of the subscriptions that have not answered."""
    scopes = pending.open_scopes
    for scope in scopes:
        scope.drop(pending)
    return scopes
