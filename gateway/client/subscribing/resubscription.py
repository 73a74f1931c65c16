"""Resubscription: SUBSCRIBE with the position in each stream, in as many parts as it needs (spec section 4.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, NamedTuple

from gateway.protocol.messages import Counts, Position, SessionMessage, Subscribe

REST_BYTES: Final = 8 * 1024
"""Room in a part for all that stands beside positions: pattern, view, credits."""
ENTRY_BYTES: Final = 260
"""Most bytes that one stream takes in ``since`` and ``account`` together, beside its name in each."""
RESUME_BYTES: Final = 32
"""Most bytes that one stream takes in ``resume``, beside its name."""


class StreamPart(NamedTuple):
    """Part of a resubscription about one stream."""

    stream: str
    position: Position
    """Epoch and next offset."""
    counts: Counts


def parts_of(request: Subscribe, streams: Iterable[StreamPart], max_bytes: int) -> Iterator[SessionMessage]:
    """Yield a SUBSCRIBE in parts, each made when it is asked for.

    Args:
        request: SUBSCRIBE without positions; its ``resume`` goes with the first part.
        streams: read while the parts are made.
        max_bytes: bound on the size of the frame of each part.
    """
    room = max(1, max_bytes - REST_BYTES)
    first = Subscribe(request.request, request.subscription, request.pattern, resume=request.resume, more=True)
    part = first
    since: dict[str, Position] = {}
    account: dict[str, Counts] = {}
    used = sum([len(stream) + RESUME_BYTES for stream in request.resume or ()])
    for stream, position, counts in streams:
        size = 2 * len(stream) + ENTRY_BYTES
        if used + size > room and used:
            yield replace(part, since=since, account=account)
            part = replace(first, resume=None)
            since, account, used = {}, {}, 0
        since[stream] = position
        account[stream] = counts
        used += size
    yield replace(request, since=since, account=account, resume=part.resume)
