"""The fan-out of a state stream: deltas and patches go to those who hold the version before, all others get it whole.

What becomes a delta is decided by :class:`~gateway.connections.fanout.state_transcoder.StateTranscoder`.
"""

from __future__ import annotations

from collections.abc import Container

from gateway.connections.fanout.broadcast import Broadcast
from gateway.connections.fanout.delivery_class import DeliveryClass, Flusher
from gateway.connections.fanout.history_reader import HistoryReader
from gateway.connections.fanout.patch_merger import keep_short, takes_patches
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.fanout.start_position import StartPosition
from gateway.connections.fanout.state_class import StateClass, as_state
from gateway.connections.fanout.state_transcoder import StateTranscoder
from gateway.connections.fanout.transcoder import Transcoder
from gateway.connections.outbound.connection import Connection
from gateway.connections.ports import DeliveryPolicy, Workers
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run
from gateway.streams.state import LargePatch, PatchRun
from gateway.streams.stream import Stream


class StateFanout(PubSubFanout):
    """The receivers of one state stream; see :class:`~gateway.connections.fanout.pubsub_fanout.PubSubFanout`."""

    __slots__ = ("_before", "_stream")

    def __init__(
        self, stream: Stream, flusher: Flusher, workers: Workers, policy: DeliveryPolicy, history: HistoryReader
    ) -> None:
        super().__init__(stream, flusher, workers, policy, history)
        self._stream = stream
        self._before: int | None = None
        """The offset of the version that was delivered before the one that is being delivered."""

    def join(self, connection: Connection, start: StartPosition) -> None:
        """See :class:`~gateway.connections.fanout.pubsub_fanout.PubSubFanout`."""
        super().join(connection, start)
        if self._newest is None:
            # The first version refers to nothing.
            self._state_class(connection).got_whole(connection)

    def begin_with(self, newest: Run | LargeMessage, receivers: Container[Connection]) -> None:
        """Take the version that was there before everybody came: before any other is delivered.

        Args:
            newest: it, whole.
            receivers: who is to get it; the others have it already.
        """
        self._newest = self._transcoder.latest = newest
        for delivery in self.classes:
            for member in delivery.members:
                if member in receivers:
                    self._late_join.send_newest(member, delivery, newest)
                else:
                    as_state(delivery).need_whole(member)

    def refresh(self, connection: Connection) -> None:
        """Send the newest version whole to a receiver that asks for it (spec section 4.4)."""
        delivery = self._state_class(connection)
        delivery.flush()
        if self._newest is None:
            delivery.need_whole(connection)
        else:
            self._late_join.send_newest(connection, delivery, self._newest)

    def _new_transcoder(self, policy: DeliveryPolicy) -> Transcoder:
        assert isinstance(self.source, Stream)
        return StateTranscoder(self.source, policy, self._queue)

    def _new_class(self, connection: Connection) -> DeliveryClass:
        history = self._history.of(self.source, connection.format, connection.codecs)
        every = self._stream.config.keyframe_every
        return StateClass(
            self.source, connection.format, connection.codecs, self._flusher, history, self.delivered, every
        )

    def _state_class(self, connection: Connection) -> StateClass:
        return as_state(self._classes[connection.class_key])

    # Patches (spec section 5.4): as they came to those who hold the version before them, and whole to all others.

    def deliver_patch(self, run: PatchRun, names: frozenset[str]) -> None:
        """Deliver a small patch.

        Args:
            run: holds it.
            names: of the codecs that it is encoded by.
        """

        self._transcoder.latest = run

        def deliver() -> None:
            self._newest = run
            self.delivered = run.last + 1
            for delivery in self.classes:
                if takes_patches(delivery) and names <= delivery.codecs:
                    delivery.add(run)
                else:
                    self._late_join.send_version(run, delivery, delivery.members)
            keep_short(run.patch)
            for tap in self.taps:
                tap(run)

        self._queue.add_ready(deliver)

    # Large messages.

    def commit_broadcast(self, broadcast: Broadcast) -> None:
        """Take note of the newest version: the next one may be encoded against it."""
        self._transcoder.latest = broadcast.message

    def finish_broadcast(self, broadcast: Broadcast) -> None:
        """Deliver a version to all members that did not get it chunk by chunk; all members hold it then."""
        before = self._newest
        self._before = before.offset if isinstance(before, LargeMessage) else None if before is None else before.last
        super().finish_broadcast(broadcast)
        message = broadcast.message
        if isinstance(message, LargePatch) and message.patch is not None:
            keep_short(message.patch)
        for part in broadcast.parts:
            for member in part.audience:
                part.delivery.got_whole(member)
            if part.chain is not None and part.chain.delta:
                # Nobody who comes later can use it.
                message.variants.pop(part.chain, None)

    def _send_late(self, broadcast: Broadcast, delivery: DeliveryClass, members: list[Connection]) -> None:
        message = broadcast.message
        if isinstance(message, LargePatch):
            self._late_join.send_version(message, delivery, members)
            return
        if message.base_offset is not None and message.base_offset == self._before:
            form = next((part.form for part in broadcast.parts if part.delivery is delivery and part.begun), [])
            if len(form) == message.plan.chunk_count:
                members = [member for member in members if not self._send_delta(message, form, delivery, member)]
        super()._send_late(broadcast, delivery, members)

    def _send_delta(
        self, message: LargeMessage, form: list[StoredChunk], delivery: DeliveryClass, member: Connection
    ) -> bool:
        """Send a version as a delta to a member that holds the version before; returns whether that was possible."""
        fits = message.plan.payload_bytes <= member.max_message_bytes
        sent = fits and not delivery.needs_whole(member) and member.enqueue_delta(message, form)
        if sent:
            delivery.delivered_messages += 1
        return sent
