"""Stored payloads for tests."""

from __future__ import annotations

import random
from typing import Any

from gateway.optimizer.payloads.stored_payload import PayloadDescription, StoredPayload


def stored(number: int = 0, size: int = 1024, *, base: bool = False, **changed: Any) -> StoredPayload:
    """Return a stored payload of bytes that are drawn by its number.

    Args:
        number: part of the name of its stream, and its time.
        size: bytes of the sample.
        base: whether it has a previous version.
        changed: fields of its description.
    """
    described: dict[str, Any] = {
        "time_ns": number,
        "stream": f"wf/{number}",
        "dtype": "float32",
        "shape": (size // 4,),
        "element": "float32",
        "payload_bytes": size,
    }
    sample = random.Random(number).randbytes(size)
    return StoredPayload(PayloadDescription(**described | changed), sample, sample[::-1] if base else b"")
