"""The delivery class of a state stream: knows which of its members hold the newest version, and so may get a delta.

The invariant (docs/decisions/0008): of every member that is not in *need* of a whole version, the last version that was
written to it, or queued for it in its outbox, is the newest one that the class has delivered.
"""

from __future__ import annotations

from gateway.connections.fanout.delivery_class import DeliveryClass, Flusher
from gateway.connections.outbound.backfill import Read
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.formats import Format
from gateway.protocol.signals import Gap
from gateway.streams.run import Run, Source


class StateClass(DeliveryClass):
    """Receivers of one state stream with one format and the same codecs.

    Args:
        keyframe_every: of so many versions each member gets at least one whole. They take turns: at every delta some
            get the version whole, so that never all of them do at once.
    """

    __slots__ = ("_deltas", "_keyframe_every", "_needing", "_turns")

    def __init__(
        self,
        source: Source,
        form: Format,
        codecs: frozenset[str],
        flusher: Flusher,
        history: Read,
        delivered: int,
        keyframe_every: int,
    ) -> None:
        super().__init__(source, form, codecs, flusher, history, delivered)
        self._keyframe_every = keyframe_every
        self._deltas = 0
        self._turns: dict[int, dict[Connection, None]] = {}
        """Members by the turn, of ``keyframe_every``, in which they get the state complete."""
        self._needing: dict[Connection, bool] = {}
        """Who must get the next version whole, and whether it holds the newest one all the same."""

    def need_whole(self, connection: Connection) -> None:
        """A member has not got the newest version: the next one must reach it whole."""
        if connection in self._members:
            self._needing[connection] = False
            self.stale = True

    def needs_whole(self, member: Connection) -> bool:
        """See :class:`~gateway.connections.fanout.delivery_class.DeliveryClass`."""
        return member in self._needing

    def leave_out(self, member: Connection, gap: Gap) -> None:
        """See :class:`~gateway.connections.fanout.delivery_class.DeliveryClass`."""
        self.need_whole(member)
        super().leave_out(member, gap)

    def got_whole(self, member: Connection) -> bool:
        """See :class:`~gateway.connections.fanout.delivery_class.DeliveryClass`."""
        if member not in self._needing:
            return True
        self.stale = True
        return self._needing.pop(member)

    def keeping_up(self, *, holding: bool) -> list[Connection]:
        """See :class:`~gateway.connections.fanout.delivery_class.DeliveryClass`."""
        members = super().keeping_up(holding=holding)
        return [member for member in members if member not in self._needing] if holding else members

    def count_delta(self) -> None:
        """One more version goes out as a delta: some members take their turn to get it whole."""
        self._deltas += 1
        for member in self._turns.get(self._deltas % self._keyframe_every, ()):
            self._needing.setdefault(member, True)
            self.stale = True

    def join(self, connection: Connection) -> None:
        """See :class:`~gateway.connections.fanout.delivery_class.DeliveryClass`."""
        super().join(connection)
        self._turns.setdefault(self._turn_of(connection), {})[connection] = None
        self.need_whole(connection)

    def leave(self, connection: Connection) -> None:
        """See :class:`~gateway.connections.fanout.delivery_class.DeliveryClass`."""
        super().leave(connection)
        self._turns.get(self._turn_of(connection), {}).pop(connection, None)
        self._needing.pop(connection, None)

    def add(self, run: Run) -> None:
        """See :class:`~gateway.connections.fanout.delivery_class.DeliveryClass`."""
        if run.keyframe is not None:
            self.count_delta()
        super().add(run)

    def flush(self) -> None:
        """See :class:`~gateway.connections.fanout.delivery_class.DeliveryClass`."""
        pending, needing = self._pending, self._needing
        super().flush()
        if needing and pending:
            self._needing = {}
            self.stale = True
            whole = [run.keyframe or run for run in pending]
            for connection in needing:
                connection.enqueue(whole)

    def _turn_of(self, connection: Connection) -> int:
        """Return the turn in which a member gets the state complete."""
        return -connection.peer.id % self._keyframe_every

    def _sort_members(self) -> None:
        if not self._needing:
            super()._sort_members()
            return
        self.stale = False
        holding = [member for member in self._members if member not in self._needing]
        self._write_to([member for member in holding if not member.lagging])
        self._slow = [member for member in holding if member.lagging]


def as_state(delivery: DeliveryClass) -> StateClass:
    """A class of a state stream as what it is."""
    assert isinstance(delivery, StateClass)
    return delivery
