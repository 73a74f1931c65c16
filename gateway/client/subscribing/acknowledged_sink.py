"""Where the messages of a stream go that are acknowledged when the program is through with them (spec section 7.4)."""

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
    """A stream whose messages are acknowledged when the program is through with them (spec section 7.4).

    Args:
        ledger: of the stream.
        session: the present one.
    """

    __slots__ = ("_ledger", "_session")

    def __init__(self, info: StreamInfo, ledger: DuplicateFilter, session: Session) -> None:
        super().__init__(info)
        self._ledger = ledger
        self._session = session

    def deliver(self, arrival: InboundFrame, payload: Buffer) -> None:
        """A message of the stream, decoded: made for each subscription, since each says when it is through with it."""
        present = self.present()
        if not present:  # of an earlier session, or nobody's any more: it is not in hand, and comes again if it has to
            return
        unit = self._unit(arrival)
        pending, scopes, spare = self._ledger.receive(unit)
        for subscription in present:
            subscription.standing.pass_by(self.stream, self.kind, unit.epoch, unit.first, unit.count)
            if pending is None or (scopes is not None and subscription.ack_scope not in scopes):
                subscription.standing.repeat(self.stream, unit.count)
                if spare:
                    subscription.ack_scope.release(unit.session, unit.nbytes)
            else:
                item = arrival.item(self.stream, self.kind, self.epoch, payload)
                subscription.take(item, AckHandle(pending, subscription.ack_scope))

    def fail(self, error: Exception, arrival: InboundFrame | None) -> None:
        """A message that cannot be decoded is not processed; it may come better next time."""
        super().fail(error, arrival)
        if arrival is not None and arrival.placed:
            unit = self._unit(arrival)
            code = error.code if isinstance(error, RequestRefused) else Code.CORRUPT_PAYLOAD
            self._ledger.refuse(unit.epoch, unit.first, unit.last, code)
            for subscription in self.present():
                subscription.ack_scope.release(unit.session, unit.nbytes)

    def skip(self, gap: Gap) -> None:
        """See :class:`StreamSink`."""
        self._ledger.skip(self.epoch, gap.first, gap.last)
        for subscription in self.present():
            subscription.standing.skip(gap, self.epoch)

    def _unit(self, arrival: InboundFrame) -> AckUnitRange:
        extensions = arrival.frame.extensions
        identity = None if extensions is None else extensions.identity
        # Commands pass without credit (spec section 7.5).
        session = self._session if self.kind is Kind.COLLABORATION else None
        return AckUnitRange(self.epoch, arrival.offset, arrival.frame.count, arrival.payload_bytes, identity, session)
