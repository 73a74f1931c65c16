"""The account of one stream of a subscription: what became of each of its messages (spec section 7.7).

Both ends keep it, by the same rules from the same frames, so that they agree on every number. Knows offsets; no
messages and no connections.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.errors import Code
from gateway.protocol.messages import Counts, Kind, Since


class Continuation(NamedTuple):
    """What messages were to a subscription."""

    skipped: int
    """Messages before them that were never sent: of a ``state`` stream conflated."""
    repeated: int
    """How many of them, from the first on, it had before."""


def first_wanted(since: Since | None, stream: str, epoch: int) -> int | None:
    """The first offset of a stream that a SUBSCRIBE asked for (spec section 4.3).

    Args:
        since: what it named.
        stream: name of the stream.
        epoch: its incarnation; of another one than was named everything is wanted.

    Returns:
        ``None`` if it left that to the gateway.
    """
    if since is None or isinstance(since, str):
        return None
    if isinstance(since, int):
        return since
    named, offset = since.get(stream, (epoch, 0))
    return offset if named == epoch else 0


class StreamAccount:
    """One stream, from the offset on at which the subscription started.

    Args:
        kind: what is jumped over is conflated in a ``state``, dropped in an ``event`` stream. Where messages are
            acknowledged nothing is: they come in any order, and as often as it takes.
        counts: what was counted on earlier connections.

    Attributes:
        epoch: the stream's incarnation; offsets of another one say nothing.
        next: the offset behind the last one that was sent; ``None`` before the start is known.
        duplicates: messages that were sent again.
    """

    __slots__ = (
        "_replay_end",
        "_replay_first",
        "conflated",
        "delivered",
        "dropped",
        "duplicates",
        "epoch",
        "expired",
        "kind",
        "next",
        "replayed",
    )

    def __init__(self, kind: Kind, counts: Counts | None = None) -> None:
        counts = counts or Counts()
        self.kind = kind
        self.epoch = 0
        self.next: int | None = None
        self._replay_first = self._replay_end = 0
        self.delivered = counts.delivered
        self.conflated = counts.conflated
        self.dropped = counts.dropped
        self.replayed = counts.replayed
        self.expired = counts.expired
        self.duplicates = 0

    @property
    def is_state(self) -> bool:
        """Whether only the newest message matters."""
        return self.kind is Kind.STATE

    @property
    def counts(self) -> Counts:
        """What it says."""
        return Counts(self.delivered, self.conflated, self.dropped, self.replayed, self.expired)

    def start(self, epoch: int, wanted: int | None, since: int) -> int:
        """STREAM: what comes from ``since`` on is for the subscription, which had wanted it from ``wanted`` on.

        Args:
            wanted: from :func:`first_wanted`.

        Returns:
            How many messages before ``since`` are lost: of kinds other than ``state``.
        """
        self.epoch = epoch
        self._replay_first = self._replay_end = 0
        if self.kind.acknowledged:
            self.next = since
            return 0
        self.next = since if wanted is None else min(wanted, since)
        # Of a state the newest message is yet to come, and tells how many were conflated.
        lost = 0 if self.is_state else max(0, since - self.next)
        self.dropped += lost
        self.next += lost
        return lost

    def replay(self, first: int, last: int) -> None:
        """REPLAY: the messages ``first .. last`` come from history, or once more."""
        self._replay_first, self._replay_end = first, last + 1

    def messages(self, epoch: int, first: int, count: int) -> Continuation:
        """Messages ``first .. first + count - 1``, which may overlap what came before."""
        end = first + count
        if self.next is None or epoch != self.epoch:
            self.epoch = epoch
            self.next = first
        if self.kind.acknowledged:
            self.delivered += count
            self.replayed += max(0, min(end, self._replay_end) - max(first, self._replay_first))
            self.next = max(self.next, end)
            return Continuation(0, 0)
        skipped = max(0, first - self.next)
        repeated = min(max(0, self.next - first), count)
        if self.is_state:
            self.conflated += skipped
        else:
            self.dropped += skipped
        fresh = first + repeated
        self.delivered += count - repeated
        self.duplicates += repeated
        self.replayed += max(0, min(end, self._replay_end) - fresh)
        self.next = max(self.next, end)
        return Continuation(skipped, repeated)

    def gap(self, epoch: int, code: int, first: int, last: int) -> int:
        """GAP: the messages ``first .. last`` will not come; how many of them are news."""
        if self.next is None or epoch != self.epoch:
            self.epoch = epoch
            self.next = first
        fresh = max(0, last + 1 - (first if self.kind.acknowledged else max(first, self.next)))
        if code == Code.EXPIRED:
            self.expired += fresh
        else:
            self.dropped += fresh
        self.next = max(self.next, last + 1)
        return fresh

    def sent(self, count: int, following: int) -> None:
        """Bring in ``count`` messages that were sent together with others to many, up to the offset ``following``."""
        if count:
            if self.is_state:
                self.conflated += following - (self.next or 0) - count
            self.delivered += count
            self.next = following
