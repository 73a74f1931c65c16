"""Stored payload: a sample of a payload with what is needed to try chains on it, and its layout in a file and a pipe.

======  =====  =====================================================
offset  bytes  field
======  =====  =====================================================
0       4      mark ``F5 46 50 01``
4       4      bytes of the description
8       4      bytes of the sample
12      4      bytes of the previous version, as many or 0
16      4      CRC-32 of the three sizes and of all that follows
20             description, JSON; sample; previous version
======  =====  =====================================================

All numbers are little-endian.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any, Final

MARK: Final = b"\xf5FP\x01"
"""Beginning of each stored payload."""
HEADER: Final = struct.Struct("<4s4I")
MAX_DESCRIPTION_BYTES: Final = 16 * 1024
"""Longest description; one with the longest name of a stream and the most dimensions has some 3 KB."""
MAX_SAMPLE_BYTES: Final = 128 * 1024
"""Longest sample."""

_MOST_BYTES: Final = MAX_DESCRIPTION_BYTES, MAX_SAMPLE_BYTES, MAX_SAMPLE_BYTES
_SIZES: Final = struct.Struct("<3I")


class BadPayload(Exception):
    """Bytes that are no stored payload."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PayloadDescription:
    """Description of a stored payload."""

    time_ns: int
    """Unix time of the payload."""
    stream: str
    """Name of the stream; of a view, of the stream that it shows."""
    view: str = ""
    """The view, as text; empty: the stream itself."""
    dtype: str = ""
    """Dtype of the first tensor; empty: the message has none."""
    shape: tuple[int, ...] = ()
    """Shape of the first tensor."""
    element: str
    """Dtype of all elements; single bytes for mixed tensors."""
    integers: bool = False
    """Whether all elements are integers of the size of ``element``."""
    payload_bytes: int
    """Size of the payload, of which the sample may be a part."""


@dataclass(frozen=True, slots=True)
class StoredPayload:
    """Sample of a payload, with its description."""

    description: PayloadDescription
    """Stream, dtype and shape."""
    sample: bytes
    """Flat bytes, decoded; four pieces of a payload that is longer than :data:`MAX_SAMPLE_BYTES`."""
    base: bytes = b""
    """The same bytes of the previous version of a state; empty: there is none."""

    def pack(self) -> bytes:
        """Return the stored payload as bytes.

        Raises:
            BadPayload: the layout has no room for it.
        """
        described = {field.name: getattr(self.description, field.name) for field in fields(self.description)}
        text = json.dumps(described, ensure_ascii=False).encode()
        sizes = len(text), len(self.sample), len(self.base)
        if len(text) > MAX_DESCRIPTION_BYTES or max(sizes[1:]) > MAX_SAMPLE_BYTES:
            raise BadPayload(
                f"stored payload with parts of {sizes} bytes: there is room for no more than {_MOST_BYTES}"
            )
        checksum = zlib.crc32(_SIZES.pack(*sizes))
        parts = text, self.sample, self.base
        for part in parts:
            checksum = zlib.crc32(part, checksum)
        return b"".join((HEADER.pack(MARK, *sizes, checksum), *parts))

    @classmethod
    def unpack(cls, data: bytes) -> StoredPayload:
        """Return the stored payload that ``data`` is.

        Raises:
            BadPayload: it is none, or damaged.
        """
        if not data or size_of(data, 0) != len(data):
            raise BadPayload(f"{len(data)} bytes are no stored payload")
        _, *sizes, checksum = HEADER.unpack_from(data)
        if zlib.crc32(data[HEADER.size :], zlib.crc32(_SIZES.pack(*sizes))) != checksum:
            raise BadPayload(f"stored payload of {len(data)} bytes is damaged")
        at, parts = HEADER.size, list[bytes]()
        for size in sizes:
            parts.append(data[at : at + size])
            at += size
        text, sample, base = parts
        if base and len(base) != len(sample):
            raise BadPayload(f"previous version of {len(base)} bytes beside a sample of {len(sample)}")
        return cls(_described(text), sample, base)


def size_of(data: bytes | bytearray, at: int) -> int:
    """Return the size of the stored payload that begins at ``at``; 0 if it is not there as a whole.

    Raises:
        BadPayload: none begins there.
    """
    if at + HEADER.size > len(data):
        return 0
    mark, description_bytes, sample_bytes, base_bytes, _ = HEADER.unpack_from(data, at)
    longest = max(sample_bytes, base_bytes)
    if mark != MARK or description_bytes > MAX_DESCRIPTION_BYTES or longest > MAX_SAMPLE_BYTES:
        raise BadPayload(f"no stored payload begins with {bytes(data[at : at + HEADER.size]).hex()}")
    size: int = HEADER.size + description_bytes + sample_bytes + base_bytes
    return size if at + size <= len(data) else 0


def whole_payloads(data: bytes | bytearray) -> Iterator[int]:
    """Yield the size of each whole stored payload at the beginning of ``data``.

    Raises:
        BadPayload: something else stands between them.
    """
    at = 0
    while size := size_of(data, at):
        yield size
        at += size


def _described(text: bytes) -> PayloadDescription:
    try:
        found: dict[str, Any] = json.loads(text)
        return PayloadDescription(
            time_ns=int(found["time_ns"]),
            stream=str(found["stream"]),
            view=str(found["view"]),
            dtype=str(found["dtype"]),
            shape=tuple([int(size) for size in found["shape"]]),
            element=str(found["element"]),
            integers=bool(found["integers"]),
            payload_bytes=int(found["payload_bytes"]),
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise BadPayload(f"description of a stored payload cannot be read: {text[:80]!r}") from error
