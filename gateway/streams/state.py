"""Patches of a ``state`` stream, and how their keyframes are made (spec section 5.4).

A patch is kept as received, with the version that it changes, until a receiver needs a keyframe of the result. Buffers
that were passed on never change: a keyframe is made in a buffer of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from gateway.errors import Code, RequestRefused
from gateway.protocol.codecs import compressor_of, filter_of, is_compressor
from gateway.protocol.data import parse_data, write_data
from gateway.protocol.encoding import Encoding, decode, parse_encoding
from gateway.protocol.extensions import Extensions, block_bytes
from gateway.protocol.frames import iter_frames
from gateway.protocol.meta import parse_meta, write_meta
from gateway.protocol.regions import Region
from gateway.protocol.signals import Gap
from gateway.protocol.tensors import Array, TensorSpec, payload_layout
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import (
    ALIGNMENT,
    BATCH_BLOCK,
    DATA_HEADER,
    ENCODING_BLOCK,
    FLAG_ENCODED,
    FLAG_EXTENDED,
    Buffer,
    Opcode,
)
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run, Source

logger = logging.getLogger(__name__)

Newest = Run | LargeMessage
"""Newest version of a state: a keyframe, a :class:`PatchRun` or a :class:`LargePatch`."""

CHANGE_BYTES: Final = 512
"""Memory that a patch takes beside its payload."""

MAX_CHANGES: Final = 4096
"""Patches that are kept before a keyframe is made: merging so many takes some 10 ms."""


class PublishedEncoding(NamedTuple):
    """Encoding of a version by its publisher."""

    chain: str
    """Filters and codec by name, in order."""
    ratio: float
    """Size published over size decoded."""


class RegionChange(NamedTuple):
    """Region that a patch replaces, and its new content."""

    tensor: int
    """Index of the tensor in the state."""
    region: Region
    pieces: Sequence[StoredChunk]
    """The patch's payload as published: one piece, or chunks."""

    def apply(self, specs: Sequence[TensorSpec], payload: Array) -> None:
        """Replace the region.

        Args:
            specs: tensors of the state.
            payload: payload of the state, writable, uint8 of shape ``(payload_bytes,)``.

        Raises:
            RequestRefused: ``CORRUPT_PAYLOAD``; the state is as it was.
        """
        spec = specs[self.tensor]
        data = _joined(self.pieces)
        state: Array = np.ndarray(spec.shape, spec.dtype, payload.data, payload_layout(specs)[0][self.tensor])
        self.region.selects(state)[...] = np.ndarray(self.region.shape, spec.dtype, data)


