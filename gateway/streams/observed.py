"""Observed stream: an acknowledged stream as those see it who acknowledge nothing, with a number of its own.

Specified in section 4.2.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from gateway.ids import StreamId
from gateway.protocol.messages import Kind
from gateway.protocol.wire import DATA_HEADER, DATA_ROUTE, ROUTE_AT, Buffer
from gateway.streams.history import Entry
from gateway.streams.large import TransferNumbers
from gateway.streams.run import Run
from gateway.streams.stream import Stream

_COPIED_BYTES: Final = 16 * 1024
"""Frames up to this size are copied to write the number of the stream into them; of larger ones only the header is."""


class ObservedStream(Stream):
    """Stream of the messages of an acknowledged parent; not in a registry, and without a history of its own.

    Its receivers are served as those of an ``event`` stream, whose kind it therefore has here; STREAM tells them the
    kind of the parent.

    Args:
        stream_id: number of the observed stream.
        parent: the stream whose receivers acknowledge.
        next_offset: offset of the first message of the parent that it gets.
    """

    __slots__ = ("parent",)

    def __init__(self, stream_id: StreamId, parent: Stream, next_offset: int) -> None:
        super().__init__(stream_id, parent.name, Kind.EVENT, parent.epoch, parent.config)
        self.parent = parent
        self.next_offset = next_offset

    @property
    def first_offset(self) -> int:
        """Offset of the oldest message of the parent that can be read again."""
        return self.parent.first_offset

    def count_dropped(self, count: int) -> None:
        """Count messages among those of the parent."""
        self.parent.count_dropped(count)

    def shown(self, entry: Entry, transfers: TransferNumbers) -> Entry:
        """Return messages of the parent as the receivers of this stream get them.

        Args:
            entry: a run, whose bytes are shared where they are many, or a complete large message.
            transfers: gives the number of a large message, which consumers on the same connection get by another one.
        """
        if isinstance(entry, Run):
            return Run(self, entry.first, entry.count, self._shown(entry), entry.size, entry.last_at, entry.last_count)
        plan = replace(entry.plan, transfer=transfers.next())
        return replace(entry, source=self, plan=plan, variants={}, base_offset=None)

    def count_in(self, entry: Entry) -> None:
        """Count in messages of the parent that are being delivered."""
        if isinstance(entry, Run):
            self.next_offset = entry.last + 1
        elif entry.offset is not None:
            self.next_offset = entry.offset + 1

    def _shown(self, run: Run) -> tuple[Buffer, ...]:
        """Return the frames of a run with the number of this stream."""
        first, *rest = run.buffers
        if not run.last_at and len(first) > _COPIED_BYTES:
            view = memoryview(first)
            first, rest = view[: DATA_HEADER.size], [view[DATA_HEADER.size :], *rest]
        patched = bytearray(first)
        for at in run.starts() if run.last_at else (0,):
            _, publisher, offset = DATA_ROUTE.unpack_from(patched, at + ROUTE_AT)
            DATA_ROUTE.pack_into(patched, at + ROUTE_AT, self.id, publisher, offset)
        return (patched, *rest)
