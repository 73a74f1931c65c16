"""How safe a message is when its publish is acknowledged (spec section 4.8)."""

from __future__ import annotations

import enum


class Durability(enum.StrEnum):
    """What an acknowledged message of a stream outlives."""

    MEMORY = "memory"
    """Nothing: it is in the gateway's memory."""
    OS = "os"
    """The gateway: it is with the operating system."""
    FSYNC = "fsync"
    """The machine: it is on the disk."""

    @property
    def level(self) -> int:
        """The number on the wire; a larger one outlives more."""
        return _LEVELS[self]

    @classmethod
    def of_level(cls, level: int) -> Durability:
        """The durability of a number from the wire; one that is not known promises no more than memory."""
        return _BY_LEVEL.get(level, cls.MEMORY)


_LEVELS = {durability: level for level, durability in enumerate(Durability)}
_BY_LEVEL = dict(enumerate(Durability))
