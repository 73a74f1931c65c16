"""Sink of an acknowledged stream: the program acknowledges each message after processing it (spec section 7.4)."""

from __future__ import annotations

from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.client.messages.ack_handle import AckHandle, AckUnitRange
from gateway.client.session.session import Session
from gateway.client.subscribing.duplicate_filter import DuplicateFilter
from gateway.client.subscribing.stream_sink import StreamSink
from gateway.client.subscribing.subscription_position import Gap
from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.wire import Buffer


class AcknowledgedSink(StreamSink):
    """Acknowledged stream of the present session (spec section 7.4).

    Args:
        info: STREAM.
        duplicates: duplicate filter of the stream.
        session: the present session.
    """

    __slots__ = ("_duplicates", "_session")

    def __init__(self, info: StreamInfo, duplicates: DuplicateFilter, session: Session) -> None:
        super().__init__(info)
        self._duplicates = duplicates
        self._session = session

    def serves(self, observes: bool) -> bool:
        """Return whether subscriptions get the stream: those that observe get it by another number."""
        return not observes

    def deliver(self, inbound: InboundFrame, payload: Buffer) -> None:
        """Give each subscription a message object of its own, since each acknowledges the message for itself."""
        present = self.present()
        if not present:  # of an earlier session, or all are closed: the gateway delivers the message again if needed
            return
        unit = self._unit(inbound)
        pending, scopes, credit_free = self._duplicates.receive(unit)
        for subscription in present:
            subscription.position.record_arrival(self.stream, self.kind, unit.epoch, unit.first, unit.count)
            if pending is None or (scopes is not None and subscription.ack_scope not in scopes):
                subscription.position.record_duplicate(self.stream, unit.count)
                if credit_free:
                    subscription.ack_scope.release(unit.session, unit.nbytes)
            else:
                item = inbound.item(self.stream, self.kind, self.epoch, payload)
                subscription.deliver_acknowledged(item, AckHandle(pending, subscription.ack_scope))

    def fail(self, error: Exception, inbound: InboundFrame | None) -> None:
        """Refuse a message that cannot be decoded: the gateway delivers it again."""
        super().fail(error, inbound)
        if inbound is not None and inbound.offset_known:
            unit = self._unit(inbound)
            code = error.code if isinstance(error, RequestRefused) else Code.CORRUPT_PAYLOAD
            self._duplicates.refuse(unit.epoch, unit.first, unit.last, code)
            for subscription in self.present():
                subscription.ack_scope.release(unit.session, unit.nbytes)

    def skip(self, gap: Gap) -> None:
        """Record a gap: its offsets count as processed."""
        self._duplicates.skip(self.epoch, gap.first, gap.last)
        for subscription in self.present():
            subscription.position.skip(gap, self.epoch)

    def _unit(self, inbound: InboundFrame) -> AckUnitRange:
        extensions = inbound.frame.extensions
        identity = None if extensions is None else extensions.identity
        # Messages of control streams need no credit (spec section 7.5).
        session = self._session if self.kind is Kind.COLLABORATION else None
        return AckUnitRange(self.epoch, inbound.offset, inbound.frame.count, inbound.payload_bytes, identity, session)
