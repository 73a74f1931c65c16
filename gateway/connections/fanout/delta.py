"""Makes deltas: what is delivered as the difference to the version before (spec section 10). Runs in worker threads."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TypeVar

from gateway.connections.fanout.recode import frame_of, readable
from gateway.errors import RequestRefused
from gateway.protocol.data import DataFrame
from gateway.protocol.encoding import Chain, decode, encode
from gateway.protocol.meta import parse_meta
from gateway.protocol.sampling import MIN_BYTES
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import Buffer, Opcode
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.plain_payload import PlainPayload
from gateway.streams.run import Run
from gateway.streams.state import LargePatch, PatchRun

logger = logging.getLogger(__name__)

T = TypeVar("T")


def payload_of(message: Run | LargeMessage) -> PlainPayload | None:
    """A published message as the base of the next one; ``None`` if it cannot be one.

    Args:
        message: a run of one frame, or a whole large message.
    """
    if isinstance(message, PatchRun | LargePatch):
        return None
    if isinstance(message, LargeMessage):
        if message.opcode != Opcode.MESSAGE or message.offset is None or message.plan.payload_bytes < MIN_BYTES:
            return None
        return PlainPayload(message.offset, specs_of(message.meta), message.plan.chunk_bytes, message.chunks)
    frame = frame_of(message)
    payload_bytes = len(frame.payload) if frame.encoding is None else frame.encoding.decoded_bytes
    if frame.opcode != Opcode.MESSAGE or payload_bytes < MIN_BYTES:
        return None
    return PlainPayload(message.last, specs_of(frame.meta), payload_bytes, [StoredChunk(frame.encoding, frame.payload)])


def specs_of(meta: Buffer) -> tuple[TensorSpec, ...]:
    """The descriptors of a meta block that was found good."""
    return parse_meta(meta).specs


def all_integers(specs: tuple[TensorSpec, ...]) -> bool:
    """Whether a payload is nothing but integers of one size."""
    return all(spec.dtype.kind in "iu" for spec in specs) and len({spec.dtype.itemsize for spec in specs}) == 1


def delta_run(run: Run, frame: DataFrame, chain: Chain, itemsize: int, base: PlainPayload) -> Run | None:
    """A message as a delta; ``None`` if that is not smaller than it came.

    Args:
        run: holds one frame.
        frame: that frame, cut into its blocks, as it is delivered.
        chain: with a delta filter.
        itemsize: bytes of an element.
        base: a version of the same size, less than 256 offsets before.

    Raises:
        RequestRefused: ``CORRUPT_PAYLOAD``, this version or its base cannot be decoded.
    """
    payload = frame.payload if frame.encoding is None else decode(frame.encoding, frame.payload)
    distant = replace(chain, distance=run.first - base.offset)
    encoded = encode(distant, payload, itemsize, base=base.part(0, len(payload)))
    if encoded is None or len(encoded[1]) >= len(frame.payload):
        return None
    buffers = frame.encoded(*encoded).write()
    delta = Run.of_frame(run.source, run.first, buffers)
    delta.is_delta = True
    return delta


def delta_runs(run: Run, frame: DataFrame, chains: dict[T, Chain], itemsize: int, base: PlainPayload) -> dict[T, Run]:
    """Return a message as deltas, made once for each chain; for the keys for which that is smaller.

    Args:
        run: holds one frame.
        frame: that frame, cut into its blocks, as it is delivered.
        chains: with delta filters.
        itemsize: bytes of an element.
        base: a version of the same size, less than 256 offsets before.
    """
    made: dict[Chain, Run | None] = {}
    for chain in set(chains.values()):
        try:
            made[chain] = delta_run(run, frame, chain, itemsize, base)
        except RequestRefused as refusal:
            logger.warning("message %d of %s is not made a delta: %s", run.first, run.source.name, refusal)
    deltas = ((key, made.get(chain)) for key, chain in chains.items())
    # A run of its own for each key: the keyframes that go out in its place may differ.
    return {key: delta.alone() for key, delta in deltas if delta is not None}


def delta_chunk(
    chunk: StoredChunk, chain: Chain, itemsize: int, base: PlainPayload, at: int, known: frozenset[str]
) -> StoredChunk:
    """A chunk as a delta, or whole if that is not smaller.

    Args:
        chunk: as it came.
        chain: with a delta filter and distance 1.
        itemsize: bytes of an element.
        base: a version of the message's size.
        at: where the chunk starts in the payload.
        known: names of the codecs and filters that the receivers know.

    Raises:
        RequestRefused: ``CORRUPT_PAYLOAD``, the chunk or its base cannot be decoded.
    """
    payload = chunk.data if chunk.encoding is None else decode(chunk.encoding, chunk.data)
    encoded = encode(chain, payload, itemsize, base=base.part(at, len(payload)))
    whole = chunk if readable(chunk.encoding, known) else StoredChunk(None, payload)
    return StoredChunk(*encoded) if encoded is not None and len(encoded[1]) < len(whole.data) else whole
