"""Where a receiver of a stream starts, by what its subscription named (spec section 4.3)."""

from __future__ import annotations

from typing import NamedTuple

from gateway.protocol.messages import BEGINNING, Kind, Since
from gateway.streams.stream import Stream


class StartPosition(NamedTuple):
    """The first message that a receiver gets.

    Attributes:
        offset: of that message.
        recovered: whether that is all that was asked for; ``None``: nothing was.
        newest: of a ``state`` stream, whether the newest message is to be sent.
    """

    offset: int
    recovered: bool | None
    newest: bool


def start_of(stream: Stream, since: Since | None, delivered: int) -> StartPosition:
    """Where a receiver starts.

    Args:
        stream: the stream that it joins.
        since: what it asked for.
        delivered: the offset behind the last message that those who are there have got: what comes from there on is
            delivered to the new one as well.
    """
    wanted = _wanted(stream, since)
    if stream.kind is Kind.STATE:
        # What lies between is conflated: the newest message is all that there is to get.
        current = wanted == delivered
        recovered = None if since is None else wanted is not None
        return StartPosition(delivered if current else max(0, delivered - 1), recovered, not current)
    if since is None:
        return StartPosition(delivered, None, newest=False)
    first = min(stream.first_offset, delivered)
    if wanted is None:
        # Another incarnation: all that there is of this one is new.
        return StartPosition(first, recovered=False, newest=False)
    return StartPosition(max(first, wanted), wanted >= first or since == BEGINNING, newest=False)


def _wanted(stream: Stream, since: Since | None) -> int | None:
    """The first offset that is wanted; ``None`` if none was named, or one of another incarnation."""
    match since:
        case None:
            return None
        case str():
            return 0
        case int():
            return since if since <= stream.next_offset else None
    epoch, offset = since.get(stream.name, (stream.epoch, 0))
    return offset if epoch == stream.epoch and offset <= stream.next_offset else None
