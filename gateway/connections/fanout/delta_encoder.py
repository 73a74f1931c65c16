"""Delta encoder: encodes versions of a state stream as deltas to the version before (spec section 10).

The version before is the one that is published, and so delivered, right before it. The policy says whether a delta to
it pays; :class:`~gateway.connections.fanout.version_tracker.VersionTracker` says which receivers may get the delta.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.fanout.recode import frame_of, readable
from gateway.connections.ports import DeliveryPolicy, Sample
from gateway.protocol.codecs import XOR
from gateway.protocol.data import DataFrame
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.encoding import PLAIN, Chain, Encoding, decode, encode
from gateway.protocol.meta import parse_meta
from gateway.protocol.sampling import MIN_BYTES
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import Buffer, Opcode
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.plain_payload import PlainPayload
from gateway.streams.run import Run
from gateway.streams.state import LargePatch, PatchRun
from gateway.streams.stream import Stream


class DeltaEncoder:
    """Delta encoder of one state stream.

    Attributes:
        latest: the version that was published last; it may still wait to be delivered.
    """

    __slots__ = ("_policy", "_stream", "latest")

    def __init__(self, stream: Stream, policy: DeliveryPolicy) -> None:
        self._stream = stream
        self._policy = policy
        self.latest: Run | LargeMessage | None = None

    def chain_for(self, delivery: DeliveryClass) -> Chain | None:
        """Return the chain of deltas for a class; ``None``: they do not pay."""
        chain = self._policy.delta_for(self._stream, delivery.profile)
        return None if chain == PLAIN else chain

    def base_of_run(self, run: Run, frame: DataFrame) -> PlainPayload | None:
        """Return the version that a run of one frame may be a delta to."""
        base = self.base_of(frame.opcode, frame.meta)
        # Offsets of a view may jump further than a delta can name.
        return base if base is not None and run.first - base.offset in XOR.parameters else None

    def base_of(self, opcode: int, meta: Buffer) -> PlainPayload | None:
        """Return the version that was published last, if a message with this meta block can be a delta to it."""
        base = None if self.latest is None or opcode != Opcode.MESSAGE else payload_of(self.latest)
        return base if base is not None and base.specs == specs_of(meta) else None

    def observe(self, payload: Buffer, element: DTypeLike, meta: Buffer, encoding: Encoding | None) -> None:
        """Let the policy learn from a payload, compared with the version before.

        Args:
            payload: a complete one, or the first chunk.
            element: dtype of the elements.
            meta: the meta block.
            encoding: of the payload; ``None``: it is plain.
        """
        if not self._policy.wants_sample(self._stream, based=self.latest is not None):
            return
        specs = specs_of(meta)
        base = self.base_of(Opcode.MESSAGE, meta)
        part = None if base is None else partial(base.part, 0, decoded_bytes(payload, encoding))
        self._policy.observe(self._stream, Sample(payload, element, encoding, all_integers(specs), part, meta))


def decoded_bytes(payload: Buffer, encoding: Encoding | None) -> int:
    """Return the size of a payload once it is decoded."""
    return len(payload) if encoding is None else encoding.decoded_bytes


def payload_of(message: Run | LargeMessage) -> PlainPayload | None:
    """Return a published message as the base of the next one; ``None`` if it cannot be one.

    Args:
        message: a run of one frame, or a complete large message.
    """
    if isinstance(message, PatchRun | LargePatch):
        return None
    if isinstance(message, LargeMessage):
        if message.opcode != Opcode.MESSAGE or message.offset is None or message.plan.payload_bytes < MIN_BYTES:
            return None
        return PlainPayload(message.offset, specs_of(message.meta), message.plan.chunk_bytes, message.chunks)
    frame = frame_of(message)
    payload_bytes = decoded_bytes(frame.payload, frame.encoding)
    if frame.opcode != Opcode.MESSAGE or payload_bytes < MIN_BYTES:
        return None
    return PlainPayload(message.last, specs_of(frame.meta), payload_bytes, [StoredChunk(frame.encoding, frame.payload)])


def count_delta(delivery: DeliveryClass) -> None:
    """Record that a class gets a version as a delta."""
    if delivery.versions is not None:
        delivery.versions.count_delta()


def specs_of(meta: Buffer) -> tuple[TensorSpec, ...]:
    """Return the descriptors of a meta block that was checked before."""
    return parse_meta(meta).specs


def all_integers(specs: tuple[TensorSpec, ...]) -> bool:
    """Return whether all elements of a payload are integers of one size."""
    return all(spec.dtype.kind in "iu" for spec in specs) and len({spec.dtype.itemsize for spec in specs}) == 1


def delta_run(run: Run, frame: DataFrame, chain: Chain, element: DTypeLike, base: PlainPayload) -> Run | None:
    """Return a message as a delta; ``None`` if that is not smaller than the message as it was published.

    Args:
        run: holds one frame.
        frame: that frame, cut into its blocks, as it is delivered.
        chain: with a delta filter.
        element: dtype of the elements.
        base: a version of the same size, less than 256 offsets before.

    Raises:
        RequestRefused: ``CORRUPT_PAYLOAD``, the version or its base cannot be decoded.
    """
    payload = decode(frame.encoding, frame.payload)
    distant = replace(chain, distance=run.first - base.offset)
    encoded = encode(distant, payload, element, base=base.part(0, len(payload)))
    if encoded is None or len(encoded[1]) >= len(frame.payload):
        return None
    buffers = frame.encoded(*encoded).write()
    delta = Run.of_frame(run.source, run.first, buffers)
    delta.is_delta = True
    return delta


def delta_chunk(
    chunk: StoredChunk, chain: Chain, element: DTypeLike, base: PlainPayload, at: int, known: frozenset[str]
) -> StoredChunk:
    """Return a chunk as a delta, or in a form that is not one if the delta is not smaller.

    Args:
        chunk: as it was published.
        chain: with a delta filter and distance 1.
        element: dtype of the elements.
        base: a version of the message's size.
        at: offset of the chunk in the payload, in bytes.
        known: names of the codecs and filters that the receivers know.

    Raises:
        RequestRefused: ``CORRUPT_PAYLOAD``, the chunk or its base cannot be decoded.
    """
    payload = decode(chunk.encoding, chunk.data)
    encoded = encode(chain, payload, element, base=base.part(at, len(payload)))
    keyframe = chunk if readable(chunk.encoding, known) else StoredChunk(None, payload)
    return StoredChunk(*encoded) if encoded is not None and len(encoded[1]) < len(keyframe.data) else keyframe
