"""Sink of a state stream: merges patches into complete versions, in order."""

from __future__ import annotations

import asyncio
from typing import Final

from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.client.messages.message import Message
from gateway.client.session.session import Session
from gateway.client.subscribing.delta_sink import DeltaSink
from gateway.client.subscribing.subscription_position import StreamEnded
from gateway.client.subscribing.versions import Version, Versions, refused
from gateway.client.workers import WORKERS
from gateway.errors import RequestRefused
from gateway.protocol.messages import StreamInfo
from gateway.protocol.regions import Region
from gateway.protocol.wire import Buffer

INLINE_PATCH_BYTES: Final = 256 * 1024
"""Largest state that is copied on the loop: copying takes about as long as the hop to a thread and back."""


class StateSink(DeltaSink):
    """State stream of the present session.

    Args:
        info: STREAM.
        session: session on which keyframes are requested.
        versions: newest versions of all streams.
    """

    __slots__ = ("_versions",)

    def __init__(self, info: StreamInfo, session: Session, versions: Versions) -> None:
        super().__init__(info, session)
        self._versions = versions

    def deliver(self, inbound: InboundFrame, payload: Buffer) -> None:
        """Give a keyframe to all subscriptions, or merge a patch into the version before it."""
        region = region_of(inbound)
        if region is not None:
            self._patch(inbound, payload, region)
            return
        frame, specs = inbound.frame, inbound.meta.specs
        offset, keyframe = inbound.offset, payload
        if frame.count > 1:
            offset += frame.count - 1
            keyframe = memoryview(payload)[len(payload) - inbound.meta.payload_bytes :]
        self._versions.put(self.stream, self.epoch, offset, specs, keyframe)
        super().deliver(inbound, payload)

    def fail(self, error: Exception, inbound: InboundFrame | None) -> None:
        """Report a message that cannot be decoded; a patch among them leaves the state as it was."""
        super().fail(error, inbound)
        if inbound is None or not inbound.offset_known:
            return
        held = self._versions.get(self.stream)
        undecodable = isinstance(error, RequestRefused) and region_of(inbound) is not None
        if held is not None and undecodable and (held.epoch, held.offset + 1) == (self.epoch, inbound.offset):
            self._versions.put(self.stream, self.epoch, inbound.offset, held.specs, held.payload)
        else:
            self._versions.forget(self.stream)

    def end(self, ended: StreamEnded, number: int) -> None:
        """Forget the newest version, and tell the subscriptions that the stream has ended."""
        self._versions.end(self.stream, self.epoch)
        super().end(ended, number)

    def _patch(self, inbound: InboundFrame, payload: Buffer, region: Region) -> None:
        held = self._versions.get(self.stream)
        try:
            if held is None:
                raise refused(f"patch {inbound.offset} of {self.stream}, of which no version is here")
            if len(inbound.meta.specs) != 1:
                raise refused(f"patch {inbound.offset} of {self.stream} has {len(inbound.meta.specs)} tensors")
            tensor = held.check(self.epoch, inbound.offset, inbound.meta.specs[0], region)
        except RequestRefused as error:
            # Not recorded as arrived: the keyframe that is requested may have the offset of the patch.
            for subscription in self.present():
                subscription.report(error)
            self._request_keyframe()
            return
        if len(held.payload) <= INLINE_PATCH_BYTES:
            self._merged(inbound, held, held.patched(tensor, region, payload), payload, region)
            return
        work = WORKERS.run(held.patched, tensor, region, payload)
        slot = self.order.reserve_next()
        work.add_done_callback(lambda work: slot.fill(lambda: self._finish(work, inbound, held, payload, region)))

    def _finish(
        self, work: asyncio.Future[memoryview], inbound: InboundFrame, held: Version, patch: Buffer, region: Region
    ) -> None:
        try:
            merged = work.result()
        except Exception as error:  # noqa: BLE001 - no memory, or no thread any more: reported to the subscriptions
            self.fail(error, inbound)
            self._request_keyframe()
        else:
            self._merged(inbound, held, merged, patch, region)

    def _merged(self, inbound: InboundFrame, held: Version, merged: memoryview, patch: Buffer, region: Region) -> None:
        self._versions.put(self.stream, self.epoch, inbound.offset, held.specs, merged)
        frame, meta = inbound.frame, inbound.meta
        message = Message(
            self.stream,
            self.kind,
            self.epoch,
            inbound.offset,
            frame.publisher,
            frame.timestamp_ns,
            inbound.received_ns,
            meta.headers,
            held.specs,
            merged,
        )
        message.patched_by(region, meta.specs[0], patch)
        self.give(message)


def region_of(inbound: InboundFrame) -> Region | None:
    """Return the region that a patch changes; ``None`` if the message is no patch."""
    extensions = inbound.frame.extensions
    return None if extensions is None or extensions.region is None else Region(extensions.region)
