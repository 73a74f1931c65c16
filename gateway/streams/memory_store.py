"""The :class:`~gateway.connections.ports.StreamStore` of a gateway whose streams live in its memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.streams.history import Entry
from gateway.streams.stream import Stream


class MemoryStreamStore:
    """Gives what the streams' own histories hold. Nothing outlives the process."""

    def read(
        self,
        stream: Stream,
        first: int,
        last: int,
        max_bytes: int,
        done: Callable[[Sequence[Entry] | Exception], object],
    ) -> None:
        """See the port; ``done`` is called before this returns."""
        done(stream.history.read(first, last, max_bytes))
