"""A state stream on its way to its subscriptions: versions that came as patches are made whole, in order."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

from gateway.client.decoding.delta_bases import DeltaBaseMissing, DeltaBases
from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.client.messages.message import Message
from gateway.client.session.session import Session
from gateway.client.subscribing.stream_sink import StreamSink
from gateway.client.subscribing.versions import Version, Versions, refused
from gateway.errors import ConnectionFailed, RequestRefused
from gateway.protocol.messages import Refresh, StreamInfo
from gateway.protocol.regions import Region
from gateway.protocol.session_body import write_session
from gateway.protocol.wire import Buffer, Opcode

INLINE_PATCH_BYTES: Final = 256 * 1024
"""Larger states are copied in a thread: by then it takes about as long as the hop there and back."""


class StateSink(StreamSink):
    """See :class:`gateway.client.subscribing.stream_sink.StreamSink`.

    Args:
        info: STREAM.
        session: where the newest version is asked for, should it be missing.
        versions: of all streams.
    """

    __slots__ = ("_asked", "_id", "_session", "_versions")

    def __init__(self, info: StreamInfo, session: Session, versions: Versions) -> None:
        super().__init__(info)
        assert info.id is not None
        self.bases = DeltaBases()
        self._id = info.id
        self._session = session
        self._versions = versions
        self._asked = False

    def deliver(self, arrival: InboundFrame, payload: Buffer) -> None:
        """A message of the stream, decoded: a version, or what makes one of that before it."""
        region = _region_of(arrival)
        if region is not None:
            self._patch(arrival, payload, region)
            return
        frame, specs = arrival.frame, arrival.meta.specs
        offset, whole = arrival.offset, payload
        if frame.opcode == Opcode.BATCH:
            offset += frame.count - 1
            whole = memoryview(payload)[len(payload) - arrival.meta.payload_bytes :]
        self._asked = False
        self._versions.put(self.stream, self.epoch, offset, specs, whole)
        super().deliver(arrival, payload)

    def fail(self, error: Exception, arrival: InboundFrame | None) -> None:
        """See :class:`~gateway.client.subscribing.stream_sink.StreamSink`. A patch that does not decode changes
        nothing for anybody.
        """
        super().fail(error, arrival)
        if isinstance(error, DeltaBaseMissing):
            self._ask_for_newest()
        if arrival is None or not arrival.placed:
            return
        held = self._versions.get(self.stream)
        undecodable = isinstance(error, RequestRefused) and _region_of(arrival) is not None
        if held is not None and undecodable and (held.epoch, held.offset + 1) == (self.epoch, arrival.offset):
            self._versions.put(self.stream, self.epoch, arrival.offset, held.specs, held.payload)
        else:
            self._versions.lose(self.stream)

    def _patch(self, arrival: InboundFrame, payload: Buffer, region: Region) -> None:
        held = self._versions.get(self.stream)
        try:
            if held is None:
                raise refused(f"patch {arrival.offset} of {self.stream}, of which no version is here")
            if len(arrival.meta.specs) != 1:
                raise refused(f"patch {arrival.offset} of {self.stream} has {len(arrival.meta.specs)} tensors")
            tensor = held.check(self.epoch, arrival.offset, arrival.meta.specs[0], region)
        except RequestRefused as error:
            # It was not passed by: the whole version that is asked for may have its offset.
            for subscription in self.present():
                subscription.tell(error)
            self._ask_for_newest()
            return
        if len(held.payload) <= INLINE_PATCH_BYTES:
            self._merged(arrival, held, held.patched(tensor, region, payload), payload, region)
            return
        work = asyncio.get_running_loop().run_in_executor(None, held.patched, tensor, region, payload)
        slot = self.order.reserve_next()
        work.add_done_callback(lambda work: slot.fill(lambda: self._finish(work, arrival, held, payload, region)))

    def _finish(
        self, work: asyncio.Future[memoryview], arrival: InboundFrame, held: Version, patch: Buffer, region: Region
    ) -> None:
        try:
            merged = work.result()
        except Exception as error:  # noqa: BLE001 - no memory, or no thread any more: told to whoever waits for it
            self.fail(error, arrival)
            self._ask_for_newest()
        else:
            self._merged(arrival, held, merged, patch, region)

    def _merged(self, arrival: InboundFrame, held: Version, merged: memoryview, patch: Buffer, region: Region) -> None:
        self._versions.put(self.stream, self.epoch, arrival.offset, held.specs, merged)
        frame, meta = arrival.frame, arrival.meta
        message = Message(
            self.stream,
            self.kind,
            self.epoch,
            arrival.offset,
            frame.publisher,
            frame.timestamp_ns,
            arrival.received_ns,
            meta.headers,
            held.specs,
            merged,
        )
        message.patched_by(region, meta.specs[0], patch)
        self.give(message)

    def _ask_for_newest(self) -> None:
        """REFRESH (spec section 4.4), once until a whole version comes."""
        if self._asked or not self._session.open:
            return
        self._asked = True
        with contextlib.suppress(ConnectionFailed):  # lost meanwhile: the next session begins with the newest version
            self._session.send((write_session(Refresh(self._id)),))


def _region_of(arrival: InboundFrame) -> Region | None:
    extensions = arrival.frame.extensions
    return None if extensions is None or extensions.region is None else Region(extensions.region)
