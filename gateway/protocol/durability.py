"""Durability of acknowledged messages (spec section 4.8)."""

from __future__ import annotations

import enum


class Durability(enum.StrEnum):
    """Failure that an acknowledged message of a stream survives."""

    MEMORY = "memory"
    """No failure: the message is in the gateway's memory."""
    OS = "os"
    """End of the gateway's process: the message is with the operating system."""
    FSYNC = "fsync"
    """Failure of the machine: the message is on the disk."""

    @property
    def level(self) -> int:
        """Number on the wire; a larger one survives more."""
        return _LEVELS[self]

    @classmethod
    def of_level(cls, level: int) -> Durability:
        """Return the durability of a number from the wire; an unknown one counts as ``memory``."""
        return _BY_LEVEL.get(level, cls.MEMORY)


_LEVELS = {durability: level for level, durability in enumerate(Durability)}
_BY_LEVEL = dict(enumerate(Durability))
