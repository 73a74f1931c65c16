"""Account of one stream of a subscription: counts of messages by their fate (spec section 7.7).

Both ends keep the account by the same rules from the same frames, so that they agree on every number. Knows offsets; no
messages and no connections.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from gateway.errors import Code
from gateway.protocol.json_body import U64_MAX
from gateway.protocol.messages import Counts, Kind, Since


class Continuation(NamedTuple):
    """Relation of a range of messages to the messages that a subscription had before."""

    skipped: int
    """Messages before the range that were never sent; of a ``state`` stream: conflated."""
    repeated: int
    """Number of messages, from the first on, that the subscription had before."""


FOLLOWING: Final = Continuation(0, 0)
"""Continuation of messages that follow upon those before."""


def first_wanted(since: Since | None, stream: str, epoch: int) -> int | None:
    """Return the first offset of a stream that a SUBSCRIBE asked for (spec section 4.3).

    Args:
        since: position that the SUBSCRIBE named.
        stream: name of the stream.
        epoch: the stream's incarnation; if the SUBSCRIBE named another one, everything is wanted.

    Returns:
        ``None`` if the SUBSCRIBE left the start to the gateway.
    """
    if since is None or isinstance(since, str):
        return None
    if isinstance(since, int):
        return since
    named, offset = since.get(stream, (epoch, 0))
    return offset if named == epoch else 0


class StreamAccount:
    """Account of one stream, from the offset at which the subscription started.

    Args:
        kind: decides how offsets that are jumped over count: conflated in a ``state`` stream, dropped in an ``event``
            stream. Acknowledged messages come in any order and repeatedly, so a jump does not count there.
        counts: counts of earlier connections.

    Attributes:
        epoch: the stream's incarnation; offsets of different incarnations cannot be compared.
        next: the offset behind the last one that was sent; ``None`` before the start is known.
        duplicates: messages that were sent again.
        client_conflated: delivered messages that the client's library has conflated.
    """

    __slots__ = (
        "_replay_end",
        "_replay_first",
        "client_conflated",
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
        self.client_conflated = counts.client_conflated
        self.duplicates = 0

    @property
    def is_state(self) -> bool:
        """True if only the newest message matters."""
        return self.kind is Kind.STATE

    @property
    def counts(self) -> Counts:
        """The counts so far, as ACCOUNT carries them."""
        return Counts(self.delivered, self.conflated, self.dropped, self.replayed, self.expired, self.client_conflated)

    def start(self, epoch: int, wanted: int | None, since: int) -> int:
        """Start at the offset that STREAM names.

        Args:
            epoch: the stream's incarnation.
            wanted: offset that the subscription asked for, from :func:`first_wanted`.
            since: first offset that the subscription gets.

        Returns:
            Number of messages before ``since`` that are lost; 0 for ``state`` streams.
        """
        self.epoch = epoch
        self._replay_first = self._replay_end = 0
        if self.kind.acknowledged:
            self.next = since
            return 0
        self.next = since if wanted is None else min(wanted, since)
        # The newest message of a state is yet to come; its offset tells how many were conflated.
        lost = 0 if self.is_state else max(0, since - self.next)
        self.dropped += lost
        self.next += lost
        return lost

    def replay(self, first: int, last: int) -> None:
        """Note REPLAY: the messages ``first .. last`` come from history, or once more."""
        self._replay_first, self._replay_end = first, last + 1

    def messages(self, epoch: int, first: int, count: int) -> Continuation:
        """Count the messages ``first .. first + count - 1``, which may overlap earlier ones."""
        end = first + count
        if first == self.next and epoch == self.epoch and first >= self._replay_end:
            # Nearly every message, in a third of the time of the general way, which gives the same.
            self.delivered += count
            self.next = end
            return FOLLOWING
        if self.next is None or epoch != self.epoch:
            self.epoch = epoch
            self.next = first
        if self.kind.acknowledged:
            self.delivered += count
            self.replayed += max(0, min(end, self._replay_end) - max(first, self._replay_first))
            self.next = max(self.next, end)
            return FOLLOWING
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
        """Count GAP: the messages ``first .. last`` will not come. Return how many of them were not counted before."""
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

    def conflated_by_client(self, count: int) -> None:
        """Count CONFLATED: the client's library has conflated ``count`` more of the delivered messages."""
        self.client_conflated = min(self.client_conflated + count, U64_MAX)

    def sent(self, count: int, following: int) -> None:
        """Count ``count`` messages that were sent to many receivers at once, all before offset ``following``."""
        if count:
            if self.is_state:
                self.conflated += following - (self.next or 0) - count
            self.delivered += count
            self.next = following
