"""Told positions: first message of each stream that the program has not taken, as REPORT tells it (section 7.10)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from gateway.client.subscribing.subscription_core import SubscriptionCore
from gateway.protocol.named_positions import remember
from gateway.protocol.signals import ProgramPosition
from gateway.protocol.wire import MAX_POSITIONS

MAX_LOOKED_AT: Final = 4096
"""Waiting items of all subscriptions that are looked at for one report: in 0.3 ms if they are of one stream, in 3 ms if
each is of another (CPython 3.11, November 2026)."""
MAX_BEHIND: Final = 2**32 - 1
"""Largest number of messages that a position carries."""


class ToldPositions:
    """Positions of the program in the streams in which it is behind, and those that the gateway knows.

    Both ends know the same: of the positions that were named on the connection, the last
    :data:`~gateway.protocol.wire.KNOWN_POSITIONS`.
    """

    def __init__(self) -> None:
        self._known: dict[int, ProgramPosition] = {}
        """Positions by the number of the stream, the one named last at the end."""

    def forget(self) -> None:
        """Forget what the gateway knows: it knows by itself, or numbers of streams have another meaning from now on."""
        self._known.clear()

    def changed(self, subscriptions: Iterable[SubscriptionCore]) -> tuple[ProgramPosition, ...]:
        """Return the positions that the gateway is to be told now, of which it takes note.

        Streams in which the program has caught up come first, then new ones, then those that have changed and were not
        named for longest. So each of thousands has its turn, some in each report.

        Args:
            subscriptions: all subscriptions of the client.
        """
        found, complete = _positions_of(subscriptions)
        known = self._known
        # Behind the items that were looked at there may be more of these streams.
        gone = [position for stream, position in known.items() if stream not in found] if complete else []
        caught_up = [ProgramPosition(stream, 0, offset + behind) for stream, behind, offset in gone]
        new = [position for stream, position in found.items() if stream not in known]
        moved = [found[stream] for stream, position in known.items() if found.get(stream, position) != position]
        named = tuple(islice([*caught_up, *new, *moved], MAX_POSITIONS))
        remember(known, named)
        return named


def _positions_of(subscriptions: Iterable[SubscriptionCore]) -> tuple[dict[int, ProgramPosition], bool]:
    """Return positions by the number of the stream, and whether these are all.

    If several subscriptions receive a stream, the one that is furthest behind counts. A stream is left out as long as
    this connection has not announced it, or messages of its earlier incarnation wait.
    """
    waiting = [subscription for subscription in subscriptions if subscription.unread()[0]]
    share = MAX_LOOKED_AT // max(len(waiting), 1) or 1
    found: dict[int, ProgramPosition] = {}
    complete = True
    for subscription in waiting:
        firsts, all_looked_at = subscription.waiting(share)
        complete = complete and all_looked_at
        for name, (epoch, offset) in firsts.items():
            end = subscription.position.end_of(name, epoch)
            if end is None:
                continue
            stream, following = end
            before = found.get(stream)
            if before is not None:
                following = max(following, before.offset + before.behind)
                offset = min(offset, before.offset)
            found[stream] = ProgramPosition(stream, min(max(following - offset, 1), MAX_BEHIND), offset)
    return found, complete
