"""Sink of a stream whose versions may come as deltas; requests a keyframe when the base of a delta is missing."""

from __future__ import annotations

import contextlib

from gateway.client.decoding.delta_bases import DeltaBaseMissing, DeltaBases
from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.client.session.session import Session
from gateway.client.subscribing.stream_sink import StreamSink
from gateway.errors import ConnectionFailed
from gateway.protocol.messages import Refresh, StreamInfo
from gateway.protocol.session_body import write_session
from gateway.protocol.wire import Buffer


class DeltaSink(StreamSink):
    """State stream or view of a state stream on the present session; deltas refer to its newest version.

    Args:
        info: STREAM.
        session: session on which keyframes are requested.
    """

    __slots__ = ("_id", "_keyframe_requested", "_session")

    def __init__(self, info: StreamInfo, session: Session) -> None:
        super().__init__(info)
        assert info.id is not None
        self.bases = DeltaBases()
        self._id = info.id
        self._session = session
        self._keyframe_requested = False

    def deliver(self, inbound: InboundFrame, payload: Buffer) -> None:
        """Give a decoded version to all subscriptions."""
        self._keyframe_requested = False
        self.give(inbound.item(self.stream, self.kind, self.epoch, payload))

    def fail(self, error: Exception, inbound: InboundFrame | None) -> None:
        """Report a message that cannot be decoded; request a keyframe if the base of a delta is missing."""
        super().fail(error, inbound)
        if isinstance(error, DeltaBaseMissing):
            self._request_keyframe()

    def _request_keyframe(self) -> None:
        """Send REFRESH (spec section 4.4), once until a keyframe arrives."""
        if self._keyframe_requested or not self._session.open:
            return
        self._keyframe_requested = True
        with contextlib.suppress(ConnectionFailed):  # lost: the next session begins with a keyframe
            self._session.send((write_session(Refresh(self._id)),))
