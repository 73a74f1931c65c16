"""Publish counts: what each connection has published to streams since the last look, read from counters.

No message is looked at: aliases count their sequences, and streams their offsets and bytes, in any case.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.connections.sessions.session import AliasBinding


class Published(NamedTuple):
    """Messages that a connection has published to one alias."""

    messages: float
    nbytes: float
    """Bytes of these messages; of a stream that several publish to, by their shares of the messages."""


Counters = tuple[int, int, int]
"""Next sequence of an alias, next offset of its stream, bytes that were published to the stream."""

NOTHING = Published(0, 0)


class PublishCounts:
    """Counters of all aliases, as they were when they were last looked at.

    To be looked at in rounds: :meth:`begin`, and :meth:`take` for each alias. An alias that was not looked at in a
    round is forgotten.
    """

    def __init__(self) -> None:
        self._before: dict[AliasBinding, Counters] = {}
        self._now: dict[AliasBinding, Counters] = {}

    def __len__(self) -> int:
        """Return the number of aliases that were looked at in the last round."""
        return len(self._now)

    def begin(self) -> None:
        """Begin a round."""
        self._before, self._now = self._now, {}

    def take(self, binding: AliasBinding) -> Published:
        """Return what was published to an alias since the last round, or else since it was opened."""
        stream = binding.stream
        if stream is None:
            return NOTHING
        # Until the first look those that the collaboration graph keeps: of the OPEN, or of its own last look.
        before = self._before.get(binding, binding.counted)
        sequence, offset, nbytes = before
        published = stream.next_offset - offset
        if binding.next_sequence == sequence or published <= 0:
            # A message may be refused, or on its way: it counts once others have been published, or it has come.
            self._now[binding] = before
            return NOTHING
        self._now[binding] = binding.next_sequence, stream.next_offset, stream.published_bytes
        messages = min(binding.next_sequence - sequence, published)
        return Published(messages, (stream.published_bytes - nbytes) * messages / published)
