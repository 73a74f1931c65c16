"""Recoding: the same message in another encoding, for receivers that cannot use the published one. Runs in threads."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from gateway.connections.ports import MAX_SAMPLE_BYTES
from gateway.errors import RequestRefused
from gateway.protocol.codecs import DELTAS, compressor_of, filter_of, is_compressor
from gateway.protocol.data import DataFrame, parse_data
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.encoding import PLAIN, Chain, Encoding, decode, encode
from gateway.protocol.frames import iter_frames
from gateway.protocol.meta import parse_meta
from gateway.protocol.negotiation import PATCH
from gateway.protocol.signals import Gap
from gateway.protocol.wire import FLAG_ENCODED, Buffer, Opcode, padded
from gateway.streams.large import StoredChunk
from gateway.streams.run import Run

NOT_PUBLISHED = frozenset((*DELTAS, PATCH))
"""Features and filters that clients list beside the codecs and filters by which they may encode publishes."""


THREAD_BYTES = 64 * 1024
"""Larger payloads are encoded, decoded, merged and written as text in a thread: by then it takes longer than the hop
there and back (design, section 4)."""


def recode_run(run: Run, frame: DataFrame, chain: Chain, element: DTypeLike) -> Run:
    """Return the same message encoded by ``chain``; the run itself if that makes no difference.

    Args:
        run: holds one frame.
        frame: that frame, cut into its blocks.
        chain: ``PLAIN`` decodes; another one encodes a plain payload and leaves an encoded one as it is.
        element: dtype of the elements.

    Raises:
        RequestRefused: ``CORRUPT_PAYLOAD``.
    """
    payload: Buffer = frame.payload
    encoding = None
    if chain == PLAIN:
        if frame.encoding is None:
            return run
        payload = decode(frame.encoding, frame.payload)
    else:
        encoded = None if frame.encoding is not None else encode(chain, frame.payload, element)
        if encoded is None:
            return run
        encoding, payload = encoded
    buffers = frame.encoded(encoding, payload).write()
    return Run.of_frame(run.source, run.first, buffers, run.count)


def recode_chunk(chunk: StoredChunk, chain: Chain, element: DTypeLike) -> StoredChunk:
    """Return a chunk encoded by ``chain``, by the rules of :func:`recode_run`."""
    if chain == PLAIN:
        return chunk if chunk.encoding is None else StoredChunk(None, decode(chunk.encoding, chunk.data))
    encoded = None if chunk.encoding is not None else encode(chain, chunk.data, element)
    return chunk if encoded is None else StoredChunk(*encoded)


def recodable_bytes(payload: Buffer, encoding: Encoding | None) -> int:
    """Return the size of a payload that may be encoded for receivers who can take it as it was published.

    0: it is not to be decoded, since a small one may declare gigabytes.
    """
    return len(payload) if encoding is None or encoding.decoded_bytes <= MAX_SAMPLE_BYTES else 0


def transcode_run(run: Run, frame: DataFrame, chain: Chain, element: DTypeLike) -> Run:
    """Return a message encoded by ``chain``, also where its publisher has encoded it; the run itself if it is smaller.

    Args:
        run: holds one frame.
        frame: that frame, cut into its blocks.
        chain: ``PLAIN`` decodes, however large the result is.
        element: dtype of the elements.

    Raises:
        RequestRefused: ``CORRUPT_PAYLOAD``.
    """
    if chain == PLAIN or frame.encoding is None:
        return recode_run(run, frame, chain, element)
    plain = recode_run(run, frame, PLAIN, element)
    transcoded = recode_run(plain, frame_of(plain), chain, element)
    return transcoded if transcoded.size < run.size else run


def transcode_chunk(chunk: StoredChunk, chain: Chain, element: DTypeLike) -> StoredChunk:
    """Return a chunk encoded by ``chain``, also where its publisher has encoded it.

    Raises:
        RequestRefused: ``CORRUPT_PAYLOAD``.
    """
    return recode_chunk(recode_chunk(chunk, PLAIN, element), chain, element)


def codec_names(ids: Iterable[int]) -> frozenset[str]:
    """Return the names of the codecs and filters with these wire ids, as HELLO lists them."""
    return _codec_names(frozenset(ids))


@lru_cache(maxsize=64)
def _codec_names(ids: frozenset[int]) -> frozenset[str]:
    return frozenset(compressor_of(id).name if is_compressor(id) else filter_of(id).name for id in ids)


def run_codecs(run: Run) -> frozenset[str]:
    """Return the names of the codecs that any frame of a run is encoded by."""
    ids: set[int] = set()
    message = run.joined()
    for frame in iter_frames(message):
        if frame.flags & FLAG_ENCODED:
            encoding = parse_data(message, frame).encoding
            ids |= frozenset() if encoding is None else encoding.ids
    return codec_names(ids)


def readable(encoding: Encoding | None, codecs: frozenset[str]) -> bool:
    """Return whether receivers that know ``codecs`` can decode a payload."""
    return encoding is None or codec_names(encoding.ids) <= codecs


def chunk_codecs(chunks: Iterable[StoredChunk]) -> frozenset[str]:
    """Return the names of the codecs that any of the chunks is encoded by."""
    return codec_names({step for chunk in chunks if chunk.encoding for step in chunk.encoding.ids})


def decode_run(run: Run, codecs: frozenset[str]) -> list[Run | Gap]:
    """Decode those frames of a run that are encoded by other codecs than ``codecs``.

    Returns:
        The run in parts, in order: a gap stands for a frame that cannot be decoded.
    """
    message = run.joined()
    parts: list[Run | Gap] = []
    decoded: list[tuple[bytes, int]] = []
    first = run.first
    for frame in iter_frames(message):
        data = parse_data(message, frame)
        try:
            if data.encoding is None or readable(data.encoding, codecs):
                written: list[Buffer] = [message[frame.start : frame.start + padded(frame.end - frame.start)]]
            else:
                written = data.encoded(None, decode(data.encoding, data.payload)).write()
            decoded.append((b"".join(written), data.count))
        except RequestRefused as refusal:
            if decoded:
                parts.append(Run.of_frames(run.source, first, decoded))
            first = data.offset + data.count
            decoded = []
            parts.append(Gap(run.source.id, refusal.code, data.offset, first - 1))
    if decoded:
        parts.append(Run.of_frames(run.source, first, decoded))
    return parts


def frame_of(run: Run) -> DataFrame:
    """Return the frame of a run of one frame, cut into its blocks; the views are valid as long as the run."""
    message = run.joined()
    return parse_data(message, next(iter_frames(message)))


def last_record(run: Run) -> Run:
    """Return the newest message of a run of one frame: the last record of a batch, as a message of its own.

    Raises:
        RequestRefused: ``CORRUPT_PAYLOAD``.
    """
    if run.last_count == 1:
        return run
    frame = frame_of(run)
    payload = decode(frame.encoding, frame.payload)
    record_bytes = parse_meta(frame.meta).payload_bytes
    record = frame.encoded(None, payload[len(payload) - record_bytes :])
    buffers = record._replace(opcode=Opcode.MESSAGE, flags=0, offset=run.last, extensions=None).write()
    return Run.of_frame(run.source, run.last, (b"".join(buffers),))
