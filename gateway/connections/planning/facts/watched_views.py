"""Watched views: states that a receiver may get by a lower view, and the bytes of either, from one look to the next."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

from gateway.connections.lowering import TwoViews
from gateway.connections.planning.context import ViewFacts
from gateway.connections.planning.facts.watched_receiver import MAX_STATES
from gateway.connections.viewing.view_fit import size_of
from gateway.protocol.views import View
from gateway.streams.stream import Stream

SMOOTHING: Final = 0.3
"""Weight of a new rate."""


class WatchedViews:
    """Rates of the states of one receiver, and the bytes that either view takes of them.

    The bytes are not measured, since only one of both views is sent: they follow from the versions that are published
    and from the descriptors of the newest one.
    """

    __slots__ = ("_carried_bytes_per_s", "_facts", "_looked_s", "_seen")

    def __init__(self) -> None:
        self._looked_s: float | None = None
        self._seen: dict[Stream, int] = {}
        """Next offset of each state at the last look."""
        self._facts: ViewFacts | None = None
        self._carried_bytes_per_s = 0.0

    def look(self, states: Iterable[TwoViews], now_s: float, goodput_bytes_per_s: float | None) -> ViewFacts | None:
        """Return what is known now; ``None``: there is no such state, or this is the first look.

        Args:
            states: those that the receiver may get by a lower view.
            now_s: time by the clock that only goes forward.
            goodput_bytes_per_s: of its link; ``None`` while it gets lower views.
        """
        if goodput_bytes_per_s is not None:
            self._carried_bytes_per_s = goodput_bytes_per_s
        span_s = None if self._looked_s is None else max(now_s - self._looked_s, 1e-3)
        self._looked_s = now_s
        seen: dict[Stream, int] = {}
        full = lower = 0.0
        for state in islice(states, MAX_STATES):
            stream = state.stream
            seen[stream] = stream.next_offset
            if span_s is not None:
                rate_hz = (stream.next_offset - self._seen.get(stream, stream.next_offset)) / span_s
                full += _rate_of(state.view, rate_hz) * size_of(state.view, state.newest)
                lower += _rate_of(state.lower, rate_hz) * state.lower_bytes
        self._seen = seen
        if span_s is None or not seen:
            self._facts = None
        elif self._facts is None:
            self._facts = ViewFacts(full, lower, self._carried_bytes_per_s)
        else:
            known = self._facts
            self._facts = ViewFacts(
                known.full_bytes_per_s + SMOOTHING * (full - known.full_bytes_per_s),
                known.lower_bytes_per_s + SMOOTHING * (lower - known.lower_bytes_per_s),
                self._carried_bytes_per_s,
            )
        return self._facts


def _rate_of(view: View, rate_hz: float) -> float:
    return rate_hz if view.max_rate_hz is None else min(rate_hz, view.max_rate_hz)