class Patch:
    """Version of a state that was published as a patch of the version before it.

    Attributes:
        source: the stream.
        offset: of the version.
        change: the region that it changes.
        specs: tensors of the state, which a patch does not alter.
        payload_bytes: size of the state.
        waiting_bytes: bytes of the patches that are kept since the last keyframe that was, or is being, made.
        waiting_changes: number of these patches.
        keyframe: the state with this patch, once it was needed; a gap if it cannot be made.
        text: the keyframe in one piece, for receivers that take no chunks.
    """

    __slots__ = (
        "_before",
        "_chunk_bytes",
        "_headers",
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
        change: RegionChange,
        *,
        headers: bytes,
        publisher: int,
        timestamp_ns: int,
    ) -> None:
        """
        Args:
            before: the newest version; its tensors fit the change.
            offset: of this version.
            change: region and new content.
            headers: of the message, as they stand at the end of its meta block.
            publisher: the sender's peer.
            timestamp_ns: the publisher's.
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
        """True if a keyframe is to be made, needed or not, because the patches that are kept take too much."""
        return self.waiting_bytes > self.payload_bytes or self.waiting_changes >= MAX_CHANGES

    @property
    def broken(self) -> bool:
        """True if no keyframe can be made: the last one that was published does not decode."""
        return isinstance(self.keyframe, Gap)

    def merging(self) -> Callable[[], memoryview]:
        """Return a function for any thread that merges the version's payload; :meth:`settle` takes its result.

        Returns:
            a function that returns the payload, read-only, in a buffer of its own. It raises
            ``RequestRefused(CORRUPT_PAYLOAD)`` if the last keyframe does not decode; a patch that does not decode
            changes nothing.
        """
        # The changes are collected on the loop's thread, where versions are settled.
        changes = [self.change]
        before = self._before
        while (earlier := patch_of(before)) is not None and earlier._payload is None:
            changes.append(earlier.change)
            before = earlier._before
        start = before if earlier is None else earlier._payload
        return partial(_merged, start, self.specs, tuple(reversed(changes)), self.source.name, self.offset)

    def expect(self) -> None:
        """Note that the keyframe is being made: the patches from now on are counted from this version."""
        self.waiting_bytes = self.waiting_changes = 0

    def making(self) -> Callable[[], Newest]:
        """Return a function for any thread that makes the keyframe for a store.

        Returns:
            a function that returns the keyframe, without a number for its transfer. If the last keyframe that was
            published does not decode, the result has no tensors.
        """
        merging = self.merging()

        def work() -> Newest:
            try:
                return self._keyframe(merging(), 0)
            except RequestRefused as refusal:
                logger.warning(
                    "no keyframe of version %d of %s can be made: %s", self.offset, self.source.name, refusal
                )
                return self._as_run(write_meta(()), memoryview(b""))

        return work

    def settle(self, result: memoryview | BaseException, transfer: int) -> None:
        """Make the keyframe of the merged payload.

        Args:
            result: result or exception of the function from :meth:`merging`.
            transfer: the gateway's number for the keyframe, if it goes out in chunks.
        """
        if self._before is None:
            return
        self._before = None
        if isinstance(result, BaseException):
            logger.warning("no keyframe of version %d of %s can be made: %s", self.offset, self.source.name, result)
            self.keyframe = Gap(self.source.id, Code.CORRUPT_PAYLOAD, self.offset, self.offset)
            return
        self._payload = result
        self.keyframe = self._keyframe(result, transfer)

    @property
    def chunked(self) -> bool:
        """True if the keyframe goes out in chunks, because the state was published in chunks."""
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
    """Run of one message that is a patch."""

    __slots__ = ("patch",)

    def __init__(self, run: Run, patch: Patch) -> None:
        super().__init__(run.source, run.first, run.count, run.buffers, run.size, run.last_at, run.last_count)
        self.patch = patch

    def newest(self) -> Run:
        """Return the run itself."""
        return self

    def unpinned(self) -> Run:
        """Return the run itself: it is released with the next keyframe, at the latest after :data:`MAX_CHANGES`."""
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
    """Return the patch that a version was published as, if it was."""
    return newest.patch if isinstance(newest, PatchRun | LargePatch) else None


def specs_of(newest: Newest) -> tuple[TensorSpec, ...]:
    """Return the tensors of a version, of a record batch those of one record; reads descriptors only."""
    patch = patch_of(newest)
    if patch is not None:
        return patch.specs
    if isinstance(newest, LargeMessage):
        return parse_meta(newest.meta).specs
    head = memoryview(newest.buffers[0])[newest.last_at :]
    _, opcode, _, meta_units, *_ = DATA_HEADER.unpack_from(head)
    at = DATA_HEADER.size + (BATCH_BLOCK.size if opcode == Opcode.BATCH else 0)
    return parse_meta(head[at : at + ALIGNMENT * meta_units]).specs


def published_encoding(newest: Newest) -> PublishedEncoding | None:
    """Return how the publisher has encoded a version, of a large message the first chunk; reads blocks only.

    ``None``: it came plain or as a patch.
    """
    if patch_of(newest) is not None:
        return None
    if isinstance(newest, LargeMessage):
        first = newest.chunks[0] if newest.chunks else None
        return None if first is None or first.encoding is None else _named(first.encoding, len(first.data))
    head = memoryview(newest.buffers[0])[newest.last_at :]
    frame_bytes, opcode, flags, meta_units, *_ = DATA_HEADER.unpack_from(head)
    at = DATA_HEADER.size + (BATCH_BLOCK.size if opcode == Opcode.BATCH else 0) + ALIGNMENT * meta_units
    if not flags & FLAG_ENCODED:
        return None
    if flags & FLAG_EXTENDED:
        at += block_bytes(head, at)
    return _named(parse_encoding(head, at), frame_bytes - at - ENCODING_BLOCK.size)


def _named(encoding: Encoding, encoded_bytes: int) -> PublishedEncoding:
    steps = [(compressor_of if is_compressor(step.id) else filter_of)(step.id).name for step in encoding.steps]
    return PublishedEncoding("+".join(steps), encoded_bytes / max(1, encoding.decoded_bytes))


def _merged(
    start: Newest | memoryview | None,
    specs: Sequence[TensorSpec],
    changes: Sequence[RegionChange],
    name: str,
    offset: int,
) -> memoryview:
    """Return the payload of version ``offset`` of the stream ``name``, which the last of the changes makes."""
    if start is None:
        raise RequestRefused(Code.CORRUPT_PAYLOAD, "the version before it is missing")
    payload: Array = np.empty(payload_layout(specs)[1], np.uint8)
    if isinstance(start, memoryview):
        payload[:] = np.frombuffer(start, np.uint8)
    else:
        _copy_payload(start, payload.data)
    for at, change in enumerate(changes, offset - len(changes) + 1):
        try:
            change.apply(specs, payload)
        except RequestRefused as refusal:
            logger.warning("patch %d of %s does not decode, it changes nothing: %s", at, name, refusal)
    return payload.data.toreadonly()


def _copy_payload(message: Newest, out: memoryview) -> None:
    """Copy the decoded payload of a message, of a record batch that of its last record."""
    if isinstance(message, Run):
        data = message.joined()
        *_, last = iter_frames(data[message.last_at :])
        frame = parse_data(data[message.last_at :], last)
        payload = memoryview(decode(frame.encoding, frame.payload))
        np.frombuffer(out, np.uint8)[:] = np.frombuffer(payload, np.uint8)[len(payload) - len(out) :]
    else:
        message.copy_payload(out)


def _joined(pieces: Sequence[StoredChunk]) -> Buffer:
    decoded = [decode(piece.encoding, piece.data) for piece in pieces]
    return decoded[0] if len(decoded) == 1 else b"".join(decoded)
