"""Layout of traffic records in files and pipes: a header with a checksum, then the fields.

======  =====  ==========================================================================
offset  bytes  field
======  =====  ==========================================================================
0       3      mark ``F5 46 48``; its first byte occurs in no UTF-8 text
3       1      kind of the record, and of its layout; readers leave out what they do not know
4       2      bytes of the body
6       4      CRC-32 of kind, size and body
10             body
======  =====  ==========================================================================

All numbers are little-endian. A body of the same kind may be longer than its fields: a later gateway may add some.
Traffic records are laid out here, shadow trials in :mod:`gateway.optimizer.history.trial_record`.
"""

from __future__ import annotations

import math
import struct
import sys
import zlib
from typing import Final

from gateway.optimizer.history.record import PayloadFeatures, TrafficRecord

MARK: Final = b"\xf5FH"
"""Beginning of each record, by which records are found behind damaged bytes."""
TRAFFIC_KIND: Final = 1
"""Kind of traffic records."""
TRIAL_KIND: Final = 2
"""Kind of shadow trials."""
FILE_HEADER: Final = b"frys traffic history\n"
"""Beginning of each file, for people."""

HEADER: Final = struct.Struct("<3sBHI")
MAX_BODY_BYTES: Final = 8192
"""Largest body; one with the longest texts and the most dimensions has some 3 KB."""
MAX_TEXT_BYTES: Final = 512
"""Longest text; the rest is cut off."""

_CHECKED_AT: Final = len(MARK)
_NUMBERS: Final = struct.Struct("<5Q2I9f")
_LOAD: Final = struct.Struct("<2f")
_UNKNOWN: Final = 2**64 - 1
_MAX_U32: Final = 2**32 - 1
_MAX_U8: Final = 255


class BadRecord(Exception):
    """Body that is not laid out as its kind says."""


def pack_record(record: TrafficRecord) -> bytes:
    """Return a record as bytes, header included. Values that the layout has no room for are cut to its bounds."""
    features = record.features
    numbers = _NUMBERS.pack(
        whole(record.time_ns),
        whole(record.payload_bytes),
        whole(record.published_bytes),
        whole(record.sent_bytes),
        whole(record.messages),
        min(record.receivers, _MAX_U32),
        min(record.tensors, _MAX_U32),
        real(record.encode_s),
        real(record.arrival_interval_s),
        real(record.rtt_s),
        real(record.goodput_bytes_per_s),
        real(record.queue_delay_s),
        real(record.decode_s_per_byte),
        real(features.zero_share),
        real(features.unchanged_share),
        real(features.repeated_share),
    )
    codecs = ",".join(record.codecs)
    names = record.stream, record.view, record.format, codecs, record.chain
    texts = *names, record.dtype, record.client, record.published_encoding, record.tier, record.sdk

    body = b"".join(
        [
            numbers,
            packed_shape(record.shape),
            packed_planes(features),
            *map(packed_text, texts),
            _LOAD.pack(real(record.burstiness), real(record.cpu_headroom)),
        ]
    )
    return framed(TRAFFIC_KIND, body)


def framed(kind: int, body: bytes) -> bytes:
    """Return a record of a body: with the header before it."""
    checked = struct.pack("<BH", kind, len(body))
    return HEADER.pack(MARK, kind, len(body), zlib.crc32(body, zlib.crc32(checked))) + body


def checked_size(data: bytes, at: int) -> int:
    """Return the size of the record that begins at ``at``, header included; 0 if no whole and sound one does."""
    if at + HEADER.size > len(data):
        return 0
    mark, _, body_bytes, checksum = HEADER.unpack_from(data, at)
    begin = at + HEADER.size
    if mark != MARK or body_bytes > MAX_BODY_BYTES or begin + body_bytes > len(data):
        return 0
    sums = zlib.crc32(data[at + _CHECKED_AT : at + _CHECKED_AT + 3])
    return HEADER.size + body_bytes if zlib.crc32(data[begin : begin + body_bytes], sums) == checksum else 0


def kind_at(data: bytes, at: int) -> int:
    """Return the kind of the record that begins at ``at``."""
    return data[at + len(MARK)]


def unpack_record(data: bytes, at: int, size: int) -> TrafficRecord:
    """Return the record in a piece of ``data`` that :func:`checked_size` has found to be sound.

    Raises:
        BadRecord: its fields cannot be read.
    """
    try:
        return _unpack(data[at + HEADER.size : at + size])
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise BadRecord(f"record of {size} bytes cannot be read: {error}") from error


