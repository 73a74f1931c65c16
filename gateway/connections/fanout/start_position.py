"""Start position: the first message that a receiver gets, by the start that it names (spec section 4.3)."""

from __future__ import annotations

from typing import NamedTuple

from gateway.protocol.messages import BEGINNING, Kind, Since
from gateway.streams.stream import Stream


class StartPosition(NamedTuple):
    """First message that a receiver gets.

    Attributes:
        offset: of that message.
        recovered: whether the receiver gets all that it asked for; ``None``: it named no start.
        newest: whether the newest version is to be sent; always False unless the stream is a state.
    """

    offset: int
    recovered: bool | None
    newest: bool


def start_of(stream: Stream, since: Since | None, delivered: int) -> StartPosition:
    """Return the start position of a receiver.

    Args:
        stream: the stream that the receiver joins.
        since: the start that it named.
        delivered: offset behind the last message that the present receivers have got: the new one gets all messages
            from that offset on together with them.
    """
    wanted = _wanted(stream, since)
    if stream.kind is Kind.STATE:
        # Versions in between are conflated: only the newest one can be sent.
        current = wanted == delivered
        recovered = None if since is None else wanted is not None
        return StartPosition(delivered if current else max(0, delivered - 1), recovered, not current)
    if since is None:
        return StartPosition(delivered, None, newest=False)
    first = min(stream.first_offset, delivered)
    if wanted is None:
        # The start belongs to another incarnation: all messages of this one are new.
        return StartPosition(first, recovered=False, newest=False)
    return StartPosition(max(first, wanted), wanted >= first or since == BEGINNING, newest=False)


def start_of_other_view(
    stream: Stream, following: int, delivered: int, *, again: bool, past: bool = False
) -> StartPosition | None:
    """Return the start position of a receiver that changes to another view of a stream.

    Args:
        stream: the stream, or a view of it.
        following: offset behind the last message that the receiver was sent by the view before.
        delivered: offset behind the last message of the other view that its present receivers have got.
        again: whether the last version of a state is sent again, since the view before has shown less of it.
        past: whether events may come from history: the view before does not have them.

    Returns:
        ``None``: one of both views is not computed as far as the other one. Events would come twice, or not at all if
        history loses them before the receiver reads, and older versions of a state behind newer ones.
    """
    if stream.kind is not Kind.STATE:
        first = min(stream.first_offset, delivered) if past else delivered
        return StartPosition(following, None, newest=False) if first <= following <= delivered else None
    first = max(0, following - 1) if again else following
    if delivered < first:
        return None
    return StartPosition(max(first, delivered - 1), None, newest=delivered > first)


def _wanted(stream: Stream, since: Since | None) -> int | None:
    """Return the first wanted offset; ``None`` if the receiver named none, or one of another incarnation."""
    match since:
        case None:
            return None
        case str():
            return 0
        case int():
            return since if since <= stream.next_offset else None
    epoch, offset = since.get(stream.name, (stream.epoch, 0))
    return offset if epoch == stream.epoch and offset <= stream.next_offset else None
