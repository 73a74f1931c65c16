"""Patch merger: checks patches to states (spec section 5.4), and merges them into keyframes for other receivers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.fanout.recode import THREAD_BYTES
from gateway.connections.lagging.pending_snapshot import Write
from gateway.connections.ports import Steps, Workers
from gateway.connections.sliced_workers import taken_at_once
from gateway.errors import Code, RequestRefused
from gateway.protocol.data import DataFrame
from gateway.protocol.dtypes import dtype_name
from gateway.protocol.messages import Kind
from gateway.protocol.meta import Meta, headers_of, parse_meta
from gateway.protocol.negotiation import PATCH
from gateway.protocol.regions import Region
from gateway.protocol.signals import Gap
from gateway.protocol.wire import FRAME_START, Opcode
from gateway.streams.large import StoredChunk, TransferNumbers
from gateway.streams.run import Run
from gateway.streams.state import LargePatch, Newest, Patch, PatchRun, RegionChange, patch_of, specs_of
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

T = TypeVar("T")


class PatchMerger:
    """Merger of the patches of all streams.

    A version is merged once, however many receivers ask for its keyframe.

    Args:
        workers: threads that merge.
        transfers: numbers for the keyframes that go out in chunks.
    """

    def __init__(self, workers: Workers, transfers: TransferNumbers) -> None:
        self._workers = workers
        self._transfers = transfers
        self._waiting: dict[Patch, dict[Callable[[], object], None]] = {}

    # Patches that are published.

    def check(self, stream: Stream, region: Region, opcode: int, meta: Meta) -> int:
        """Check that a message fits the newest state as a patch.

        Args:
            stream: the stream to which it is published.
            region: the region that it names.
            opcode: of its frame.
            meta: its descriptors.

        Returns:
            The index of the tensor that it changes.

        Raises:
            RequestRefused: ``INVALID_REGION``; the message names the region, and the state that it does not fit.
        """
        where = f"region {region} of {stream.name}"
        if stream.kind is not Kind.STATE:
            raise _refused(f"{where}, a stream of kind {stream.kind.value}: only a state takes patches")
        if opcode != Opcode.MESSAGE or len(meta.specs) != 1:
            met = "a record batch" if opcode != Opcode.MESSAGE else f"a message of {len(meta.specs)} tensors"
            raise _refused(f"{where} in {met}: a patch is a message of one tensor")
        newest = stream.latest
        if newest is None:
            raise _refused(f"{where}, which holds no state yet: publish a complete one first")
        patch = patch_of(newest)
        if patch is not None and patch.broken:
            raise _refused(f"{where}, whose state does not decode: publish a complete one first")
        change = meta.specs[0]
        specs = specs_of(newest)
        tensor = next((index for index, spec in enumerate(specs) if spec.name == change.name), None)
        if tensor is None:
            names = ", ".join([repr(spec.name) for spec in specs]) or "none"
            raise _refused(f"{where}: the state has no tensor {change.name!r}, its tensors are: {names}")
        spec = specs[tensor]
        if spec.dtype != change.dtype:
            raise _refused(f"{where}: the patch is {dtype_name(change.dtype)}, the state {dtype_name(spec.dtype)}")
        region.check(spec.shape)
        if region.shape != change.shape:
            raise _refused(f"{where}: the region has shape {region.shape}, the patch {change.shape}")
        return tensor

    def take_run(self, stream: Stream, run: Run, frame: DataFrame, publisher: int, region: Region) -> PatchRun:
        """Return a patch of one frame, which was checked and has its offset, as it is appended to its stream.

        Args:
            stream: the stream to which it is published.
            run: holds the frame.
            frame: the frame as it was published, cut into its blocks.
            publisher: peer of the sender.
            region: the region that it changes.
        """
        run = run.newest()
        data = memoryview(run.buffers[-1])
        frame_bytes = FRAME_START.unpack_from(run.buffers[0])[0]
        end = len(data) - (run.size - frame_bytes)
        pieces = (StoredChunk(frame.encoding, data[end - len(frame.payload) : end]),)
        meta = parse_meta(frame.meta)
        patch = self._patch(stream, region, meta, pieces, headers_of(frame.meta), publisher, frame.timestamp_ns)
        return PatchRun(run, patch)

    def take_large(self, stream: Stream, message: LargePatch) -> None:
        """Complete a large patch that is about to get its offset.

        Raises:
            RequestRefused: ``INVALID_REGION``, the state has changed since the head came, and the patch does not fit.
        """
        meta = parse_meta(message.meta)
        headers = headers_of(message.meta)
        message.patch = self._patch(
            stream, message.region, meta, message.chunks, headers, message.publisher, message.timestamp_ns
        )

    def _patch(
        self,
        stream: Stream,
        region: Region,
        meta: Meta,
        pieces: Sequence[StoredChunk],
        headers: bytes,
        publisher: int,
        timestamp_ns: int,
    ) -> Patch:
        change = RegionChange(self.check(stream, region, Opcode.MESSAGE, meta), region, pieces)
        assert stream.latest is not None
        return Patch(
            stream.latest,
            stream.next_offset,
            change,
            headers=headers,
            publisher=publisher,
            timestamp_ns=timestamp_ns,
        )

    # Keyframes for receivers.

    def keyframe(self, patch: Patch, write: Write | None, then: Callable[[], object]) -> Newest | Gap | None:
        """Return the keyframe of a version; ``None`` while it is being made: ``then`` is called to ask again.

        Args:
            patch: the version.
            write: writer of a receiver that takes no chunks; ``None`` for receivers that take them.
            then: called on the loop's thread.
        """
        if patch.keyframe is None:
            if patch.payload_bytes + patch.waiting_bytes > THREAD_BYTES:
                self._work(patch, patch.merging, partial(self._settle, patch), then)
                return None
            self._settle(patch, _attempt(patch.merging()))
        keyframe = patch.keyframe
        if write is None or keyframe is None or isinstance(keyframe, Gap):
            return keyframe
        if patch.text is None:
            if patch.payload_bytes > THREAD_BYTES:
                self._work(patch, partial(write, keyframe), partial(_written, patch), then)
                return None
            _written(patch, _attempt(partial(taken_at_once, write(keyframe))))
        return patch.text

    def compact_if_due(self, patch: Patch) -> None:
        """Make the keyframe of a version if too many patches are kept until a receiver needs one."""
        if patch.due:
            self.keyframe(patch, None, lambda: None)  # no receiver waits for it

    def _settle(self, patch: Patch, result: memoryview | BaseException) -> None:
        patch.settle(result, self._transfers.next() if patch.chunked else 0)

    def _work(
        self,
        patch: Patch,
        prepare: Callable[[], Callable[[], T] | Steps[T]],
        done: Callable[[T | BaseException], None],
        then: Callable[[], object],
    ) -> None:
        """Do work in a thread, unless it is under way already, and call back when it is done.

        Args:
            patch: the version that is worked on.
            prepare: called to get the work, if it is not under way.
            done: called with the result.
            then: called after ``done``.
        """
        waiting = self._waiting.get(patch)
        if waiting is not None:
            waiting[then] = None
            return
        self._waiting[patch] = {then: None}
        patch.expect()

        def finish(result: T | BaseException) -> None:
            done(result)
            for callback in self._waiting.pop(patch):
                callback()

        self._workers.submit(prepare(), finish)


def takes_patches(delivery: DeliveryClass) -> bool:
    """Return whether the members of a class apply patches themselves."""
    return PATCH in delivery.profile.codecs and delivery.format.takes_chunks


def _attempt(work: Callable[[], T]) -> T | BaseException:
    try:
        return work()
    except RequestRefused as refusal:
        return refusal


def _written(patch: Patch, result: Run | Gap | BaseException) -> None:
    if isinstance(result, BaseException):
        logger.warning("version %d of %s cannot be written: %s", patch.offset, patch.source.name, result)
        result = Gap(patch.source.id, Code.CORRUPT_PAYLOAD, patch.offset, patch.offset)
    patch.text = result


def _refused(problem: str) -> RequestRefused:
    return RequestRefused(Code.INVALID_REGION, problem)
