"""Plan of the matrix: kinds, sizes, speeds, and the memory that the gateway may use for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

KINDS: Final = ("state", "event", "collaboration", "control")
SPEEDS: Final = (0.0, 0.1, 0.5, 2.0)
"""Speeds of slow readers, as fractions of the publish rate."""

READERS: Final = 2
"""Slow readers at a time, all of the same speed."""
QUEUE_BYTES: Final = 4 * MIB
"""Bound of a receiver's outbox, and of a stream's unacknowledged messages (``gateway.toml``)."""
PROBE_HZ: Final = 200
"""Rate of small messages whose latency is measured, beside the messages of the cell."""
PROBE_BYTES: Final = 1 * KIB

RATIO: Final = 1.5
"""Largest ratio of the p99 of fast readers with slow readers to the one without."""

HISTORY_BYTES: Final = 16 * MIB
"""Bound of the history of an ``event`` stream, by default."""
TRANSPORT_BYTES: Final = 1 * MIB
"""Bytes written and not taken by the operating system, past which a receiver is served from its outbox."""
CHUNK_BYTES: Final = 512 * KIB
HEAP: Final = 1.25
"""Bytes that the allocator takes for a held byte, because of holes between buffers of different ages."""


@dataclass(frozen=True, slots=True)
class Size:
    """Size of messages."""

    name: str
    """Name in the table."""
    message_bytes: int
    """Size of a payload."""
    rate_hz: float
    """Messages a second while latency is measured: 5 to 60 MB a second, which two cores do without effort."""
    seconds: float = 2.0
    """Length of such a round."""


SIZES: Final = (
    Size("1 KB", 1 * KIB, 5000),
    Size("64 KB", 64 * KIB, 200),
    Size("1 MB", 1 * MIB, 20),
    Size("16 MB", 16 * MIB, 2),
    Size("64 MB", 64 * MIB, 1, seconds=4.0),
)


@dataclass(frozen=True, slots=True)
class Group:
    """Group of cells with one kind and size and all speeds, run on one gateway."""

    kind: str
    size: Size

    @property
    def acknowledged(self) -> bool:
        """True if receivers acknowledge messages."""
        return self.kind in ("collaboration", "control")

    @property
    def held_bytes(self) -> int:
        """Growth of memory that the gateway is allowed (docs/operations.md, "Sizing")."""
        message = self.size.message_bytes
        # History of the stream, or of the dead letters of a slow reader that has left.
        history = 0 if self.kind == "state" else HISTORY_BYTES
        newest = message if self.kind == "state" else 0
        # A message that is being uploaded, and a complete one that is being sent to readers that keep up.
        under_way = 2 * message
        # The fast reader lags for a moment, too, when many messages come at once, such as dead letters of a slow one.
        receivers = READERS + 1
        # For each receiver its queue, one large message that is partly sent, and one more. Or the unacknowledged
        # messages of the stream, two beyond the bound, the dead letters of all readers that leave at once, and a reader
        # of these.
        outboxes = receivers * (QUEUE_BYTES + 2 * message)
        unacknowledged = QUEUE_BYTES + 2 * message
        dead_letters = READERS * unacknowledged + QUEUE_BYTES
        queues = unacknowledged + dead_letters if self.acknowledged else outboxes
        transports = receivers * (TRANSPORT_BYTES + CHUNK_BYTES)
        return int(HEAP * (history + newest + under_way + queues + transports))

    @property
    def flood_bytes(self) -> int:
        """Bytes published in a flood: a gateway without bounds would hold more than it is allowed."""
        return 2 * self.held_bytes


def groups(kinds: tuple[str, ...] = KINDS, sizes: tuple[Size, ...] = SIZES) -> list[Group]:
    """Return the groups of all these kinds and sizes."""
    return [Group(kind, size) for kind in kinds for size in sizes]
