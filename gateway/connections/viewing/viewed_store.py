"""Past of views: read from that of their streams, and computed again."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.connections.ports import PastReader
from gateway.connections.viewing.context import ViewContext
from gateway.connections.viewing.derivation import large_of
from gateway.streams.derived import DerivedStream
from gateway.streams.history import Entry
from gateway.streams.stream import Stream
from gateway.streams.view import Misfit, Shown, ShownLarge, ViewedEntriesRead, ViewPart, show


class ViewedStore:
    """The :class:`~gateway.connections.fanout.history_reader.ViewedPastReader` that shows the past of streams.

    Args:
        store: reads the past of streams.
        context: shared by all views.
    """

    def __init__(self, store: PastReader, context: ViewContext) -> None:
        self._store = store
        self._context = context

    def read(self, stream: Stream, first: int, last: int, max_bytes: int, done: ViewedEntriesRead) -> None:
        """Read as :meth:`~gateway.connections.ports.PastReader.read` does; of a view ``done`` is called later."""
        if not isinstance(stream, DerivedStream):
            self._store.read(stream, first, last, max_bytes, done)
            return

        def found(entries: Sequence[Entry] | Exception) -> None:
            if isinstance(entries, Exception) or not entries:
                done(entries)
                return

            def work() -> list[ViewPart]:
                return [part for entry in entries for part in show(stream.view, entry, stream, self._context.limits)]

            self._context.workers.submit(work, shown)

        def shown(parts: list[ViewPart] | BaseException) -> None:
            if isinstance(parts, Exception):
                done(parts)
            elif isinstance(parts, list):
                done([self._entry_of(stream, part) for part in parts])

        self._store.read(stream.parent, first, last, max_bytes, found)

    def _entry_of(self, source: DerivedStream, part: ViewPart) -> Entry | Misfit:
        if isinstance(part, Shown):
            return part.run
        return large_of(source, part, self._context) if isinstance(part, ShownLarge) else part
