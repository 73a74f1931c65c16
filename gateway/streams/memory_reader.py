"""The :class:`~gateway.connections.ports.PastReader` of a gateway whose streams live in its memory."""

from __future__ import annotations

from gateway.streams.history import EntriesRead
from gateway.streams.stream import Stream


class MemoryPastReader:
    """Reader of the histories that streams keep in memory."""

    def read(self, stream: Stream, first: int, last: int, max_bytes: int, done: EntriesRead) -> None:
        """Call ``done`` with the messages ``first .. last`` of a stream, before this returns."""
        done(stream.history.read(first, last, max_bytes))
