"""Back-pressure on a peer: nothing is read from it while somebody holds its reading."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.connections.ports import Transport

_NOBODY: Final[frozenset[object]] = frozenset()
"""The holders of almost every peer. An empty set of its own would take 216 bytes (CPython 3.11)."""


class ReadingHolds:
    """Holders that have stopped the reading from one peer; reading goes on when the last one lets go.

    Args:
        transport: the transport that reads.
    """

    __slots__ = ("_go_on", "_holders", "_transport")

    def __init__(self, transport: Transport) -> None:
        self._transport: Transport | None = transport
        self._holders = _NOBODY
        self._go_on: Callable[[], object] | None = None
        """Call for the one holder that waits for the others."""

    @property
    def held(self) -> bool:
        """Return whether nothing is read from the peer now."""
        return bool(self._holders)

    def held_but_for(self, *holders: object) -> bool:
        """Return whether anybody but these holds."""
        return bool(self._holders) and not self._holders.issubset(holders)

    def hold(self, holder: object) -> None:
        """Read nothing more until ``holder``, and every other holder, lets go; does nothing after :meth:`end`."""
        if self._transport is None:
            return
        if not self._holders:
            self._transport.pause_reading()
        self._holders |= {holder}

    def release(self, holder: object) -> None:
        """Let go for ``holder``; does nothing if it does not hold."""
        if self._transport is not None and holder in self._holders:
            self._holders = (self._holders - {holder}) or _NOBODY
            if not self._holders:
                self._transport.resume_reading()
            elif len(self._holders) == 1:
                self._others_gone()

    def wait_for_others(self, holder: object, go_on: Callable[[], object]) -> bool:
        """Return whether anybody but ``holder`` holds; then ``go_on`` is called once, when they have let go."""
        if not self._holders - {holder}:
            return False
        self._go_on = go_on
        return True

    def end(self) -> None:
        """Let go for every holder, once and for all: a peer that is being closed has to be read until it answers."""
        if self._transport is not None and self._holders:
            self._transport.resume_reading()
        self._holders = _NOBODY
        self._transport = None
        self._others_gone()

    def _others_gone(self) -> None:
        go_on, self._go_on = self._go_on, None
        if go_on is not None:
            go_on()
