"""Outbox of a receiver that grants credit for streams of kind ``state`` and ``event`` (spec section 7.5).

A queue whose stream has no credit waits in none of the places of
:class:`~gateway.connections.lagging.queue_turns.QueueTurns`: the receiver does not lag for that, and its other streams
go on. The bounds are those of the kinds: of a state the newest version waits, and events are bounded as for a slow
receiver.
"""

from __future__ import annotations

from gateway.connections.lagging.bulk import Bulk
from gateway.connections.lagging.credit_gate import CreditGates
from gateway.connections.lagging.cursor import Cursor
from gateway.connections.outbound.outbox import Outbox
from gateway.connections.outbound.stream_queue import SIGNALS, Receiver, StreamQueue
from gateway.streams.payload_count import split_run
from gateway.streams.run import Run, Source


class CreditedQueue(StreamQueue):
    """Queue of one stream whose messages take credit when they are sent.

    Args:
        source: the stream, view or observed stream.
        resumes, bulk: see :class:`~gateway.connections.outbound.stream_queue.StreamQueue`.
        gates: gates of the receiver; a source without one takes no credit.
    """

    __slots__ = ("_gates",)

    def __init__(self, source: Source, resumes: dict[int, int], bulk: Bulk, gates: CreditGates) -> None:
        super().__init__(source, resumes, bulk)
        self._gates = gates

    @property
    def _needs_credit(self) -> bool:
        """Whether the first entry takes credit: it is a message of which the receiver has got nothing."""
        head = self.entries[0] if self.entries else None
        return head is not None and not isinstance(head, SIGNALS) and not (isinstance(head, Cursor) and head.started)

    @property
    def _open(self) -> bool:
        """Whether there is credit for a message."""
        gate = self._gates.by_source.get(self.source)
        return gate is None or gate.open

    @property
    def _waits_for_credit(self) -> bool:
        """Whether the queue has begun to wait for credit."""
        gate = self._gates.by_source.get(self.source)
        return gate is not None and gate.waiting and self._needs_credit

    @property
    def idle(self) -> bool:
        """Whether everything that has come was sent, or waits for credit."""
        return (not self.entries or self._waits_for_credit) and all(cursor.caught_up for cursor in self.open)

    @property
    def sends_runs(self) -> bool:
        """Whether small messages are next, and there is credit for them."""
        return super().sends_runs and self._open

    @property
    def waits(self) -> bool | None:
        """See :class:`~gateway.connections.outbound.stream_queue.StreamQueue`; without credit it waits for nothing."""
        return super().waits if self._open else None

    def has_room_for_delta(self, size: int, keyframe_bytes: int) -> bool:
        """Return whether a delta may wait; without credit none may, so that only the newest version waits."""
        return self._open and super().has_room_for_delta(size, keyframe_bytes)

    def send_some(self, receiver: Receiver) -> bool:
        """Send some runs, one signal or one chunk, as far as credit reaches. Return False if nothing can be sent."""
        gate = self._gates.by_source.get(self.source)
        if gate is None or gate.open or not self._needs_credit:
            return super().send_some(receiver)
        gate.wait()
        return self._advance_open(receiver)

    def take_runs(self, most_bytes: int) -> list[Run]:
        """Remove and return small messages of about so many bytes, for which there is credit; they are sent now."""
        gate = self._gates.by_source.get(self.source)
        if gate is None:
            return super().take_runs(most_bytes)
        entries = self.entries
        runs: list[Run] = []
        size = 0
        while entries and size < most_bytes and gate.open and isinstance(run := entries[0], Run):
            if runs and self.bulk.holds(run):
                break
            taken, rest, payloads = split_run(run, *gate.room)
            gate.take(*payloads)
            if rest is None:
                del entries[0]
            else:
                entries[0] = rest
            runs.append(taken)
            size += taken.size
        self.waiting_bytes -= size
        self.taken_bytes += size
        return runs

    def _advance(self, cursor: Cursor, receiver: Receiver) -> bool:
        """Send the head or the next chunk of a large message, which takes credit with its head."""
        begins = not cursor.started
        if not super()._advance(cursor, receiver):
            return False
        gate = self._gates.by_source.get(self.source)
        if begins and gate is not None:
            gate.take(1, cursor.message.plan.payload_bytes)
        return True


class CreditedOutbox(Outbox):
    """Outbox whose queues send as far as credit reaches.

    Args:
        limit_bytes, max_hold_s: see :class:`~gateway.connections.outbound.outbox.Outbox`.
        gates: gates of the receiver.
    """

    __slots__ = ("_gates",)

    def __init__(self, limit_bytes: int, max_hold_s: float, gates: CreditGates) -> None:
        super().__init__(limit_bytes, max_hold_s)
        self._gates = gates

    def clear(self) -> dict[Source, StreamQueue]:
        """Drop all queues but those that wait for credit, and return them; all are dropped if there are no gates."""
        if not self._gates.by_source or not any(queue.entries for queue in self._queues.values()):
            return super().clear()
        dropped = {source: queue for source, queue in self._queues.items() if not queue.entries}
        for source in dropped:
            del self._queues[source]
        self.turnover += dropped
        for queue in self._queues.values():
            # Further chunks of large messages under way are written directly, as the receiver does not lag.
            queue.open = ()
        return dropped

    def _queue(self, source: Source) -> StreamQueue:
        if source not in self._queues:
            self._queues[source] = CreditedQueue(source, self.resumes, self.bulk, self._gates)
            self.turnover.append(source)
        return super()._queue(source)