def _unpack(body: bytes) -> TrafficRecord:
    numbers = _NUMBERS.unpack_from(body)
    whole, counts, reals = numbers[:5], numbers[5:7], [known(value) for value in numbers[7:]]
    shape, at = shape_at(body, _NUMBERS.size)
    planes, at = planes_at(body, at)
    texts, at = texts_at(body, at, 8)
    stream, view, form, codecs, chain, dtype, client, published_encoding = texts
    # Records of earlier gateways end here, or behind the next two texts.
    (tier, sdk), at = texts_at(body, at, 2) if at < len(body) else (("", ""), at)
    burstiness, cpu_headroom = map(known, _LOAD.unpack_from(body, at)) if at < len(body) else (None, None)
    return TrafficRecord(
        time_ns=whole[0],
        stream=stream,
        view=view,
        format=form,
        codecs=tuple(codecs.split(",")) if codecs else (),
        tier=tier,
        sdk=sdk,
        chain=chain,
        dtype=dtype,
        shape=shape,
        tensors=counts[1],
        payload_bytes=whole[1],
        published_encoding=published_encoding,
        published_bytes=None if whole[2] == _UNKNOWN else whole[2],
        sent_bytes=None if whole[3] == _UNKNOWN else whole[3],
        encode_s=reals[0],
        messages=whole[4],
        arrival_interval_s=reals[1],
        burstiness=burstiness,
        cpu_headroom=cpu_headroom,
        receivers=counts[0],
        client=client,
        rtt_s=reals[2],
        goodput_bytes_per_s=reals[3],
        queue_delay_s=reals[4],
        decode_s_per_byte=reals[5],
        features=PayloadFeatures(
            zero_share=reals[6],
            unchanged_share=reals[7],
            repeated_share=reals[8],
            plane_entropy_bits=planes,
        ),
    )


def packed_shape(shape: tuple[int, ...]) -> bytes:
    """Return a shape as bytes, its rank first."""
    sizes = [whole(size) for size in shape[:_MAX_U8]]
    return struct.pack(f"<B{len(sizes)}Q", len(sizes), *sizes)


def shape_at(body: bytes, at: int) -> tuple[tuple[int, ...], int]:
    """Return the shape that begins at ``at``, and the place behind it."""
    rank = body[at]
    return struct.unpack_from(f"<{rank}Q", body, at + 1), at + 1 + 8 * rank


def packed_planes(features: PayloadFeatures) -> bytes:
    """Return the entropies of features as bytes, their count first."""
    planes = [real(bits) for bits in features.plane_entropy_bits[:_MAX_U8]]
    return struct.pack(f"<B{len(planes)}f", len(planes), *planes)


def planes_at(body: bytes, at: int) -> tuple[tuple[float, ...], int]:
    """Return the entropies that begin at ``at``, none if one of them is no number, and the place behind them."""
    count = body[at]
    planes: tuple[float, ...] = struct.unpack_from(f"<{count}f", body, at + 1)
    return planes if all(map(math.isfinite, planes)) else (), at + 1 + 4 * count


def packed_text(text: str) -> bytes:
    """Return a text as bytes, its length first."""
    encoded = text.encode("utf-8", "replace")[:MAX_TEXT_BYTES]
    encoded = encoded.decode("utf-8", "ignore").encode()  # a character that is cut in two is left out
    return struct.pack("<H", len(encoded)) + encoded


def texts_at(body: bytes, at: int, count: int) -> tuple[list[str], int]:
    """Return so many texts that begin at ``at``, and the place behind them."""
    texts: list[str] = []
    for _ in range(count):
        (length,) = struct.unpack_from("<H", body, at)
        text = body[at + 2 : at + 2 + length]
        if len(text) < length:
            raise struct.error("text is cut off")
        texts.append(sys.intern(text.decode()))  # a history repeats a few names in each of its records
        at += 2 + length
    return texts, at


def whole(value: int | None) -> int:
    """Return a whole number within the bounds of the layout; one that is not known as the highest."""
    return _UNKNOWN if value is None else min(max(value, 0), _UNKNOWN - 1)


def real(value: float | None) -> float:
    """Return a value as the layout takes it: one that is not known, or no finite number of 32 bits, as NaN."""
    return math.nan if value is None or not abs(value) < 3e38 else value


def known(value: float) -> float | None:
    """Return the value that :func:`real` has made."""
    return value if math.isfinite(value) else None
