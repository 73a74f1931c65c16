"""Subscription position: next offset and account of each stream of a subscription (``spec/client.md`` section 5).

A position outlives connections, so that a subscription asks for the messages that it missed. The module knows offsets,
but no messages and no sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from gateway.client.report import call_back
from gateway.client.subscribing.resubscription import StreamPart
from gateway.errors import Code
from gateway.protocol.account import FOLLOWING, Continuation, StreamAccount, first_wanted
from gateway.protocol.messages import Counts, Kind, Since, StreamInfo

MAX_ENDED: Final = 1024
"""Streams that have ended on one connection whose accounts a subscription keeps one by one, as the gateway does."""

SUMS: Final = (
    "delivered",
    "conflated",
    "dropped",
    "replayed",
    "expired",
    "client_conflated",
    "duplicates",
    "overflowed",
    "failed",
    "repeated",
)
"""Counts of a stream that are added up."""


Gone = Callable[[list[tuple[str, int]]], object]
"""Called with the names and epochs of streams that have ended without a connection."""


class Gap(NamedTuple):
    """Offsets whose messages a subscription will not get."""

    stream: str
    code: Code | int
    """Reason, such as ``Code.HISTORY_LOST``; the number of a code that this version does not know."""
    first: int
    """First offset of the gap."""
    last: int
    """Last offset of the gap."""


class StreamEnded(NamedTuple):
    """End of a stream that a subscription has received. A new stream of the name may begin, in another epoch."""

    stream: str
    epoch: int
    """Incarnation that has ended."""
    reason: str
    """``deleted``, ``expired`` or ``made_room``; or another one, of a newer gateway."""


class StreamPosition(StreamAccount):
    """Position in one stream: its account, which the gateway keeps as well, and counts of this client.

    Attributes:
        settled: whether the gateway has named the start on this connection; earlier messages belong to other
            subscriptions.
        overflowed: messages that arrived while the receive buffer had no room.
        failed: messages that arrived and could not be decoded.
        repeated: messages of an acknowledged stream that arrived again while the program held or had processed them.
        asked: whether SUBSCRIBE has named the position, and no STREAM has answered on this connection.
        awaited: offset of a state that could not be decoded and was requested again.
        id: the stream's number on this connection, once the gateway has named it.
        lowered: whether its messages come by the lower view that the subscription has named.
    """

    __slots__ = ("asked", "awaited", "failed", "id", "lowered", "overflowed", "repeated", "settled")

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self.settled = True
        self.asked = False
        self.awaited: int | None = None
        self.id: int | None = None
        self.lowered = False
        self.overflowed = 0
        self.failed = 0
        self.repeated = 0

    def messages(self, epoch: int, first: int, count: int) -> Continuation:
        """Count messages; those of an earlier stream of the name, which has not ended yet, leave the position."""
        if self.next is None or epoch >= self.epoch:
            return super().messages(epoch, first, count)
        self.delivered += count
        return FOLLOWING

    def rise(self) -> None:
        """Want a version that has come by the lower view once more: the next connection begins with the other view."""
        if self.lowered and self.is_state and self.next:
            self.next -= 1
        self.lowered = False

    def add(self, other: StreamPosition) -> None:
        """Add the counts of another stream."""
        for name in SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class SubscriptionPosition:
    """Positions in all streams of one subscription.

    Args:
        since: start that the program asks for.
        on_gap: called with each gap.
        on_ended: called when a stream has ended.

    Attributes:
        since: see above.
        joined: whether SUBSCRIBED has arrived on this connection.
    """

    def __init__(
        self,
        since: Since | None,
        on_gap: Callable[[Gap], None] | None,
        on_ended: Callable[[StreamEnded], None] | None = None,
    ) -> None:
        self.since = since
        self._on_gap = on_gap
        self._on_ended = on_ended
        self._streams: dict[str, StreamPosition] = {}
        self._ended: dict[str, None] = {}
        """Streams among them that have ended on this connection."""
        self._ended_before: dict[str, None] = {}
        """Streams among them that have ended on earlier connections, the last one at the end."""
        self._past: StreamPosition | None = None
        """Sums of streams that have ended and were forgotten; ``None``: there are none."""
        self.joined = False
        self._unanswered: int | None = None
        """Streams among those that SUBSCRIBE has named that exist and are yet to be announced; ``None``: not known."""
        self._on_gone: Gone = lambda streams: None
        self._joined_before = False
        self._resumed = False
        """Whether SUBSCRIBE has named the position in each stream, in place of the program's start."""

    def __iter__(self) -> Iterator[StreamPosition]:
        yield from self._streams.values()
        if self._past is not None:
            yield self._past

    def __contains__(self, name: str) -> bool:
        """Return whether there is a position in a stream: it has not ended, or not long ago."""
        return name in self._streams

    @property
    def counts(self) -> dict[str, Counts]:
        """Account of each stream."""
        return {name: stream.counts for name, stream in self._streams.items()}

    @property
    def lowered(self) -> frozenset[str]:
        """Streams that come by the lower view now."""
        return frozenset([name for name, stream in self._streams.items() if stream.lowered and stream.settled])

    # Asking.

    def ask(self) -> Iterator[StreamPart] | None:
        """Begin to subscribe: return the position in each stream; of a subscription that is new ``None``.

        The positions stay as they are until the subscription is joined.
        """
        self._resumed = self._joined_before
        return self._parts() if self._resumed else None

    def _parts(self) -> Iterator[StreamPart]:
        for name in list(self._streams):
            stream = self._streams[name]
            if stream.next is not None:
                stream.asked = True
                yield StreamPart(name, (stream.epoch, stream.next), stream.counts)

    def leave(self) -> None:
        """Begin a connection: all messages belong to other subscriptions until this one is joined again.

        Streams that were not announced on the last connection, although all that exist were, have ended before it.
        """
        if self.joined and self._unanswered == 0:
            self._ended_before.update({name: None for name, stream in self._streams.items() if stream.asked})
        self.joined = False
        for stream in self._streams.values():
            stream.settled = stream.asked = False
            stream.rise()
        self._ended_before.update(self._ended)
        self._ended.clear()
        while len(self._ended_before) > MAX_ENDED:
            name = next(iter(self._ended_before))
            del self._ended_before[name]
            self._forget(name)

    def join(self, positions: int | None = None, on_gone: Gone = lambda streams: None) -> None:
        """Handle SUBSCRIBED: streams that are announced from now on are meant for this subscription as well.

        Args:
            positions: number of the streams that SUBSCRIBE has named and that exist in their epochs; ``None``: unknown.
            on_gone: called with the others, by name and epoch, as soon as the existing ones are announced.
        """
        self.joined = self._joined_before = True
        self._unanswered, self._on_gone = positions if self._resumed else None, on_gone
        self._find_gone()

    def _find_gone(self) -> None:
        """Tell the streams that have ended without a connection, when all others that were named are announced."""
        if self._unanswered == 0:
            gone = [(name, stream.epoch) for name, stream in self._streams.items() if stream.asked]
            if gone:
                self._on_gone(gone)

    # Announcements of the gateway.

    def announce(self, info: StreamInfo) -> None:
        """Handle STREAM: it names the offset from which on messages come (spec section 4.3)."""
        # Messages that are observed come in order and once, as those of an event stream.
        kind = Kind.EVENT if info.observed else info.kind or Kind.EVENT
        stream = self._streams.get(info.stream)
        if stream is None:
            stream = self._streams[info.stream] = StreamPosition(kind)
        elif stream.settled and stream.epoch == info.epoch:
            if info.lowered is not None and info.since is not None and stream.id not in (None, info.id):
                stream.start(info.epoch, stream.next, info.since)  # another view takes the place of the one before
                stream.lowered = info.lowered
            stream.id = info.id
            return  # or it answers another subscription
        self._ended.pop(info.stream, None)
        self._ended_before.pop(info.stream, None)
        answered, stream.asked = stream.asked and stream.epoch == info.epoch, False
        stream.id = info.id
        stream.kind = kind
        stream.settled, stream.lowered = True, bool(info.lowered)
        if info.since is not None and info.epoch is not None:
            lost = stream.start(info.epoch, self._wanted(stream, info.stream, info.epoch), info.since)
            if lost:
                self._report_gap(Gap(info.stream, Code.HISTORY_LOST, info.since - lost, info.since - 1))
        if answered and self._unanswered is not None:
            self._unanswered -= 1
            self._find_gone()

    def end(self, ended: StreamEnded, number: int) -> None:
        """Handle STREAM that tells an end: the next stream of the name starts anew, and its account goes on.

        Past :data:`MAX_ENDED` streams that have ended on a connection, only the sums of their counts are kept, as the
        gateway forgets them; of those that ended on earlier connections, it is the same number.

        Args:
            ended: the stream.
            number: its id on this connection. The next stream of the name may have been announced already.
        """
        stream = self._streams.get(ended.stream)
        if stream is not None and stream.settled and stream.id == number:
            stream.settled, stream.id = False, None
            if len(self._ended) < MAX_ENDED:
                self._ended[ended.stream] = None
            else:
                self._forget(ended.stream)
        if self._on_ended is not None:
            call_back(self._on_ended, ended)

    def _forget(self, name: str) -> None:
        """Keep of a stream that has ended only its part of the sums."""
        stream = self._streams.pop(name)
        self._past = self._past or StreamPosition(stream.kind)
        self._past.add(stream)

    def replay(self, name: str, first: int, last: int) -> None:
        """Handle REPLAY: these offsets come from history, or once more."""
        stream = self._streams.get(name)
        if stream is not None and stream.settled:
            stream.replay(first, last)

    def skip(self, gap: Gap, epoch: int) -> None:
        """Handle GAP (spec section 7.2)."""
        stream = self._settled(gap.stream)
        fresh = 0 if stream is None else stream.gap(epoch, gap.code, gap.first, gap.last)
        if fresh:
            self._report_gap(gap._replace(first=gap.last + 1 - fresh))

    def id_of(self, name: str) -> int | None:
        """Return the number under which this connection brings a stream; ``None`` before it is announced."""
        stream = self._streams.get(name)
        return stream.id if stream is not None and stream.settled else None

    def end_of(self, name: str, epoch: int) -> tuple[int, int] | None:
        """Return the number of a stream on this connection, and the offset behind all that was received of the stream.

        ``None`` before this connection announces the stream, and if it is an earlier one of the name.
        """
        stream = self._streams.get(name)
        if stream is None or not stream.settled or stream.id is None or stream.next is None or stream.epoch != epoch:
            return None
        return stream.id, stream.next

    def record_conflated(self, name: str, count: int) -> None:
        """Record messages that this client conflated, as the gateway is told."""
        self._streams[name].conflated_by_client(count)

    # Messages.

    def record_arrival(self, name: str, kind: Kind | None, epoch: int, offset: int, count: int) -> int:
        """Record messages that arrived.

        Args:
            name: name of the stream.
            kind: delivery contract of the stream.
            epoch: incarnation of the stream.
            offset: offset of the first message.
            count: number of messages.

        Returns:
            Number of messages at the front that the subscription has already, or did not ask for.
        """
        stream = self._streams.get(name)
        if stream is None or not stream.settled:
            stream = self._settled(name, kind)
            if stream is None:
                return count
        step = stream.messages(epoch, offset, count)
        awaited, stream.awaited = stream.awaited, None
        if step.repeated and offset == awaited:
            stream.failed -= step.repeated
            stream.duplicates -= step.repeated
            return 0
        if step.skipped and not stream.is_state:
            self._report_gap(Gap(name, Code.QUEUE_FULL, offset - step.skipped, offset - 1))
        return step.repeated

    def record_failure(self, name: str, epoch: int, offset: int, count: int, *, again: bool = False) -> int:
        """Record messages that arrived and cannot be decoded.

        Args:
            name: name of the stream.
            epoch: incarnation of the stream.
            offset: offset of the first message.
            count: number of messages.
            again: whether a keyframe in their place has been requested.

        Returns:
            Number of messages that are no duplicates.
        """
        stream = self._settled(name)
        if stream is None:
            return 0
        if again:
            stream.awaited = offset
        fresh = count - stream.messages(epoch, offset, count).repeated
        stream.failed += fresh
        return fresh

    def record_duplicate(self, name: str, count: int) -> None:
        """Count messages that arrived again while the program held or had processed them."""
        stream = self._settled(name)
        if stream is not None:
            stream.repeated += count

    def record_overflow(self, gap: Gap) -> None:
        """Record messages that arrived while the receive buffer had no room."""
        self._streams[gap.stream].overflowed += gap.last - gap.first + 1
        self._report_gap(gap)

    def _wanted(self, stream: StreamPosition, name: str, epoch: int) -> int | None:
        """Return the first offset of a stream that SUBSCRIBE has asked for, before the stream starts."""
        if not self._resumed:
            return first_wanted(self.since, name, epoch)
        return stream.next or 0 if stream.epoch == epoch else 0

    def _settled(self, name: str, kind: Kind | None = None) -> StreamPosition | None:
        """Return the position in a stream; ``None`` if its messages are not meant for this subscription now."""
        stream = self._streams.get(name)
        if stream is None:
            kind = kind or Kind.EVENT
            if kind.acknowledged or self._resumed or self.since is not None or not self.joined:
                return None
            stream = self._streams[name] = StreamPosition(kind)
        return stream if stream.settled else None

    def _report_gap(self, gap: Gap) -> None:
        if self._on_gap is not None:
            call_back(self._on_gap, gap)
