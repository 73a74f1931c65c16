"""What is tried, and how much memory the gateway may use for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

KINDS: Final = ("state", "event", "collaboration", "control")
SPEEDS: Final = (0.0, 0.1, 0.5, 2.0)
"""What a slow reader reads, as a part of what is published."""

READERS: Final = 2
"""Slow readers at a time, all of the same speed."""
QUEUE_BYTES: Final = 4 * MIB
"""Of a receiver's outbox, and of what a stream's consumers have not acknowledged (``gateway.toml``)."""
PROBE_HZ: Final = 200
"""Small messages a second, beside those of the cell, whose latency is measured."""
PROBE_BYTES: Final = 1 * KIB

RATIO: Final = 1.5
"""How much longer the slowest percent of messages may take to fast readers when there are slow ones."""

HISTORY_BYTES: Final = 16 * MIB
"""Of an ``event`` stream, by default."""
TRANSPORT_BYTES: Final = 1 * MIB
"""Written and not taken by the system, past which a receiver is served from its outbox."""
CHUNK_BYTES: Final = 512 * KIB
HEAP: Final = 1.25
"""What the allocator takes for a byte that is held: holes between buffers of different ages."""


@dataclass(frozen=True, slots=True)
class Size:
    """One size of messages.

    Attributes:
        name: for the table.
        message_bytes: of one payload.
        rate_hz: messages a second while latency is measured: 5 to 60 MB in all, so that two cores have an easy time.
        seconds: of one such round.
    """

    name: str
    message_bytes: int
    rate_hz: float
    seconds: float = 2.0


SIZES: Final = (
    Size("1 KB", 1 * KIB, 5000),
    Size("64 KB", 64 * KIB, 200),
    Size("1 MB", 1 * MIB, 20),
    Size("16 MB", 16 * MIB, 2),
    Size("64 MB", 64 * MIB, 1, seconds=4.0),
)


@dataclass(frozen=True, slots=True)
class Group:
    """All readers' speeds for one kind and size, tried on one gateway."""

    kind: str
    size: Size

    @property
    def acknowledged(self) -> bool:
        """Whether receivers acknowledge what they have processed."""
        return self.kind in ("collaboration", "control")

    @property
    def held_bytes(self) -> int:
        """What the gateway's memory may grow by (docs/operations.md, "Sizing")."""
        message = self.size.message_bytes
        # Of the stream, or of its dead letters: those of a slow reader that has left.
        history = 0 if self.kind == "state" else HISTORY_BYTES
        newest = message if self.kind == "state" else 0
        # On its way in, and whole but not yet with those who keep up.
        under_way = 2 * message
        # The fast one, too, lags for a moment when much comes at once, such as the dead letters of a slow one.
        receivers = READERS + 1
        # What is queued for each, one that was begun and the newest one; or what a stream's consumers have not
        # acknowledged, and one beyond the bound; the dead letters of all that leave at once, and one who reads them.
        outboxes = receivers * (QUEUE_BYTES + 2 * message)
        unacknowledged = QUEUE_BYTES + message
        dead_letters = READERS * unacknowledged + QUEUE_BYTES
        queues = unacknowledged + dead_letters if self.acknowledged else outboxes
        transports = receivers * (TRANSPORT_BYTES + CHUNK_BYTES)
        return int(HEAP * (history + newest + under_way + queues + transports))

    @property
    def flood_bytes(self) -> int:
        """What is published to see whether it holds: were nothing bounded, the gateway would hold more than it may."""
        return 2 * self.held_bytes


def groups(kinds: tuple[str, ...] = KINDS, sizes: tuple[Size, ...] = SIZES) -> list[Group]:
    """All of them."""
    return [Group(kind, size) for kind in kinds for size in sizes]
