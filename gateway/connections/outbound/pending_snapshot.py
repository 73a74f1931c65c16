"""A version of a state that came as a patch, in the queue of a receiver that needs it whole (spec section 5.4)."""

from __future__ import annotations

from typing import Protocol

from gateway.errors import Code
from gateway.protocol.signals import Gap
from gateway.streams.large import LargeMessage
from gateway.streams.state import Newest, Patch


class SnapshotReader(Protocol):
    """What a version needs of the connection that it waits for."""

    max_message_bytes: int
    """The payload of the largest message that it takes."""

    @property
    def bulk_open(self) -> bool:
        """Whether the link takes another chunk (:mod:`gateway.connections.outbound.link`)."""

    def keyframe_of(self, patch: Patch) -> Newest | Gap | None:
        """The version as the connection takes it; ``None``: not yet, the connection is drained when it is there."""


class PendingSnapshot:
    """A place in a queue that is taken by the whole state when its turn comes.

    So what a slow receiver does not get is never made, and one that reads nothing costs nothing.

    Attributes:
        patch: what the version came as.
        asked: it is being made whole, and so will go out: if newer ones took its place meanwhile, and theirs, a
            receiver might never get any.
    """

    __slots__ = ("asked", "patch")

    def __init__(self, patch: Patch) -> None:
        self.patch = patch
        self.asked = False

    def take(self, receiver: SnapshotReader) -> Newest | Gap | None:
        """What goes out in its place; ``None`` while it is being made, or the link takes nothing."""
        if not receiver.bulk_open:
            return None
        self.asked = True
        patch = self.patch
        whole = receiver.keyframe_of(patch)
        if isinstance(whole, LargeMessage) and whole.plan.payload_bytes > receiver.max_message_bytes:
            return Gap(patch.source.id, Code.MESSAGE_TOO_BIG, patch.offset, patch.offset)
        return whole
