"""Where a subscription stands in each of its streams, and what became of their messages (``spec/client.md`` section 5).

It outlives connections: from it a subscription asks for what it missed. Knows offsets; no messages, no sockets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from gateway.client.report import call_back
from gateway.errors import Code
from gateway.protocol.account import StreamAccount, first_wanted
from gateway.protocol.messages import Counts, Kind, Since, StreamInfo


class Gap(NamedTuple):
    """Messages that a subscription will not get."""

    stream: str
    code: int
    """Why; a number of :class:`gateway.errors.Code`."""
    first: int
    """First offset that is left out."""
    last: int
    """Last one."""


class StreamPosition(StreamAccount):
    """One stream: its account, which the gateway keeps as well, and what becomes of messages on this side.

    Attributes:
        settled: the gateway has said where it starts on this connection; what comes before that is for others.
        overflowed: arrived, and the program had left no room for them.
        failed: arrived, and could not be decoded.
        repeated: arrived once more, and are in hand or processed: of streams that are acknowledged.
        awaited: the offset of a state that could not be decoded and was asked for once more.
    """

    __slots__ = ("awaited", "failed", "overflowed", "repeated", "settled")

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind)
        self.settled = True
        self.awaited: int | None = None
        self.overflowed = 0
        self.failed = 0
        self.repeated = 0


class SubscriptionPosition:
    """All streams of one subscription.

    Args:
        since: where the program wants it to start.
        on_gap: told of messages that will not come.

    Attributes:
        joined: the gateway has said SUBSCRIBED on this connection.
    """

    def __init__(self, since: Since | None, on_gap: Callable[[Gap], None] | None) -> None:
        self._since = since
        self._named = since
        self._on_gap = on_gap
        self._streams: dict[str, StreamPosition] = {}
        self.joined = False
        self._joined_before = False

    def __iter__(self) -> Iterator[StreamPosition]:
        return iter(self._streams.values())

    @property
    def counts(self) -> dict[str, Counts]:
        """By stream, the account so far."""
        return {name: stream.counts for name, stream in self._streams.items()}

    # Asking.

    def ask(self) -> tuple[Since | None, Mapping[str, Counts] | None]:
        """What to name in SUBSCRIBE: where the program wants to start; later, where it stands and what was counted."""
        if self._joined_before:
            known = {name: stream for name, stream in self._streams.items() if stream.next is not None}
            self._named = {name: (stream.epoch, stream.next or 0) for name, stream in known.items()}
            return self._named, {name: stream.counts for name, stream in known.items()}
        self._named = self._since
        return self._named, None

    def leave(self) -> None:
        """A new connection: nothing comes for this subscription before it was asked for again."""
        self.joined = False
        for stream in self._streams.values():
            stream.settled = False

    def join(self) -> None:
        """SUBSCRIBED: what is announced from now on is meant for this subscription as well."""
        self.joined = self._joined_before = True

    # What the gateway says of streams.

    def announce(self, info: StreamInfo) -> None:
        """STREAM: from which offset on the messages of a stream come (spec section 4.3)."""
        stream = self._streams.get(info.stream)
        if stream is None:
            stream = self._streams[info.stream] = StreamPosition(info.kind or Kind.EVENT)
        elif stream.settled:
            return  # it answers another subscription
        stream.settled = True
        if info.since is not None and info.epoch is not None:
            lost = stream.start(info.epoch, first_wanted(self._named, info.stream, info.epoch), info.since)
            if lost:
                self._tell(Gap(info.stream, Code.HISTORY_LOST, info.since - lost, info.since - 1))

    def replay(self, name: str, first: int, last: int) -> None:
        """REPLAY: these offsets come from history, or once more."""
        stream = self._streams.get(name)
        if stream is not None and stream.settled:
            stream.replay(first, last)

    def skip(self, gap: Gap, epoch: int) -> None:
        """GAP (spec section 7.2)."""
        stream = self._of(gap.stream)
        fresh = 0 if stream is None else stream.gap(epoch, gap.code, gap.first, gap.last)
        if fresh:
            self._tell(gap._replace(first=gap.last + 1 - fresh))

    # What becomes of messages.

    def pass_by(self, name: str, kind: Kind | None, epoch: int, offset: int, count: int) -> int:
        """Messages arrived.

        Returns:
            How many of them are to be left out, from the first on: the subscription has them, or did not ask for them.
        """
        stream = self._of(name, kind)
        if stream is None:
            return count
        step = stream.messages(epoch, offset, count)
        awaited, stream.awaited = stream.awaited, None
        if step.repeated and offset == awaited:
            stream.failed -= step.repeated
            stream.duplicates -= step.repeated
            return 0
        if step.skipped and not stream.is_state:
            self._tell(Gap(name, Code.QUEUE_FULL, offset - step.skipped, offset - 1))
        return step.repeated

    def pass_failed(self, name: str, epoch: int, offset: int, count: int, *, again: bool = False) -> int:
        """Messages arrived that cannot be decoded; how many of them are new.

        Args:
            again: they were asked for once more.
        """
        stream = self._of(name)
        if stream is None:
            return 0
        if again:
            stream.awaited = offset
        fresh = count - stream.messages(epoch, offset, count).repeated
        stream.failed += fresh
        return fresh

    def repeat(self, name: str, count: int) -> None:
        """Messages arrived once more that the program has in hand, or is through with."""
        stream = self._of(name)
        if stream is not None:
            stream.repeated += count

    def lose(self, gap: Gap) -> None:
        """Messages arrived for which the program left no room."""
        self._streams[gap.stream].overflowed += gap.last - gap.first + 1
        self._tell(gap)

    def _of(self, name: str, kind: Kind | None = None) -> StreamPosition | None:
        """The stream, if what comes of it now is meant for this subscription."""
        stream = self._streams.get(name)
        if stream is None:
            if self._named is not None or not self.joined:
                return None
            stream = self._streams[name] = StreamPosition(kind or Kind.EVENT)
        return stream if stream.settled else None

    def _tell(self, gap: Gap) -> None:
        if self._on_gap is not None:
            call_back(self._on_gap, gap)
