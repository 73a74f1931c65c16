"""The newest message of a ``state`` stream, cut into the pieces in which the gateway holds it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.connections.fanout.recode import frame_of, last_record
from gateway.errors import Code, RequestRefused
from gateway.protocol.encoding import PLAIN
from gateway.protocol.meta import parse_meta
from gateway.protocol.tensors import TensorSpec, payload_layout
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes ``start`` to ``stop`` of a piece, counted in the decoded piece."""

    piece: StoredChunk
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class NewestMessage:
    """A message and its payload.

    Attributes:
        pieces: the payload, each piece encoded on its own, as the gateway holds it: nothing is copied.
        piece_bytes: decoded size of every piece but the last.
    """

    offset: int
    specs: tuple[TensorSpec, ...]
    pieces: Sequence[StoredChunk]
    piece_bytes: int

    @classmethod
    def of(cls, newest: Run | LargeMessage) -> NewestMessage:
        """Look at what a stream keeps. For a run, whose frames may be encoded, work for a thread.

        Raises:
            RequestRefused: ``CORRUPT_PAYLOAD``.
        """
        if isinstance(newest, LargeMessage):
            decoded = newest.variants.get(PLAIN, ())
            pieces = decoded if len(decoded) == len(newest.chunks) else newest.chunks
            return cls(newest.offset or 0, parse_meta(newest.meta).specs, pieces, newest.plan.chunk_bytes)
        run = last_record(newest)
        # A frame in two buffers is joined here: at most max_frame_bytes, and of what is larger nothing is.
        frame = frame_of(run)
        meta = parse_meta(frame.meta)
        return cls(run.last, meta.specs, (StoredChunk(frame.encoding, frame.payload),), max(1, meta.payload_bytes))

    def index_of(self, name: str | None) -> int:
        """Which tensor ``name`` means; without a name the only one.

        Raises:
            RequestRefused: ``INVALID_TENSOR``, the message has none; ``INVALID_REQUEST``, it has no such one, or
                several to choose from.
        """
        names = [spec.name for spec in self.specs]
        if not names:
            raise RequestRefused(Code.INVALID_TENSOR, f"message {self.offset} has no tensor, only headers")
        if name is None and len(names) == 1:
            return 0
        if name is None or name not in names:
            problem = "say which by ?tensor=" if name is None else f"none is named {name[:80]!r}"
            raise RequestRefused(
                Code.INVALID_REQUEST, f"message {self.offset} has the tensors {', '.join(map(repr, names))}: {problem}"
            )
        return names.index(name)

    def parts_of(self, index: int) -> Iterator[Part]:
        """The parts of the payload that make up one tensor, in order."""
        offsets, _ = payload_layout(self.specs)
        at = offsets[index]
        end = at + self.specs[index].nbytes
        while at < end:
            number, start = divmod(at, self.piece_bytes)
            stop = min(self.piece_bytes, start + end - at)
            yield Part(self.pieces[number], start, stop)
            at += stop - start
