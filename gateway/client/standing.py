"""Where a subscription stands in each of its streams, and what became of their messages (``spec/client.md`` section 5).

It outlives connections: from it a subscription asks for what it missed. Knows offsets; no messages, no sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from gateway.client.cursor import Cursor
from gateway.client.report import call_back
from gateway.errors import Code
from gateway.protocol.messages import BEGINNING, Counts, Kind, Since, StreamInfo


class Gap(NamedTuple):
    """Messages that a subscription will not get."""

    stream: str
    code: int
    """Why; a number of :class:`gateway.errors.Code`."""
    first: int
    """First offset that is left out."""
    last: int
    """Last one."""


class StreamStanding:
    """One stream.

    Attributes:
        cursor: the next offset that is expected.
        settled: the gateway has said where it starts on this connection; what comes before that is for others.
        replay_end: messages before this offset come from history.
        overflowed: arrived, and the program had left no room for them.
    """

    __slots__ = (
        "conflated",
        "cursor",
        "dropped",
        "duplicates",
        "expired",
        "overflowed",
        "received",
        "replay_end",
        "replayed",
        "settled",
    )

    def __init__(self, *, settled: bool) -> None:
        self.cursor = Cursor()
        self.settled = settled
        self.replay_end = 0
        self.received = self.conflated = self.dropped = self.duplicates = self.replayed = self.expired = 0
        self.overflowed = 0

    @property
    def counts(self) -> Counts:
        """Its account so far (spec section 7.7)."""
        return Counts(self.received, self.conflated, self.dropped, self.replayed, self.expired)


class Standing:
    """All streams of one subscription.

    Args:
        since: where the program wants it to start.
        on_gap: told of messages that will not come.

    Attributes:
        joined: the gateway has said SUBSCRIBED on this connection.
    """

    def __init__(self, since: Since | None, on_gap: Callable[[Gap], None] | None) -> None:
        self._since = since
        self._on_gap = on_gap
        self._streams: dict[str, StreamStanding] = {}
        self.joined = False
        self._joined_before = False

    def __iter__(self) -> Iterator[StreamStanding]:
        return iter(self._streams.values())

    @property
    def counts(self) -> dict[str, Counts]:
        """By stream, the account so far."""
        return {name: stream.counts for name, stream in self._streams.items()}

    # Asking.

    @property
    def wanted(self) -> Since | None:
        """What to name in SUBSCRIBE: where the program wants to start, later where the subscription stands."""
        if not self._joined_before:
            return self._since
        cursors = {name: stream.cursor for name, stream in self._streams.items()}
        return {name: (cursor.epoch, cursor.next) for name, cursor in cursors.items() if cursor.next is not None}

    def leave(self) -> None:
        """A new connection: nothing comes for this subscription before it was asked for again."""
        self.joined = False
        for stream in self._streams.values():
            stream.settled = False
            stream.replay_end = 0

    def join(self) -> None:
        """SUBSCRIBED: what is announced from now on is meant for this subscription as well."""
        self.joined = self._joined_before = True

    # What the gateway says of streams.

    def announce(self, info: StreamInfo) -> None:
        """STREAM: from which offset on the messages of a stream come (spec section 4.3)."""
        stream = self._streams.setdefault(info.stream, StreamStanding(settled=True))
        stream.settled = True
        if info.since is None or info.epoch is None:
            return
        cursor = stream.cursor
        if cursor.next is None or cursor.epoch != info.epoch:
            first = self._first_wanted(info) if cursor.next is None else 0
            complete = info.recovered is not False or info.kind is Kind.STATE
            cursor.epoch, cursor.next = info.epoch, info.since if complete else first
        # Of a state the newest message is yet to come, and tells what was conflated.
        if info.kind is not Kind.STATE and cursor.next < info.since:
            self._drop(stream, Gap(info.stream, Code.HISTORY_LOST, cursor.next, info.since - 1))
            cursor.next = info.since

    def replay(self, name: str, last: int) -> None:
        """REPLAY: what comes up to offset ``last`` comes from history."""
        stream = self._streams.get(name)
        if stream is not None:
            stream.replay_end = last + 1

    def skip(self, gap: Gap, epoch: int) -> None:
        """GAP (spec section 7.2)."""
        stream = self.of(gap.stream)
        if stream is None:
            return
        first = gap.first + stream.cursor.advance(epoch, gap.first, gap.last - gap.first + 1).repeated
        if first <= gap.last:
            self._drop(stream, gap._replace(first=first))

    # What becomes of messages.

    def of(self, name: str) -> StreamStanding | None:
        """The stream, if what comes of it now is meant for this subscription."""
        stream = self._streams.get(name)
        if stream is None:
            if self._since is not None or not self.joined:
                return None
            stream = self._streams[name] = StreamStanding(settled=True)
        return stream if stream.settled else None

    def pass_by(self, name: str, kind: Kind | None, epoch: int, offset: int, count: int) -> int:
        """Messages arrived.

        Returns:
            How many of them are to be left out, from the first on: the subscription has them, or did not ask for them.
        """
        stream = self.of(name)
        if stream is None:
            return count
        expected = stream.cursor.next
        step = stream.cursor.advance(epoch, offset, count)
        stream.duplicates += step.repeated
        if step.skipped:
            if kind is Kind.STATE:
                stream.conflated += step.skipped
            else:
                self._drop(stream, Gap(name, Code.QUEUE_FULL, expected or 0, offset - 1))
        first = offset + step.repeated
        stream.received += count - step.repeated
        if first < stream.replay_end:
            stream.replayed += min(offset + count, stream.replay_end) - first
        return step.repeated

    def pass_failed(self, name: str, epoch: int, offset: int, count: int) -> int:
        """Messages arrived that cannot be decoded; how many of them are new."""
        stream = self.of(name)
        return 0 if stream is None else count - stream.cursor.advance(epoch, offset, count).repeated

    def lose(self, gap: Gap) -> None:
        """Messages arrived for which the program left no room."""
        self._streams[gap.stream].overflowed += gap.last - gap.first + 1
        self._tell(gap)

    def _drop(self, stream: StreamStanding, gap: Gap) -> None:
        stream.dropped += gap.last - gap.first + 1
        self._tell(gap)

    def _tell(self, gap: Gap) -> None:
        if self._on_gap is not None:
            call_back(self._on_gap, gap)

    def _first_wanted(self, info: StreamInfo) -> int:
        since = self._since
        if since is None or since == BEGINNING:
            return info.since or 0
        if isinstance(since, int):
            return min(since, info.since or 0)
        assert not isinstance(since, str)
        epoch, offset = since.get(info.stream, (info.epoch, 0))
        return offset if epoch == info.epoch else 0
