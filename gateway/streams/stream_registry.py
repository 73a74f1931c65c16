"""Stream registry: all streams of a gateway, by name."""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection, Iterator, Sequence
from itertools import islice

from gateway.errors import Code, RequestRefused
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.messages import EndReason, Kind
from gateway.protocol.mismatch import durability_mismatch, kind_mismatch
from gateway.protocol.names import Pattern, is_dead_letter_name, workflow_of
from gateway.shrinking import Shrinking
from gateway.streams.expansion import Expansion
from gateway.streams.history import KEEP_ALL, Entry, History, HistoryBudget
from gateway.streams.rules import DEFAULT_HISTORY, StreamConfig, StreamRules
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

HISTORY_TOTAL_BYTES = 1024 * 1024 * 1024
"""Default bound on the bytes that the histories of all streams hold together."""


class StreamRegistry:
    """Registry that creates a stream when it is opened first, and finds it afterwards.

    Args:
        max_streams: bound on the number of streams; those of dead letters do not count: they are never refused.
        rules: configuration of streams.
        history_total_bytes: bound on the bytes that their histories hold together.
        durable: whether there is a store for streams that outlive the process.
        max_expanded_bytes: bound on the expansion of the newest versions of states.

    Attributes:
        expansion: bytes by which these versions are larger decoded than as they were published.
        budget: bound and sum of the bytes that their histories hold.
        dead_letters: sum of the bytes that the histories of dead letters hold; nothing is dropped for its bound.
    """

    def __init__(
        self,
        max_streams: int,
        rules: StreamRules | None = None,
        history_total_bytes: int = HISTORY_TOTAL_BYTES,
        *,
        durable: bool = False,
        max_expanded_bytes: int = sys.maxsize,
    ) -> None:
        self._max_streams = max_streams
        self.expansion = Expansion(max_expanded_bytes)
        self._durable = durable
        self._rules = rules or StreamRules()
        self.budget = HistoryBudget(history_total_bytes)
        self.dead_letters = HistoryBudget(sys.maxsize)
        self._dead_letter_streams = 0
        self._by_name: dict[StreamName, Stream] = {}
        self._by_workflow: dict[str, dict[Stream, None]] = {}
        """Streams in the order of their numbers, as in each workflow."""
        self._shrinking = Shrinking(self._by_name, self._by_workflow, inner=self._by_workflow)
        self._last_id = 0
        self._last_ended_epoch = 0
        self._ended = 0
        """Number of streams that have ended."""

    def __len__(self) -> int:
        return len(self._by_name)

    def __iter__(self) -> Iterator[Stream]:
        return iter(self._by_name.values())

    def has_room_for(self, name: StreamName) -> bool:
        """Return whether a stream of that name may be made without another one making room.

        Streams of dead letters are counted apart from all others.
        """
        dead = self._dead_letter_streams
        return (dead if is_dead_letter_name(name) else len(self._by_name) - dead) < self._max_streams

    def get(self, name: StreamName) -> Stream | None:
        """Return the stream of that name, if it exists."""
        return self._by_name.get(name)

    def open(
        self, name: StreamName, kind: Kind | None, now_ns: int, durability: Durability | None = None
    ) -> tuple[Stream, bool]:
        """Return the stream of that name, and whether this call has created it.

        Args:
            name: a checked stream name.
            kind: kind that the caller expects; ``None``: any; a new stream gets the configured one, or ``state``.
            now_ns: Unix time; a new stream's epoch is taken from it.
            durability: durability that the caller expects; ``None``: any; a new stream gets the configured one, or
                ``memory``.

        Raises:
            RequestRefused: ``KIND_MISMATCH``, ``DURABILITY_MISMATCH``, or ``LIMIT_EXCEEDED`` for one stream too many.
        """
        stream = self._by_name.get(name)
        if stream is not None:
            stream.check(kind, durability)
            return stream, False
        if not self.has_room_for(name) and not is_dead_letter_name(name):
            problem = f"cannot create stream {name}: the gateway has max_streams={self._max_streams} already"
            raise RequestRefused(
                Code.LIMIT_EXCEEDED, f"{problem}, and none that is empty and unused: delete some, or raise it"
            )
        # Milliseconds stay below 2**53 until the year 287396, and no two incarnations start within one.
        epoch = Epoch(max(now_ns // 1_000_000, self._last_ended_epoch + 1))
        config = self._rules.of(name)
        kind = self._kind_of(name, kind, config.kind)
        durability = self._durability_of(name, durability, config.durability)
        history = self._new_history(name, kind, config, durability)
        stream = Stream(self.next_id(), name, kind, epoch, config, history, durability)
        self._add(stream)
        return stream, True

    def matching(self, pattern: Pattern) -> list[Stream]:
        """Return the streams whose names match; looks at each of :meth:`candidates`."""
        return [stream for stream in self.candidates(pattern) if pattern.matches(stream.name)]

    def candidates(self, pattern: Pattern) -> Sequence[Stream]:
        """Return streams, of which some may not match, but all others do not: those of the workflow that it names."""
        if pattern.is_literal:
            stream = self._by_name.get(StreamName(pattern.text))
            return () if stream is None else (stream,)
        return list(self._of(workflow_of(pattern.text)))

    def candidate_count(self, pattern: Pattern) -> int:
        """Return the number of :meth:`candidates`, without a look at any of them."""
        if pattern.is_literal:
            return int(pattern.text in self._by_name)
        return len(self._of(workflow_of(pattern.text)))

    def count_in(self, workflow: str) -> int:
        """Return the number of streams of a workflow."""
        return len(self._by_workflow.get(workflow, ()))

    def pieces(self, pattern: Pattern, size: int) -> Iterator[list[Stream]]:
        """Yield the streams of :meth:`candidates` in pieces, also while streams come and go between two pieces.

        The piece alone is copied. A stream that is opened after the call is left out, and one that ends after its
        piece has been taken is the caller's concern.

        Args:
            pattern: the pattern.
            size: number of streams that are looked at for one piece.
        """
        if pattern.is_literal:
            return iter([list(self.candidates(pattern))])
        return self._pieces(workflow_of(pattern.text), size, self._last_id, self._ended)

    def _pieces(self, workflow: str, size: int, newest_id: int, ended: int) -> Iterator[list[Stream]]:
        taken_id = at = 0
        remaining, version = iter(self._of(workflow)), (newest_id, ended)
        while True:
            if version != (self._last_id, self._ended):
                # Some of the streams that have ended were taken before: the next one has moved forward by their number.
                streams, gone = self._of(workflow), self._ended - ended
                at = max(0, at - gone)
                at += sum([stream.id <= taken_id for stream in islice(streams, at, at + gone)])
                ended = self._ended
                remaining, version = islice(streams, at, None), (self._last_id, ended)
            looked_at = list(islice(remaining, size))
            piece = [stream for stream in looked_at if stream.id <= newest_id]
            at += len(piece)
            if piece:
                taken_id = piece[-1].id
                yield piece
            if len(piece) < size:
                return

    def _of(self, workflow: str) -> Collection[Stream]:
        """Return the streams of a workflow that a pattern names, in the order of their numbers."""
        return self._by_name.values() if "*" in workflow else self._by_workflow.get(workflow, {}).keys()

    def restore(
        self,
        stream_id: StreamId,
        name: StreamName,
        kind: Kind,
        durability: Durability,
        epoch: Epoch,
        next_offset: int,
    ) -> Stream:
        """Add a stream that a store has kept; called before any stream is opened, and in the order of their numbers.

        The stream keeps its kind and durability, whatever is configured now; the configured history applies.

        Args:
            stream_id: its number.
            name: its name.
            kind: its kind.
            durability: its durability.
            epoch: its epoch.
            next_offset: offset behind its last message.
        """
        config = self._rules.of(name)
        if config.kind not in (None, kind) or config.durability not in (None, durability):
            logger.warning(
                "stream %s is stored as %s, %s: its configured kind and durability are ignored", name, kind, durability
            )
        history = self._new_history(name, kind, config, durability, next_offset)
        stream = Stream(stream_id, name, kind, epoch, config, history, durability)
        self._add(stream)
        self._last_id = max(self._last_id, stream_id)
        return stream

    def end(self, stream: Stream, reason: EndReason) -> list[Entry | None]:
        """End a stream and forget it; the next one of its name has another epoch, and begins at offset 0.

        Returns:
            The entries of its history. They may be many: let go of them bit by bit.
        """
        del self._by_name[stream.name]
        workflow = workflow_of(stream.name)
        del self._by_workflow[workflow][stream]
        if not self._by_workflow[workflow]:
            del self._by_workflow[workflow]
        self._dead_letter_streams -= is_dead_letter_name(stream.name)
        self._last_ended_epoch = max(self._last_ended_epoch, stream.epoch)
        self._ended += 1
        self._shrinking.note()
        stream.end(reason)
        self.expansion.forget(stream)
        return stream.history.close()

    def restore_ended(self, last_id: int, last_epoch: int) -> None:
        """Have no number and no epoch of streams used again that had ended before the gateway was started.

        Args:
            last_id: highest number of these streams.
            last_epoch: highest epoch of these streams.
        """
        self._last_id = max(self._last_id, last_id)
        self._last_ended_epoch = max(self._last_ended_epoch, last_epoch)

    def next_id(self) -> StreamId:
        """Return a new number for a stream or a view, which is never used again."""
        self._last_id += 1
        return StreamId(self._last_id)

    def _add(self, stream: Stream) -> None:
        self._by_name[stream.name] = stream
        self._by_workflow.setdefault(workflow_of(stream.name), {})[stream] = None

    def _new_history(
        self, name: StreamName, kind: Kind, config: StreamConfig, durability: Durability, next_offset: int = 0
    ) -> History:
        limits = config.history_of(kind)
        if not is_dead_letter_name(name):
            return History(limits, self.budget, next_offset)
        self._dead_letter_streams += 1
        if durability is Durability.MEMORY:
            return History(limits, self.dead_letters, next_offset)
        # The store has them all: memory needs to hold the newest only.
        return History(DEFAULT_HISTORY if limits is KEEP_ALL else limits, self.budget, next_offset)

    def _kind_of(self, name: StreamName, asked: Kind | None, configured: Kind | None) -> Kind:
        if configured is not None and asked is not None and asked is not configured:
            raise kind_mismatch(name, configured, asked, configured=True)
        return configured or asked or Kind.STATE

    def _durability_of(self, name: StreamName, asked: Durability | None, configured: Durability | None) -> Durability:
        if configured is not None and asked is not None and asked is not configured:
            raise durability_mismatch(name, configured, asked, configured=True)
        durability = configured or asked or Durability.MEMORY
        if durability is not Durability.MEMORY and not self._durable:
            message = f"stream {name} cannot have durability {durability.value}: the gateway keeps streams in memory"
            raise RequestRefused(Code.DURABILITY_MISMATCH, f"{message}; start it with --store sqlite:PATH")
        return durability
