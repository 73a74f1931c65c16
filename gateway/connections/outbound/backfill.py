"""Backfill: messages that a receiver lacks, as a placeholder in its queue that is filled from history in its turn.

So the messages that a slow receiver misses cost no memory of their own, and a receiver that comes back is served like
one that was slow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from gateway.connections.outbound.delivery_accounts import DeliveryAccounts
from gateway.errors import Code
from gateway.protocol.messages import Error
from gateway.protocol.signals import Gap, Replay
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run, Source
from gateway.streams.view import Misfit

STEP_BYTES = 256 * 1024
"""Bytes that are read from history at a time: a few writes to the transport."""


class LargeForm(NamedTuple):
    """A large message, and its chunks in an encoding that the receiver can decode."""

    message: LargeMessage
    form: list[StoredChunk]


Found = Run | LargeForm | Gap
"""Part of the past as a receiver gets it; a gap stands for messages that this receiver cannot take."""

PastPart = Found | Misfit
"""Part of the past as it was read, of a view perhaps."""

Taken = Callable[[Sequence[PastPart]], object]
"""Callback that takes the parts that were read, in order."""


def counting(count: Callable[[int], object], taken: Taken) -> Taken:
    """Return a callback that has the messages of the parts counted first; gaps are none."""

    def found(parts: Sequence[PastPart]) -> None:
        count(sum([part.count if isinstance(part, Run) else isinstance(part, LargeForm) for part in parts]))
        taken(parts)

    return found


Read = Callable[[int, int, int, Taken], object]
"""Function that reads (first offset, last offset, about so many bytes) and calls back, at once or later."""


class BackfillReader(Protocol):
    """Connection as its backfills need it."""

    max_message_bytes: int
    """Payload of the largest message that the receiver takes."""
    accounts: DeliveryAccounts
    """Accounts, by which the subscriptions that receive a source are known."""

    def read_backfill(self, source: Source, first: int, last: int, max_bytes: int, taken: Taken) -> None:
        """Read messages from the history of a source, in encodings that the receiver can decode.

        Args:
            source: the stream.
            first: offset of the first message.
            last: offset of the last message.
            max_bytes: about so many bytes are read, at least one message.
            taken: called with the messages, with none if the source has no history.
        """

    def go_on(self, source: Source) -> None:
        """Send what can be sent, now that a part of a source has come for which its queue waits."""


@dataclass(slots=True, eq=False)
class Backfill:
    """The messages ``first .. last`` of a source, to be read from its history."""

    source: Source
    first: int
    last: int
    code: int
    """Reason why they were not sent when they were published; 0: the receiver asked for them."""
    replayed: int = 0
    """Messages that were found and not counted yet."""
    lost: int = 0
    """Messages that history did not have any more, or that the receiver cannot take, and that are not counted yet."""
    _misfit: bool = False
    """Whether the receiver was told that the view does not fit some of the messages."""
    _announced: bool = False
    _reading: bool = False
    _found: Sequence[PastPart] | None = None

    @property
    def requested(self) -> bool:
        """Whether the next part is being read, or is there."""
        return self._reading or self._found is not None

    @property
    def over(self) -> bool:
        """Whether everything was taken."""
        return self.first > self.last

    def take(self, reader: BackfillReader) -> list[Found | Replay | Error] | None:
        """Return the next part, to be sent in this order, and start to read if none is there.

        Returns:
            ``None`` while history is read; ``reader`` goes on when the part has come.
        """
        if not self.requested:
            self._read(reader)
        found, self._found = self._found, None
        return None if found is None else self._in_order(found, reader)

    def _read(self, reader: BackfillReader) -> None:
        at_once = self._reading = True

        def taken(found: Sequence[PastPart]) -> None:
            self._reading = False
            self._found = found
            if not at_once:
                reader.go_on(self.source)

        reader.read_backfill(self.source, self.first, self.last, STEP_BYTES, taken)
        at_once = False

    def _in_order(self, found: Sequence[PastPart], reader: BackfillReader) -> list[Found | Replay | Error]:
        parts: list[Found | Replay | Error] = []
        for entry in found:
            first, last = _offsets_of(entry)
            if first > self.first:
                parts.append(self._skip(first - 1))
            if isinstance(entry, Misfit):
                parts += self._refusals(entry, reader)
                entry = Gap(self.source.id, entry.refusal.code, self.first, min(last, self.last))
            elif isinstance(entry, LargeForm) and entry.message.plan.payload_bytes > reader.max_message_bytes:
                entry = Gap(self.source.id, Code.MESSAGE_TOO_BIG, first, last)
            if isinstance(entry, Gap):
                self.lost += entry.last - entry.first + 1
            else:
                if not self._announced:
                    self._announced = True
                    parts.append(Replay(self.source.id, self.code, self.first, self.last))
                # A record batch may reach over both ends: records that the receiver has already are not replayed.
                self.replayed += min(last, self.last) - self.first + 1
            parts.append(entry)
            self.first = last + 1
        if not found:
            parts.append(self._skip(self.last))
        return parts

    def _refusals(self, misfit: Misfit, reader: BackfillReader) -> list[Error]:
        """Return the errors that tell each subscription that the view does not fit: once, as there may be very many."""
        if self._misfit:
            return []
        self._misfit = True
        numbers = sorted(reader.accounts.subscriptions_of(self.source.id))
        return [Error.of(misfit.refusal, subscription=number, stream=self.source.name) for number in numbers]

    def _skip(self, last: int) -> Gap:
        """Return the gap for the messages up to ``last``, which history has lost."""
        gap = Gap(self.source.id, self.code or Code.HISTORY_LOST, self.first, last)
        self.lost += last - self.first + 1
        self.first = last + 1
        return gap


def _offsets_of(entry: PastPart) -> tuple[int, int]:
    if isinstance(entry, LargeForm):
        offset = entry.message.offset or 0
        return offset, offset
    return entry.first, entry.last
