"""Followed message: one published message on its way to some of its receivers, until its last byte has left for each.

It reads what the parts of a delivery keep anyway: the accounts of a receiver tell when the message, or a newer
one, was written to its transport, and the counts of its socket when the bytes written by then have left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from gateway.connections.outbound.connection import Connection
from gateway.connections.ports import Clock
from gateway.streams.run import Source

PAUSE_SHARE: Final = 0.1
"""Time between two looks at a message that waits, as a share of its age: so exact is its latency."""

MAX_FOLLOWED_S: Final = 60.0
"""Time for which a message is followed; one that waits longer for a receiver counts with the time so far."""


class _Way:
    """Way of the message to one receiver."""

    __slots__ = ("_mark_bytes", "receiver")

    def __init__(self, receiver: Connection) -> None:
        self.receiver = receiver
        self._mark_bytes: int | None = None
        """Bytes that have left when the message has; ``None``: it is not written yet, or the system does not count."""

    def is_gone(self, source: Source) -> bool:
        """Return whether the receiver does not receive the source any more."""
        return self.receiver.closed or source not in self.receiver.memberships

    def has_left(self, source: Source, offset: int) -> bool:
        """Return whether the message of an offset, or a newer one, has left for the receiver."""
        receiver, mark_bytes = self.receiver, self._mark_bytes
        if mark_bytes is None:
            receiver.book(source)
            _, following = receiver.accounts.delivered_of(source.id)
            if following <= offset:
                return False
        waiting_bytes, tcp = receiver.transport.waiting_bytes(), receiver.transport.socket_counts().tcp
        if tcp is None:
            return not waiting_bytes
        left_bytes = tcp.acknowledged_bytes + tcp.unacknowledged_bytes
        if mark_bytes is None:
            mark_bytes = self._mark_bytes = left_bytes + tcp.unsent_bytes + waiting_bytes
        return left_bytes >= mark_bytes


class FollowedMessage:
    """Message on its way to some receivers.

    Args:
        source: its stream, or the view that the receivers get.
        offset: its offset; of several messages that were published together, that of the last one.
        published_ns: Unix time in ns by the gateway's clock at which it was published.
        receivers: receivers that it is followed to; all were to get it in this turn of the loop.
    """

    __slots__ = ("_offset", "_published_ns", "_source", "_ways")

    def __init__(self, source: Source, offset: int, published_ns: int, receivers: Sequence[Connection]) -> None:
        self._source = source
        self._offset = offset
        self._published_ns = published_ns
        self._ways = [_Way(receiver) for receiver in receivers]

    @property
    def waits(self) -> bool:
        """Whether the message is still to leave for some receiver."""
        return bool(self._ways)

    def age_s(self, now_ns: int) -> float:
        """Return the seconds since the publish; 0 if its time is ahead of the clock."""
        return max(0.0, (now_ns - self._published_ns) / 1e9)

    def look(self, now_ns: int) -> int:
        """Return the number of receivers for which the message has left since the last look.

        Receivers that are gone do not count; those for which it has waited too long do, and are followed no more.
        """
        source, is_over = self._source, self.age_s(now_ns) >= MAX_FOLLOWED_S
        there = [way for way in self._ways if not way.is_gone(source)]
        self._ways = [] if is_over else [way for way in there if not way.has_left(source, self._offset)]
        return len(there) - len(self._ways)


def follow(
    followed: FollowedMessage,
    clock: Clock,
    took: Callable[[float], object],
    ended: Callable[[], object],
    least_pause_s: Callable[[], float],
) -> None:
    """Look at a message now, and again as long as it waits.

    Args:
        followed: the message.
        clock: the time, and the next look.
        took: called with the seconds that it took to each receiver that is still there.
        ended: called once nothing is followed any more.
        least_pause_s: returns the shortest time until the next look.
    """
    now_ns = clock.time_ns()
    age_s = followed.age_s(now_ns)
    for _ in range(followed.look(now_ns)):
        took(age_s)
    if followed.waits:
        pause_s = max(least_pause_s(), age_s * PAUSE_SHARE)
        clock.call_later(pause_s, lambda: follow(followed, clock, took, ended, least_pause_s))
    else:
        ended()
