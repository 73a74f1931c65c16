"""Version tracker: which members of a delivery class of a state stream hold the newest version, and so may get a delta.

The invariant (docs/decisions/0008): for every member that does not *need a keyframe*, the last version that was written
to it, or queued for it in its outbox, is the newest one that the class has delivered.
"""

from __future__ import annotations

from typing import Protocol
from weakref import proxy

from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.no_entries import NO_ENTRIES


class Sorted(Protocol):
    """Delivery class that keeps its members sorted."""

    stale: bool
    """Set when the members have to be sorted again."""


class VersionTracker:
    """Keyframes that the members of one delivery class need.

    Args:
        delivery: the class.
        keyframe_every: of so many versions each member gets at least one as a keyframe. Members take turns: at every
            delta some of them get a keyframe instead, so that never all of them do at once.

    Attributes:
        needing: members whose next version must be a keyframe; True: they do hold the newest version.
        resting: receivers that rest: they are no members, and get versions only when they are shown some. Each with the
            offset behind the last version that it has got.
    """

    __slots__ = ("_delivery", "_deltas", "_keyframe_every", "_turns", "needing", "resting")

    def __init__(self, delivery: Sorted, keyframe_every: int) -> None:
        # The class owns the tracker: a cycle would keep the last version of a view until the collector runs.
        self._delivery: Sorted = proxy(delivery)
        self._keyframe_every = keyframe_every
        self._deltas = 0
        self._turns: dict[int, dict[Connection, None]] = {}
        """Members by the turn, of ``keyframe_every``, in which they get a keyframe."""
        self.needing: dict[Connection, bool] = {}
        self.resting: dict[Connection, int] = {}

    def join(self, member: Connection) -> None:
        """Take a member that does not hold the newest version."""
        self._turns.setdefault(self._turn_of(member), {})[member] = None
        self.require_keyframe(member)

    def leave(self, member: Connection) -> None:
        """Forget a member, or a receiver that rests."""
        self.resting.pop(member, None)
        self._turns.get(self._turn_of(member), {}).pop(member, None)
        self.needing.pop(member, None)

    def require_keyframe(self, member: Connection) -> None:
        """Record that a member does not hold the newest version."""
        if member in self._turns.get(self._turn_of(member), ()):
            self.needing[member] = False
            self._delivery.stale = True

    def keyframe_queued(self, member: Connection) -> bool:
        """Record that the newest version was queued for a member as a keyframe.

        Returns:
            Whether the member held that version before.
        """
        if member not in self.needing:
            return True
        self._delivery.stale = True
        return self.needing.pop(member)

    def count_delta(self) -> None:
        """Record that one more version goes out as a delta: some members get a keyframe in its place."""
        self._deltas += 1
        for member in self._turns.get(self._deltas % self._keyframe_every, ()):
            self.needing.setdefault(member, True)
            self._delivery.stale = True

    def take(self) -> dict[Connection, bool]:
        """Return the members that need a keyframe, which they get now."""
        needing, self.needing = self.needing, {}
        return needing

    def _turn_of(self, member: Connection) -> int:
        """Return the turn in which a member gets a keyframe."""
        return -member.peer.id % self._keyframe_every


def resting_of(versions: VersionTracker | None) -> dict[Connection, int]:
    """Return the receivers of a class that rest; none of a class without a tracker."""
    return NO_ENTRIES if versions is None else versions.resting
