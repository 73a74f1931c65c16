"""Dead letter: a message that no consumer has processed, plain, with a header that states its origin (section 4.9)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from gateway.connections.fanout.recode import frame_of
from gateway.errors import FrysError
from gateway.protocol.encoding import decode
from gateway.protocol.meta import Meta, parse_meta, write_meta
from gateway.protocol.tensors import TensorSpec
from gateway.protocol.wire import ALIGNMENT, MAX_TENSORS, Buffer, Opcode
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run

HEADER: Final = "dead_letter"
"""Header of a dead letter that states its origin; the other headers are those of the message."""
HEADERS_TENSOR: Final = "dead_letter.headers"
"""Tensor that holds the headers of the message as JSON, if they are too large to stand beside :data:`HEADER`."""
_BYTE: Final = np.dtype(np.uint8)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """Origin of a dead letter, as its header states it."""

    stream: str
    offset: int
    """Offset of the message; of a record batch that of its first record: the tensor then holds all records."""
    client_id: str
    """The receiver that did not process it."""
    tries: int
    """Deliveries that were in vain."""
    reason: str


class OpenedUnit(NamedTuple):
    """Contents of a unit, to be published as they are."""

    specs: Sequence[TensorSpec]
    headers: Mapping[str, Any]
    payload: Sequence[Buffer]
    """The plain payload."""
    undecodable: str | None = None
    """Reason why the payload is the encoded one, in a tensor of bytes; ``None``: the payload is plain."""
    records: int | None = None
    """Number of records of a batch, which the tensor holds; ``None``: it is one message, or undecodable."""


def opened(content: Run | LargeMessage) -> OpenedUnit:
    """Return tensors, headers and plain payload; of a record batch one tensor with all records.

    A payload that cannot be decoded, because its publisher has damaged it, is returned as it was published.
    """
    if isinstance(content, LargeMessage):
        meta = parse_meta(content.meta)
        try:
            return OpenedUnit(meta.specs, meta.headers or {}, [decode(c.encoding, c.data) for c in content.chunks])
        except FrysError as error:
            return _damaged(meta, [chunk.data for chunk in content.chunks], error)
    frame = frame_of(content)
    meta = parse_meta(frame.meta)
    try:
        payload: Buffer = decode(frame.encoding, frame.payload)
    except FrysError as error:
        return _damaged(meta, [frame.payload], error)
    if frame.opcode != Opcode.BATCH:
        return OpenedUnit(meta.specs, meta.headers or {}, [payload])
    (record,) = meta.specs
    specs = [TensorSpec(record.name, record.dtype, (frame.count, *record.shape))]
    return OpenedUnit(specs, meta.headers or {}, [payload], records=frame.count)


def labelled(unit: OpenedUnit, letter: DeadLetter) -> OpenedUnit:
    """Return the contents with the header that states their origin.

    Headers that are too large together go into a tensor of their own; beside 255 tensors they are left out.
    """
    specs, headers, payload, undecodable, records = unit
    header: dict[str, Any] = asdict(letter)
    if undecodable is not None:
        header["undecodable"] = undecodable
    if records is not None:
        header["records"] = records
    both = {**headers, HEADER: header}
    try:
        write_meta(specs, both)
    except FrysError:  # together too large
        both = {HEADER: header}
        if len(specs) < MAX_TENSORS:
            text = json.dumps(dict(headers)).encode()
            padding = bytes(-sum(map(len, payload)) % ALIGNMENT)
            specs = [*specs, TensorSpec(HEADERS_TENSOR, _BYTE, (len(text),))]
            payload = [*payload, padding, text]
    return OpenedUnit(specs, both, payload, undecodable, records)


def _damaged(meta: Meta, payload: Sequence[Buffer], error: FrysError) -> OpenedUnit:
    size = sum(map(len, payload))
    return OpenedUnit([TensorSpec("", _BYTE, (size,))], meta.headers or {}, payload, str(error))
