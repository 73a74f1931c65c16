"""State fan-out: delivery of one state stream, whose newest version receivers may ask for, and which takes patches."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway.connections.fanout.broadcast import Broadcast
from gateway.connections.fanout.delivery_class import DeliveryClass, Flusher
from gateway.connections.fanout.form import is_brief
from gateway.connections.fanout.history_reader import HistoryReader
from gateway.connections.fanout.late_join import AheadForms
from gateway.connections.fanout.patch_merger import PatchMerger, takes_patches
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.fanout.start_position import StartPosition
from gateway.connections.fanout.version_tracker import resting_of
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.no_entries import with_entry
from gateway.connections.ports import DeliveryPolicy, Workers
from gateway.connections.slices import Slices
from gateway.streams.derived import DerivedStream
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run, Source
from gateway.streams.span import offsets_of
from gateway.streams.state import PatchRun, patch_of

SHOWN_TOGETHER: Final = 32
"""Receivers that rest and are sent a version in one step: some hundred microseconds."""

TEXTS_SHOWN_TOGETHER: Final = 256
"""The same for a version that is written as text for each step anew, which takes less than a millisecond."""


@dataclass(slots=True, eq=False)
class Newcomers:
    """Receivers that join: dashboards that come while others rest, for whoever has them rest, and all to be counted."""

    wanted: bool = False
    """Whether dashboards rest now."""
    joined: dict[tuple[StateFanout, Connection], None] = field(default_factory=dict)
    """Newcomers of streams, each with the fan-out."""
    counted: Callable[[StateFanout, Connection], object] | None = None
    """Called with each receiver that joins, of all types; ``None``: nobody counts them."""


class StateFanout(PubSubFanout):
    """Fan-out of one state stream.

    Args:
        source: the stream.
        flusher: flushes the delivery classes at the end of the turn.
        workers: threads that encode and decode.
        policy: chooses encodings.
        history: reads messages that a receiver missed.
        slices: moves receivers between delivery classes.
        merger: merges patches that have been delivered, before too many are kept.
        newcomers: takes receivers that join; dashboards only of a stream itself, as a view has a pace of its own.
    """

    __slots__ = ("_merger", "_newcomers", "_shown")

    def __init__(
        self,
        source: Source,
        flusher: Flusher,
        workers: Workers,
        policy: DeliveryPolicy,
        history: HistoryReader,
        slices: Slices,
        merger: PatchMerger,
        newcomers: Newcomers,
    ) -> None:
        super().__init__(source, flusher, workers, policy, history, slices)
        self._merger = merger
        self._newcomers = newcomers
        self._shown = 0
        """Offset behind the version that receivers which rest were shown last."""

    def join(self, connection: Connection, start: StartPosition, unkept: Run | LargeMessage | None = None) -> None:
        """Add a receiver, as :class:`~gateway.connections.fanout.pubsub_fanout.PubSubFanout` does."""
        newcomers, is_new = self._newcomers, self.source not in connection.memberships
        super().join(connection, start, unkept)
        if newcomers.wanted and connection.peer.is_dashboard and not isinstance(self.source, DerivedStream):
            newcomers.joined[self, connection] = None
        if newcomers.counted is not None and is_new:
            newcomers.counted(self, connection)

    def send_ahead(self, ahead: AheadForms | None) -> None:
        """Send receivers that come later the newest version as it was encoded ahead, where it was; ``None``: no more.

        Args:
            ahead: told of each version that is delivered from now on.
        """
        before, self._late_join.ahead = self._late_join.ahead, ahead
        if before is not None:
            del self.taps[before.came]
        if ahead is not None:
            self.taps = with_entry(self.taps, ahead.came, None)

    def begin_with(self, newest: Run | LargeMessage, receivers: Container[Connection]) -> None:
        """Take the version that existed before all members came; called before any other is delivered.

        Args:
            newest: that version, complete.
            receivers: the members that are to get it; the others have it already.
        """
        assert self._deltas is not None
        self._newest = self._deltas.latest = newest
        for delivery in self.classes:
            for member in list(delivery):
                if member in receivers:
                    self._late_join.send_newest([member], delivery, newest)
                else:
                    assert delivery.versions is not None
                    delivery.versions.require_keyframe(member)

    def refresh(self, connection: Connection) -> None:
        """Send the newest version as a keyframe to a receiver that asks for it (spec section 4.4)."""
        delivery = self._table.of(connection)
        assert delivery is not None
        delivery.flush()
        if self._newest is None:
            if delivery.versions is not None:
                delivery.versions.require_keyframe(connection)
            return
        following, resting = self._following, resting_of(delivery.versions)
        repeated = resting.get(connection, following) >= following
        if connection in resting:
            resting[connection] = following
        self._late_join.send_newest([connection], delivery, self._newest, repeated=repeated)

    # Receivers that rest.

    @property
    def has_resting(self) -> bool:
        """Whether any receiver rests."""
        return any(resting_of(delivery.versions) for delivery in self._classes.values())

    def rest(self, connection: Connection) -> None:
        """Send a receiver no version but by :meth:`show` from now on, unless it is gone or rests already."""
        delivery = self._table.of(connection)
        if delivery is not None:
            resting = resting_of(delivery.versions)
            if connection not in resting:
                delivery.leave(connection)
                resting[connection] = self._following

    def show(self) -> Iterator[None]:
        """Send the newest version to the receivers that rest and have not got it, some in each step."""
        if self._shown != self._following:
            self._shown = self._following
            yield from self._send_to_resting(waking=False)

    def wake(self) -> Iterator[None]:
        """Send each version again to the receivers that rest, after the newest one; some in each step."""
        self._shown = 0
        yield from self._send_to_resting(waking=True)
        if self._table.moving:
            self._slices.add(self._move)

    def _send_to_resting(self, *, waking: bool) -> Iterator[None]:
        for delivery in self.classes:
            resting = resting_of(delivery.versions)
            members = list(resting)
            together = SHOWN_TOGETHER
            if not delivery.format.takes_chunks:
                # A version that takes long is written as text once for all.
                together = TEXTS_SHOWN_TOGETHER if _is_brief(self._newest) else max(1, len(members))
            for at in range(0, len(members), together):
                following, behind = self._following, list[Connection]()
                for member in members[at : at + together]:
                    if member not in resting:
                        continue  # gone since the last step
                    if resting[member] < following:
                        behind.append(member)
                    if waking:
                        _wake(member, delivery, holds_newest=resting[member] >= following)
                        self._table.check(member)
                    else:
                        resting[member] = following
                if behind and self._newest is not None:
                    self._late_join.send_newest(behind, delivery, self._newest, repeated=False)
                yield

    @property
    def _following(self) -> int:
        """Offset behind the newest version that has been delivered."""
        return 0 if self._newest is None else offsets_of(self._newest)[1] + 1

    def close(self, end: Callable[[Connection], object]) -> Iterator[None]:
        """Implement :meth:`~gateway.connections.fanout.fanout.Fanout.close`, also for receivers that rest."""
        yield from self.wake()
        yield from super().close(end)

    def finish_broadcast(self, broadcast: Broadcast) -> None:
        """Deliver a large version; receivers that have begun to rest while it came have got it with the others."""
        super().finish_broadcast(broadcast)
        for part in broadcast.parts:
            resting = resting_of(part.delivery.versions)
            for member in part.audience.keys() & resting.keys():
                resting[member] = self._following

    def deliver_patch(self, run: PatchRun, names: frozenset[str]) -> None:
        """Deliver a small patch (spec section 5.4).

        It goes out as published to receivers that hold the version before it, and as a keyframe to all others.

        Args:
            run: holds the patch.
            names: of the codecs that it is encoded by.
        """
        assert self._deltas is not None
        self._deltas.latest = run

        def deliver() -> None:
            self._newest = run
            self.delivered = run.last + 1
            for delivery in self.classes:
                if takes_patches(delivery) and names <= delivery.profile.codecs:
                    delivery.add(run)
                else:
                    self._late_join.send(run, delivery, list(delivery))
            self._tell_taps(run)

        self._queue.add_ready(deliver)

    def _tell_taps(self, message: Run | LargeMessage) -> None:
        patch = patch_of(message)
        if patch is not None:
            self._merger.compact_if_due(patch)
        super()._tell_taps(message)


def _wake(member: Connection, delivery: DeliveryClass, *, holds_newest: bool) -> None:
    assert delivery.versions is not None
    del delivery.versions.resting[member]
    delivery.join(member)
    if holds_newest:
        delivery.versions.keyframe_queued(member)


def _is_brief(newest: Run | LargeMessage | None) -> bool:
    return isinstance(newest, Run) and is_brief(newest)
