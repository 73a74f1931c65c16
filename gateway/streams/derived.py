"""Derived stream: a view as a stream with a number of its own, and its parent's name, kind, epoch and offsets.

Specified in section 4.5.
"""

from __future__ import annotations

from gateway.ids import StreamId
from gateway.protocol.views import View
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run
from gateway.streams.stream import Stream


class DerivedStream(Stream):
    """Stream of the messages that a view makes of its parent's; not in a registry, and without a history of its own.

    Args:
        stream_id: number of the derived stream.
        parent: the stream that is viewed.
        view: the selection and conversion.
        next_offset: offset of the first message of the parent that the view gets.
    """

    __slots__ = ("parent", "view")

    def __init__(self, stream_id: StreamId, parent: Stream, view: View, next_offset: int) -> None:
        super().__init__(stream_id, parent.name, parent.kind, parent.epoch, parent.config)
        # The parent's schema does not describe the view's messages.
        self.schema = None
        self.parent = parent
        self.view = view
        self.next_offset = next_offset

    @property
    def first_offset(self) -> int:
        """Offset of the oldest message of the parent that can be read, and so viewed, again."""
        return self.parent.first_offset

    def count_conflated(self, count: int, *, by_client: bool = False) -> None:
        """Count versions among those of the parent."""
        self.parent.count_conflated(count, by_client=by_client)

    def count_dropped(self, count: int) -> None:
        """Count messages among those of the parent."""
        self.parent.count_dropped(count)

    def append_run(self, run: Run) -> None:
        """Count in messages with the parent's offsets, which may skip some."""
        self.next_offset = run.first
        super().append_run(run)

    def append_large(self, message: LargeMessage) -> None:
        """Count in a large message with the parent's offset."""
        assert message.offset is not None
        self.next_offset = message.offset
        super().append_large(message)
