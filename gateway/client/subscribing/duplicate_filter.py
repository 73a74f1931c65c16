"""What a client has in hand of a stream that it acknowledges, and what it is through with.

The gateway delivers again what it has no answer for (spec section 7.4); the ledger sees to it that the program gets
each message once. It outlives sessions, and the epoch of the stream.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.client.messages.ack_handle import AckScope, AckUnitRange, PendingAck
from gateway.client.subscribing.acknowledger import Acknowledger, AckPosition
from gateway.client.subscribing.ranges import Ranges
from gateway.protocol.extensions import Identity

MAX_PRODUCERS: Final = 256
"""Of so many publishers a stream remembers what came; the one heard of longest ago is forgotten first."""


class Receiving(NamedTuple):
    """What is to be done with a unit that has arrived."""

    pending: PendingAck | None
    """For the program; ``None``: it came before."""
    scopes: list[AckScope] | None
    """The subscriptions that it is for; ``None``: all."""
    spare: bool
    """What it took of the credit of the others is free again."""


class DuplicateFilter:
    """One stream's.

    Args:
        stream: its name.
        acknowledger: tells the gateway.
    """

    def __init__(self, stream: str, acknowledger: Acknowledger) -> None:
        self._stream = stream
        self._acknowledger = acknowledger
        self._epoch: int | None = None
        self._through = Ranges()
        """Offsets of the epoch that are processed, or will not come."""
        self._sequences: dict[int, Ranges] = {}
        """By producer, what is processed of its messages."""
        self._held: dict[int, PendingAck] = {}
        """By first offset of the epoch."""
        self._identified: dict[Identity, PendingAck] = {}
        self._refusers: dict[int, list[AckScope]] = {}
        """By first offset, the subscriptions that want a unit again which others have processed."""

    def receive(self, unit: AckUnitRange) -> Receiving:
        """A unit has arrived.

        What came before and is processed is acknowledged at once; what is still in hand will be when it is processed.
        """
        self._enter(unit.epoch)
        pending = self._held.get(unit.first)
        if pending is None and unit.identity is not None:
            pending = self._identified.get(unit.identity)
        if pending is not None:
            # The credit that it took on an earlier session is of no use any more; what it took now stands for it.
            spare = pending.unit.session is unit.session
            self._move(pending, unit)
            return Receiving(None, None, spare)
        scopes = self._refusers.pop(unit.first, None)
        if scopes is None and self._is_through(unit):
            self._through.add(unit.first, unit.last)
            self._acknowledger.add(AckPosition(self._stream, unit.epoch), 0, unit.first, unit.last)
            return Receiving(None, None, True)
        pending = self._held[unit.first] = PendingAck(unit, self._settle)
        if unit.identity is not None:
            self._identified[unit.identity] = pending
        return Receiving(pending, scopes, True)

    def skip(self, epoch: int, first: int, last: int) -> None:
        """These offsets will not come."""
        self._enter(epoch)
        self._through.add(first, last)

    def refuse(self, epoch: int, first: int, last: int, code: int) -> None:
        """What has arrived there cannot be read: it is not processed."""
        self._acknowledger.add(AckPosition(self._stream, epoch), code, first, last)

    def _settle(self, pending: PendingAck) -> None:
        """All subscriptions have answered."""
        unit = pending.unit
        if self._held.get(unit.first) is pending:
            del self._held[unit.first]
        if unit.identity is not None:
            self._identified.pop(unit.identity, None)
        place = AckPosition(self._stream, unit.epoch)
        if pending.refusers:
            if pending.processed and unit.epoch == self._epoch:
                self._refusers[unit.first] = pending.refusers
            self._acknowledger.add(place, pending.code, unit.first, unit.last)
        elif pending.processed:
            self._note(unit)
            self._acknowledger.add(place, 0, unit.first, unit.last)

    def _enter(self, epoch: int) -> None:
        if epoch != self._epoch:
            self._epoch = epoch
            self._through = Ranges()
            self._held = {}
            self._refusers = {}

    def _move(self, pending: PendingAck, unit: AckUnitRange) -> None:
        """What is in hand has come again: it is to be acknowledged where it stands now."""
        self._held.pop(pending.unit.first, None)
        self._held[unit.first] = pending
        pending.unit = unit

    def _is_through(self, unit: AckUnitRange) -> bool:
        if self._through.covers(unit.first, unit.last):
            return True
        if unit.identity is None:
            return False
        producer, sequence = unit.identity
        seen = self._sequences.get(producer)
        return seen is not None and seen.covers(sequence, sequence + unit.count - 1)

    def _note(self, unit: AckUnitRange) -> None:
        if unit.epoch == self._epoch:
            self._through.add(unit.first, unit.last)
        if unit.identity is None:
            return
        producer, sequence = unit.identity
        seen = self._sequences.pop(producer, None) or Ranges()
        seen.add(sequence, sequence + unit.count - 1)
        self._sequences[producer] = seen
        if len(self._sequences) > MAX_PRODUCERS:
            del self._sequences[next(iter(self._sequences))]
