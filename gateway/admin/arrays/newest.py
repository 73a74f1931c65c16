"""Newest message of a ``state`` stream, in the pieces in which the gateway holds it."""

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
class PieceSlice:
    """Part of a piece: bytes ``start`` to ``stop`` of its decoded payload."""

    piece: StoredChunk
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class NewestMessage:
    """Newest message of a stream, with its payload."""

    offset: int
    specs: tuple[TensorSpec, ...]
    pieces: Sequence[StoredChunk]
    """Payload, each piece encoded on its own, as the gateway holds it: nothing is copied."""
    piece_bytes: int
    """Decoded size of every piece but the last."""

    @classmethod
    def of(cls, newest: Run | LargeMessage) -> NewestMessage:
        """Parse the newest entry of a stream. A large run is to be parsed in a thread: its frames may be encoded.

        Raises:
            RequestRefused: ``CORRUPT_PAYLOAD``.
        """
        if isinstance(newest, LargeMessage):
            decoded = newest.variants.get(PLAIN, ())
            pieces = decoded if len(decoded) == len(newest.chunks) else newest.chunks
            return cls(newest.offset or 0, parse_meta(newest.meta).specs, pieces, newest.plan.chunk_bytes)
        run = last_record(newest)
        # A frame in two buffers is joined here. The copy has at most max_frame_bytes: a larger message is in chunks.
        frame = frame_of(run)
        meta = parse_meta(frame.meta)
        return cls(run.last, meta.specs, (StoredChunk(frame.encoding, frame.payload),), max(1, meta.payload_bytes))

    def index_of(self, name: str | None) -> int:
        """Return the index of the tensor ``name``, or of the only tensor if ``name`` is ``None``.

        Raises:
            RequestRefused: ``INVALID_TENSOR``: the message has no tensor; ``INVALID_REQUEST``: it has none of this
                name, or several and no name was given.
        """
        names = [spec.name for spec in self.specs]
        if not names:
            raise RequestRefused(Code.INVALID_TENSOR, f"message {self.offset} has no tensor, only headers")
        if name is None and len(names) == 1:
            return 0
        if name is None or name not in names:
            problem = "choose one by ?tensor=NAME" if name is None else f"none is named {name[:80]!r}"
            raise RequestRefused(
                Code.INVALID_REQUEST, f"message {self.offset} has the tensors {', '.join(map(repr, names))}: {problem}"
            )
        return names.index(name)

    def parts_of(self, index: int) -> Iterator[PieceSlice]:
        """Yield the parts of the payload that make up one tensor, in order."""
        offsets, _ = payload_layout(self.specs)
        at = offsets[index]
        end = at + self.specs[index].nbytes
        while at < end:
            number, start = divmod(at, self.piece_bytes)
            stop = min(self.piece_bytes, start + end - at)
            yield PieceSlice(self.pieces[number], start, stop)
            at += stop - start
