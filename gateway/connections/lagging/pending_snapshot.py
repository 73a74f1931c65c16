"""Pending snapshot: a version that came as a patch, queued for a receiver that needs a keyframe (spec section 5.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.connections.ports import Steps
from gateway.errors import Code
from gateway.protocol.signals import Gap
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run
from gateway.streams.state import Newest, Patch

Write = Callable[[Newest], Steps[Run]]
"""Function that returns the steps that write a keyframe in one piece, for a receiver that takes no chunks."""


class KeyframeMaker(Protocol):
    """Service that makes keyframes of patches, in threads where that takes long."""

    def keyframe(self, patch: Patch, write: Write | None, then: Callable[[], object]) -> Newest | Gap | None:
        """Return the keyframe of a version; ``None`` while it is being made: ``then`` is called to ask again.

        Args:
            patch: the version.
            write: writer of a receiver that takes no chunks; ``None`` for receivers that take them.
            then: called on the loop's thread.
        """


class SnapshotReader(Protocol):
    """Connection as its pending snapshots need it."""

    max_message_bytes: int
    """Payload of the largest message that the receiver takes."""

    @property
    def bulk_open(self) -> bool:
        """Whether the link takes another chunk (:mod:`gateway.connections.outbound.bulk_window`)."""

    def keyframe_of(self, patch: Patch) -> Newest | Gap | None:
        """Return the version as a keyframe; ``None`` while it is merged: the connection is drained when it is there."""


@dataclass(slots=True, eq=False)
class PendingSnapshot:
    """A placeholder that is replaced by a keyframe of the state when its turn comes.

    So a version that a slow receiver does not get is never merged, and a receiver that reads nothing costs nothing.
    """

    patch: Patch
    """The version as published."""
    requested: bool = False
    """Merging has begun: the version is not conflated any more, so that a slow receiver always gets some version."""

    def take(self, receiver: SnapshotReader) -> Newest | Gap | None:
        """Return the message that replaces the placeholder; ``None`` while it is merged or the link takes nothing."""
        if not receiver.bulk_open:
            return None
        self.requested = True
        patch = self.patch
        keyframe = receiver.keyframe_of(patch)
        if isinstance(keyframe, LargeMessage) and keyframe.plan.payload_bytes > receiver.max_message_bytes:
            return Gap(patch.source.id, Code.MESSAGE_TOO_BIG, patch.offset, patch.offset)
        return keyframe
