"""The :class:`~gateway.connections.ports.StreamStore` of a gateway whose streams live in its memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.ids import ClientId
from gateway.streams.history import Entry
from gateway.streams.large import LargeMessage, TransferNumbers
from gateway.streams.producers import Producers
from gateway.streams.progress import Mark, Unsettled
from gateway.streams.registry import StreamRegistry
from gateway.streams.run import Origin
from gateway.streams.stream import Stream


class MemoryStreamStore:
    """Gives what the streams' own histories hold. Nothing outlives the process, so nothing is ever appended."""

    durable = False
    waiting_bytes = 0

    def restore(self, streams: StreamRegistry, transfers: TransferNumbers, producers: Producers) -> None:
        """See the port: there is nothing."""

    def unsettled(self, stream: Stream) -> Unsettled:
        """See :meth:`append`."""
        raise AssertionError(f"{stream.name} is not durable here")

    def advance(self, stream: Stream, client_id: ClientId, mark: Mark | None) -> None:
        """See :meth:`append`."""
        raise AssertionError(f"{stream.name} is not durable here")

    def append(
        self, stream: Stream, entry: Entry, done: Callable[[Exception | None], object], origin: Origin | None = None
    ) -> None:
        """See the port; the registry refuses durable streams where the store is not."""
        raise AssertionError(f"{stream.name} is not durable here")

    def stage(self, message: LargeMessage, index: int) -> None:
        """See :meth:`append`."""
        raise AssertionError(f"{message.source.name} is not durable here")

    def discard(self, message: LargeMessage) -> None:
        """See :meth:`append`."""
        raise AssertionError(f"{message.source.name} is not durable here")

    def close(self) -> None:
        """See the port: nothing is open."""

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
