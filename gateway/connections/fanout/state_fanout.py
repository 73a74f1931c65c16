"""State fan-out: delivery of one state stream, whose newest version receivers may ask for, and which takes patches."""

from __future__ import annotations

from collections.abc import Container

from gateway.connections.fanout.delivery_class import Flusher
from gateway.connections.fanout.form import key_of
from gateway.connections.fanout.history_reader import HistoryReader
from gateway.connections.fanout.patch_merger import PatchMerger, takes_patches
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.outbound.connection import Connection
from gateway.connections.ports import DeliveryPolicy, Workers
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run, Source
from gateway.streams.state import PatchRun, patch_of


class StateFanout(PubSubFanout):
    """Fan-out of one state stream.

    Args:
        source: the stream.
        flusher: flushes the delivery classes at the end of the turn.
        workers: threads that encode and decode.
        policy: chooses encodings.
        history: reads messages that a receiver missed.
        merger: merges patches that have been delivered, before too many are kept.
    """

    __slots__ = ("_merger",)

    def __init__(
        self,
        source: Source,
        flusher: Flusher,
        workers: Workers,
        policy: DeliveryPolicy,
        history: HistoryReader,
        merger: PatchMerger,
    ) -> None:
        super().__init__(source, flusher, workers, policy, history)
        self._merger = merger

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
                    self._late_join.send_newest(member, delivery, newest)
                else:
                    assert delivery.versions is not None
                    delivery.versions.require_keyframe(member)

    def refresh(self, connection: Connection) -> None:
        """Send the newest version as a keyframe to a receiver that asks for it (spec section 4.4)."""
        delivery = self._classes[key_of(connection)]
        delivery.flush()
        if self._newest is not None:
            self._late_join.send_newest(connection, delivery, self._newest)
        elif delivery.versions is not None:
            delivery.versions.require_keyframe(connection)

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
                if takes_patches(delivery) and names <= delivery.codecs:
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
