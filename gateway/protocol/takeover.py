"""Takeover: which of two connections with one ``client_id`` keeps it (spec section 3.4)."""

from __future__ import annotations

import enum
from typing import NamedTuple


class Claim(NamedTuple):
    """Claim of a connection to its ``client_id``."""

    generation: int | None
    """Generation of the program; ``None``: it has none, because it has not been connected before."""
    instance: int | None
    """Number of the running client; ``None``: HELLO had none."""


class Outcome(enum.Enum):
    """Outcome of a HELLO that names the ``client_id`` of another connection."""

    RECONNECTED = "reconnected"
    """The same running client has come back: it goes on with the newer connection."""
    TAKEN_OVER = "taken over"
    """Another program has come, which is newer: it gets the ``client_id``."""
    REFUSED = "refused"
    """Another program has come back that is older: the ``client_id`` stays with the connection that has it."""


def decide(newcomer: Claim, holder: Claim) -> Outcome:
    """Return which of two connections gets a ``client_id``.

    Args:
        newcomer: the connection that has sent HELLO.
        holder: the connection that has the ``client_id``.
    """
    if newcomer.instance is not None and newcomer.instance == holder.instance:
        return Outcome.RECONNECTED
    named, held = newcomer.generation, holder.generation
    if named is not None and held is not None and named < held:
        return Outcome.REFUSED
    return Outcome.TAKEN_OVER


class Generations:
    """Generations that a gateway gives to programs: each is higher than all that it has given or seen before.

    They are taken from the time, so that a restarted gateway goes on above those of the one before, and no table is
    needed of who has had which.
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def recognized(self, named: int | None, now_ns: int) -> int | None:
        """Return the generation that a client has named; ``None`` if it has named none, or one of the future.

        Nobody can have given that one, and a program that kept it could never be followed by a newer one.

        Args:
            named: from HELLO.
            now_ns: Unix time.
        """
        if named is None or named > max(self._last, now_ns // 1000):
            return None
        self._last = max(self._last, named)
        return named

    def next(self, now_ns: int) -> int:
        """Return the generation of a program that has none.

        Args:
            now_ns: Unix time; microseconds of it are below 2**53 until the year 2255.
        """
        self._last = max(now_ns // 1000, self._last + 1)
        return self._last
