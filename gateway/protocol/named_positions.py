"""Named positions: those of the REPORTs of one connection that both ends remember (spec section 7.10)."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from gateway.protocol.signals import ProgramPosition
from gateway.protocol.wire import KNOWN_POSITIONS


def remember(known: dict[int, ProgramPosition], named: Iterable[ProgramPosition]) -> None:
    """Remember the positions of a REPORT. Both ends do it alike, so that each forgets what the other one does.

    Args:
        known: positions by the number of the stream, the one named last at the end; at most
            :data:`~gateway.protocol.wire.KNOWN_POSITIONS`.
        named: positions that the REPORT names; one whose program has caught up is forgotten.
    """
    for position in named:
        known.pop(position.stream, None)
        if position.behind:
            known[position.stream] = position
    for stream in list(islice(known, max(0, len(known) - KNOWN_POSITIONS))):
        del known[stream]
