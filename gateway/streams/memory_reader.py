"""The :class:`~gateway.connections.ports.PastReader` of a gateway whose streams live in its memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.streams.history import Entry
from gateway.streams.stream import Stream


class MemoryPastReader:
    """Reader of the histories that streams keep in memory."""

    def read(
        self,
        stream: Stream,
        first: int,
        last: int,
        max_bytes: int,
        done: Callable[[Sequence[Entry] | Exception], object],
    ) -> None:
        """Call ``done`` with the messages ``first .. last`` of a stream, before this returns."""
        done(stream.history.read(first, last, max_bytes))
