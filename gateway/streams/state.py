"""Versions of a ``state`` stream that came as patches, and how they become whole (spec section 5.4).

A patch is kept as it came, with the version that it changes, until somebody needs the state whole. Nothing that was
handed out ever changes: a version is made whole in a buffer of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple, Protocol

import numpy as np

from gateway.errors import Code, RequestRefused
from gateway.protocol.data import parse_data, write_data
from gateway.protocol.encoding import decode
from gateway.protocol.extensions import Extensions
from gateway.protocol.frames import iter_frames
from gateway.protocol.meta import parse_meta, write_meta
from gateway.protocol.regions import Region
from gateway.protocol.signals import Gap
from gateway.protocol.tensors import Array, TensorSpec, payload_layout
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import ALIGNMENT, BATCH_BLOCK, DATA_HEADER, Buffer, Opcode
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run, Source

logger = logging.getLogger(__name__)

Newest = Run | LargeMessage
"""The newest version of a state: whole, or a :class:`PatchRun` or :class:`LargePatch`."""

Write = Callable[[Newest], Run | Gap]
"""Makes one piece of a whole version, for a receiver that takes no chunks. Slow: called in a thread."""

CHANGE_BYTES: Final = 512
"""What a patch costs in memory beside its payload."""

MAX_CHANGES: Final = 4096
"""So many patches are kept at most before the state is made whole: by then it takes some 10 ms."""


class Change(NamedTuple):
    """What a patch replaces, and by what."""

    tensor: int
    """Which one of the state."""
    region: Region
    pieces: Sequence[StoredChunk]
    """Its payload as published: one piece, or chunks."""

    def apply(self, specs: Sequence[TensorSpec], payload: Array) -> None:
        """Replace the region.

        Args:
            specs: of the state.
            payload: of the state, writable, uint8 of shape ``(payload_bytes,)``.

        Raises:
            RequestRefused: ``CORRUPT_PAYLOAD``; the state is as it was.
        """
        spec = specs[self.tensor]
        data = _joined(self.pieces)
        state: Array = np.ndarray(spec.shape, spec.dtype, payload.data, payload_layout(specs)[0][self.tensor])
        self.region.selects(state)[...] = np.ndarray(self.region.shape, spec.dtype, data)


class Merger(Protocol):
    """Makes versions whole, in threads where that takes long."""

    def keyframe(self, patch: Patch, write: Write | None, then: Callable[[], object]) -> Newest | Gap | None:
        """The version whole; ``None`` if that takes a while: then ``then`` is called when it is worth asking again.

        Args:
            patch: the version.
            write: of a receiver that takes no chunks.
            then: called on the loop's thread.
        """


class Patch:
    """What a message that is a patch makes of the version before it.

    Attributes:
        source: the stream.
        offset: of the version.
        change: what it changes.
        specs: of the state, which a patch does not alter.
        payload_bytes: of the state.
        waiting_bytes: what is kept to make the version whole, beside the last one that is, or is being made so.
        waiting_changes: how many patches that is.
        keyframe: the state with this patch, once it was needed; a gap if it cannot be made.
        text: the same in one piece, for receivers that take no chunks.
    """

    __slots__ = (
        "_before",
        "_chunk_bytes",
        "_headers",
        "_merger",
        "_payload",
        "_publisher",
        "_timestamp_ns",
        "change",
        "keyframe",
        "offset",
        "payload_bytes",
        "source",
        "specs",
        "text",
        "waiting_bytes",
        "waiting_changes",
    )

    def __init__(
        self,
        before: Newest,
        offset: int,
        change: Change,
        *,
        headers: bytes,
        publisher: int,
        timestamp_ns: int,
        merger: Merger,
    ) -> None:
        """
        Args:
            before: the newest version; its specs fit the change.
            offset: of this one.
            change: what is changed.
            headers: of the message, as they stand at the end of its meta block.
            publisher: the sender's peer.
            timestamp_ns: the publisher's.
            merger: makes it whole.
        """
        earlier = patch_of(before)
        self.source: Source = before.source
        self.offset = offset
        self.change = change
        self.specs = specs_of(before)
        self.payload_bytes = payload_layout(self.specs)[1]
        self.waiting_bytes = CHANGE_BYTES + sum([len(piece.data) for piece in change.pieces])
        self.waiting_changes = 1
        self.keyframe: Newest | Gap | None = None
        self.text: Run | Gap | None = None
        self._before: Newest | None = before
        self._headers = headers
        self._publisher = publisher
        self._timestamp_ns = timestamp_ns
        self._merger = merger
        self._payload: memoryview | None = None
        self._chunk_bytes: int | None = None
        if earlier is not None:
            self.waiting_bytes += earlier.waiting_bytes
            self.waiting_changes += earlier.waiting_changes
            self._chunk_bytes = earlier._chunk_bytes
        elif isinstance(before, LargeMessage):
            self._chunk_bytes = before.plan.chunk_bytes

    @property
    def due(self) -> bool:
        """Whether it is time to make the state whole, asked for or not: what is kept for that gets too much."""
        return self.waiting_bytes > self.payload_bytes or self.waiting_changes >= MAX_CHANGES

    @property
    def broken(self) -> bool:
        """Whether the state cannot be made whole: what was last published whole does not decode."""
        return isinstance(self.keyframe, Gap)

    def keyframe_for(self, write: Write | None, then: Callable[[], object]) -> Newest | Gap | None:
        """See :meth:`Merger.keyframe`."""
        return self._merger.keyframe(self, write, then)

    def merging(self) -> Callable[[], memoryview]:
        """The work of making the version's payload, for any thread; :meth:`settle` takes what comes of it.

        Returns:
            What gives the payload, read-only, in a buffer of its own. It raises ``RequestRefused(CORRUPT_PAYLOAD)`` if
            the last whole version does not decode; a patch that does not changes nothing.
        """
        # Collected here, on the loop's thread, where versions are settled.
        changes = [self.change]
        before = self._before
        while (earlier := patch_of(before)) is not None and earlier._payload is None:
            changes.append(earlier.change)
            before = earlier._before
        start = before if earlier is None else earlier._payload
        return partial(_merged, start, self.specs, tuple(reversed(changes)), f"{self.source.name} to {self.offset}")

    def expect(self) -> None:
        """The version is being made whole: what is published from now on waits for this one."""
        self.waiting_bytes = self.waiting_changes = 0

    def making(self) -> Callable[[], Newest]:
        """The work of making the version whole for whoever keeps it elsewhere, for any thread.

        Returns:
            What gives the version, without a number for its transfer. If the last whole version does not decode it has
            no tensors.
        """
        merging = self.merging()

        def work() -> Newest:
            try:
                return self._keyframe(merging(), 0)
            except RequestRefused as refusal:
                logger.warning("version %d of %s cannot be made whole: %s", self.offset, self.source.name, refusal)
                return self._as_run(write_meta(()), memoryview(b""))

        return work

    def settle(self, result: memoryview | BaseException, transfer: int) -> None:
        """The version's payload is there, or will not be.

        Args:
            result: what the work gave or raised.
            transfer: the gateway's number for the state, if it goes out in chunks.
        """
        if self._before is None:
            return
        self._before = None
        if isinstance(result, BaseException):
            logger.warning("version %d of %s cannot be made whole: %s", self.offset, self.source.name, result)
            self.keyframe = Gap(self.source.id, Code.CORRUPT_PAYLOAD, self.offset, self.offset)
            return
        self._payload = result
        self.keyframe = self._keyframe(result, transfer)

    @property
    def chunked(self) -> bool:
        """Whether the whole state goes out in chunks: it does if it was published so."""
        return self._chunk_bytes is not None

    def _keyframe(self, payload: memoryview, transfer: int) -> Newest:
        meta = write_meta(self.specs) + self._headers
        return self._as_run(meta, payload) if self._chunk_bytes is None else self._as_large(meta, payload, transfer)

    def _as_run(self, meta: bytes, payload: memoryview) -> Run:
        buffers = write_data(
            Opcode.MESSAGE,
            stream=self.source.id,
            publisher=self._publisher,
            offset=self.offset,
            timestamp_ns=self._timestamp_ns,
            meta=meta,
            payload=(payload,),
        )
        return Run.of_frame(self.source, self.offset, buffers)

    def _as_large(self, meta: bytes, payload: memoryview, transfer: int) -> LargeMessage:
        assert self._chunk_bytes is not None
        plan = ChunkPlan(transfer, self._chunk_bytes, len(payload))
        starts = range(0, len(payload), plan.chunk_bytes)
        return LargeMessage(
            self.source,
            Opcode.MESSAGE,
            self._publisher,
            self._timestamp_ns,
            0,
            meta,
            plan,
            offset=self.offset,
            end_timestamp_ns=self._timestamp_ns,
            chunks=[StoredChunk(None, payload[start : start + plan.chunk_bytes]) for start in starts],
        )


class PatchRun(Run):
    """A run of one message that is a patch."""

    __slots__ = ("patch",)

    def __init__(self, run: Run, patch: Patch) -> None:
        super().__init__(run.source, run.first, run.count, run.buffers, run.size, run.last_at, run.last_count)
        self.patch = patch

    def newest(self) -> Run:
        """Itself."""
        return self

    def unpinned(self) -> Run:
        """Itself: the next whole version, or the next patch to many, lets go of it."""
        return self


@dataclass(slots=True, eq=False, kw_only=True)
class LargePatch(LargeMessage):
    """Large message that is a patch."""

    region: Region
    """The region that it changes."""
    patch: Patch | None = None
    """The patch, once the message is complete."""

    def __post_init__(self) -> None:
        if self.extensions is None:
            self.extensions = Extensions(region=self.region.extents)


def patch_of(newest: Newest | None) -> Patch | None:
    """The patch that a version came as, if it did."""
    return newest.patch if isinstance(newest, PatchRun | LargePatch) else None


def specs_of(newest: Newest) -> tuple[TensorSpec, ...]:
    """The tensors of a version; of a record batch those of one record. Looks at descriptors only."""
    patch = patch_of(newest)
    if patch is not None:
        return patch.specs
    if isinstance(newest, LargeMessage):
        return parse_meta(newest.meta).specs
    head = memoryview(newest.buffers[0])[newest.last_at :]
    _, opcode, _, meta_units, *_ = DATA_HEADER.unpack_from(head)
    at = DATA_HEADER.size + (BATCH_BLOCK.size if opcode == Opcode.BATCH else 0)
    return parse_meta(head[at : at + ALIGNMENT * meta_units]).specs


def _merged(
    start: Newest | memoryview | None, specs: Sequence[TensorSpec], changes: Sequence[Change], what: str
) -> memoryview:
    if start is None:
        raise RequestRefused(Code.CORRUPT_PAYLOAD, "the version before it is not there")
    payload: Array = np.empty(payload_layout(specs)[1], np.uint8)
    if isinstance(start, memoryview):
        payload.data[:] = start
    else:
        _copy_payload(start, payload.data)
    for change in changes:
        try:
            change.apply(specs, payload)
        except RequestRefused as refusal:
            logger.warning("a patch of %s changes nothing: %s", what, refusal)
    return payload.data.toreadonly()


def _copy_payload(message: Newest, out: memoryview) -> None:
    """The decoded payload of a whole message; of a record batch that of its last record."""
    if isinstance(message, Run):
        data = message.joined()
        *_, last = iter_frames(data[message.last_at :])
        frame = parse_data(data[message.last_at :], last)
        payload = memoryview(_joined([StoredChunk(frame.encoding, frame.payload)]))
        out[:] = payload[len(payload) - len(out) :]
        return
    at = 0
    for chunk in message.chunks:
        piece = _joined([chunk])
        out[at : at + len(piece)] = piece
        at += len(piece)


def _joined(pieces: Sequence[StoredChunk]) -> Buffer:
    decoded = [piece.data if piece.encoding is None else decode(piece.encoding, piece.data) for piece in pieces]
    return decoded[0] if len(decoded) == 1 else b"".join(decoded)
