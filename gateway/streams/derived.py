"""A view as a stream of its own (spec section 4.5): another number, the parent's name, kind, epoch and offsets."""

from __future__ import annotations

from gateway.ids import StreamId
from gateway.protocol.views import View
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run
from gateway.streams.stream import Stream


class DerivedStream(Stream):
    """What a view shows of a stream. It is in no registry, and keeps no past of its own: it is made from the parent's.

    Args:
        stream_id: its own.
        parent: the stream.
        view: what is shown of it.
        next_offset: from here on it gets the parent's messages.
    """

    __slots__ = ("parent", "view")

    def __init__(self, stream_id: StreamId, parent: Stream, view: View, next_offset: int) -> None:
        super().__init__(stream_id, parent.name, parent.kind, parent.epoch, parent.config)
        # What is declared of the parent is not what the view shows.
        self.schema = None
        self.parent = parent
        self.view = view
        self.next_offset = next_offset

    @property
    def first_offset(self) -> int:
        """The oldest message of the parent that can be read, and so be viewed, again."""
        return self.parent.first_offset

    def append_run(self, run: Run) -> None:
        """Count in messages with offsets of the parent's, which may jump over some."""
        self.next_offset = run.first
        super().append_run(run)

    def append_large(self, message: LargeMessage) -> None:
        """Count in a large message, whose offset is the parent's."""
        assert message.offset is not None
        self.next_offset = message.offset
        super().append_large(message)
