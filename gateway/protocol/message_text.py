"""Text of ``message``, ``request`` and ``reply`` of the JSON subprotocol: tensors as base64 (spec section 14).

Knows the envelope of all text messages as well. A delivered message is rendered once for all its JSON receivers, from
the meta block and payload that the binary receivers get.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
import orjson

from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.protocol.dtypes import dtype_name
from gateway.protocol.extensions import Quantization
from gateway.protocol.json_message import JsonMessage, base64_chars, json_of
from gateway.protocol.meta import Meta
from gateway.protocol.tensors import Array, as_wire_array, payload_buffers, view_tensors
from gateway.protocol.wire import Buffer

_PAYLOAD: Final = b',"payload":'

BASE64_BYTES: Final = 192 * 1024
"""Data that is written as base64 at a time, in 0.25 ms; a multiple of 3, so that the pieces are those of the whole."""

MAX_FIELDS_BYTES: Final = 64 * 1024 * 1024
"""Text of the records of one batch, without their data: each repeats the fields that the batch has once."""

_Tensor = tuple[str, "np.dtype[Any]", tuple[int, ...], memoryview]
"""Name, dtype, shape and bytes of a tensor."""


class MessageText(NamedTuple):
    """Text of a message whose data is not encoded yet: megabytes take milliseconds."""

    parts: list[bytes | memoryview]
    """Pieces of JSON, and data between them that is to be written as base64."""
    size: int
    """Bytes of the text."""

    def pieces(self) -> Iterator[bytes]:
        """Yield the text in pieces, each made in a fraction of a millisecond."""
        for part in self.parts:
            if isinstance(part, bytes):
                yield part
                continue
            for start in range(0, len(part), BASE64_BYTES):
                yield binascii.b2a_base64(part[start : start + BASE64_BYTES], newline=False)


def render_message(envelope: JsonMessage, meta: Meta, payload: Buffer, *, max_bytes: int | None = None) -> MessageText:
    """Return the text of a binary message, for all its JSON receivers.

    Args:
        envelope: every field but tensors and headers.
        meta: parsed meta block of the message.
        payload: decoded payload of the message; the text refers to it until it is in pieces.
        max_bytes: bound of the receivers on the text.

    Raises:
        RequestRefused: ``MESSAGE_TOO_BIG``, the text exceeds ``max_bytes``. ``SIZE_MISMATCH`` or ``INVALID_TENSOR``,
            the payload does not match ``meta``. ``INVALID_REQUEST``, the headers are nested too deeply to be written.
    """
    views = view_tensors(meta.specs, payload)
    named = [(spec.name, view) for spec, view in zip(meta.specs, views, strict=True)]
    return _text_of(envelope, meta.headers, named, max_bytes)


def render_batch(
    envelope: JsonMessage, meta: Meta, payload: Buffer, count: int, *, max_bytes: int | None = None
) -> Iterator[bytes]:
    """Return the texts of the records of a batch, in order.

    They differ in their numbers and data only, so that each takes 0.6 us (CPython 3.11, 2026-11); a message that is
    written by itself takes 7 us.

    Args:
        envelope: every field of the first record but its tensor; the offset is its ``id``, too.
        meta: parsed meta block of the batch.
        payload: decoded payload of the batch; the iterator refers to it.
        count: number of records.
        max_bytes: bound of the receivers on the text of one record.

    Raises:
        RequestRefused: as :func:`render_message`, for any of the records. ``MESSAGE_TOO_BIG``, too, if the texts,
            without their data, exceed :data:`MAX_FIELDS_BYTES` together.
    """
    assert envelope.offset is not None
    records = as_wire_array(view_tensors(meta.specs, payload, count=count)[0])
    spec = meta.specs[0]
    size = spec.nbytes
    data = memoryview(payload_buffers([records])[0])
    fields = list(_fields_of(envelope, None).items())
    at = next(at for at, (name, _) in enumerate(fields) if name == "offset")
    between = b"," + json_of(dict(fields[1:at]))[1:-1]
    further = json_of(dict(fields[at + 1 :]))[1:-1]
    *opening, _, closing = _payload_parts([(spec.name, spec.dtype, spec.shape, data[:size])])
    end = b"".join([b"," + further if further else b"", _PAYLOAD, *opening])
    tail = b"".join([closing, b"}"])

    def text(offset: int, record: memoryview) -> bytes:
        encoded = binascii.b2a_base64(record, newline=False)
        return b'{"id":%d%b,"offset":%d%b%b%b' % (offset, between, offset, end, encoded, tail)

    fields_bytes = len(text(envelope.offset + count - 1, data[:0]))
    _check_size(fields_bytes + base64_chars(size), max_bytes)
    if count * fields_bytes > MAX_FIELDS_BYTES:
        problem = (
            f"the fields of {count} records take {count * fields_bytes} bytes as JSON, more than {MAX_FIELDS_BYTES}"
        )
        raise RequestRefused(Code.MESSAGE_TOO_BIG, f"{problem}: publish fewer in a batch, or a shorter tensor name")
    first = envelope.offset
    return (text(first + index, data[index * size : (index + 1) * size]) for index in range(count))


def render_records(
    envelope: JsonMessage, meta: Meta, payload: Buffer, count: int, *, max_bytes: int | None = None
) -> Iterator[MessageText]:
    """Return the texts of the records of a batch as :func:`render_batch` does, for long records.

    Raises:
        RequestRefused: as :func:`render_message`, for any of the records.
    """
    view_tensors(meta.specs, payload, count=count)
    data = memoryview(payload)
    size = meta.payload_bytes
    first = envelope.offset
    assert first is not None

    def text(index: int) -> MessageText:
        record = replace(envelope, id=first + index, offset=first + index)
        of_record = Meta(meta.specs, None, size)
        return render_message(record, of_record, data[index * size : (index + 1) * size], max_bytes=max_bytes)

    text(count - 1)  # no other is longer
    return map(text, range(count))


def write_message(message: JsonMessage, *, max_bytes: int | None = None) -> bytes:
    """Return the text of a message, of either direction.

    Raises:
        RequestRefused: ``MESSAGE_TOO_BIG`` or ``INVALID_REQUEST``, see :func:`render_message`.
        UnsupportedDtype: the dtype of a tensor cannot travel.
        InvalidArgument: two tensors of the same name.
    """
    named = [(name, as_wire_array(value)) for name, value in message.tensors]
    return b"".join(_text_of(message, message.headers, named, max_bytes).pieces())


def _text_of(
    message: JsonMessage, headers: dict[str, Any] | None, named: Sequence[tuple[str, Array]], max_bytes: int | None
) -> MessageText:
    if len(named) > 1 and len(dict(named)) != len(named):
        raise InvalidArgument(f"tensors of one message need different names; given are {[name for name, _ in named]}")
    tensors = [(name, array.dtype, array.shape, memoryview(payload_buffers([array])[0])) for name, array in named]
    parts = [json_of(_fields_of(message, headers))[:-1] + _PAYLOAD, *_payload_parts(tensors), b"}"]
    size = sum([len(part) if isinstance(part, bytes) else base64_chars(len(part)) for part in parts])
    _check_size(size, max_bytes)
    return MessageText(parts, size)


def _fields_of(message: JsonMessage, headers: dict[str, Any] | None) -> dict[str, Any]:
    """Return the fields of a text in order, without the payload."""
    optional = {
        "stream": message.stream,
        "kind": message.kind,
        "durability": message.durability,
        "ack": None if message.ack else False,
        "correlation": message.correlation,
        "failed": True if message.failed else None,
        "more": True if message.more else None,
        "deadline": message.deadline,
        "peer": message.peer,
        "offset": message.offset,
        "epoch": message.epoch,
        "view": message.view,
        "quantized": None if message.quantized is None else _quantized(message.quantized),
    }
    return _envelope(
        message.message_type,
        id=message.id,
        timestamp=message.timestamp,
        client_id=message.client_id,
        client_type=message.client_type,
        headers=headers,
        further={name: value for name, value in optional.items() if value is not None},
    )


def _quantized(quantized: Quantization) -> dict[str, Any]:
    return {
        "dtype": dtype_name(quantized.dtype),
        "scale": quantized.scale,
        "zero_point": quantized.zero_point,
    }


def write_envelope(
    message_type: str,
    payload: bytes,
    *,
    id: int | None = None,
    timestamp: float | None = None,
    further: dict[str, Any] | None = None,
) -> bytes:
    """Return the JSON object of a text message, with the payload at its end.

    Args:
        message_type: name of the message.
        payload: the JSON of the payload.
        id: the sender's number for the message.
        timestamp: Unix time in seconds.
        further: fields behind the headers, in order.
    """
    fields = _envelope(message_type, id=id, timestamp=timestamp, further=further)
    return b"".join([json_of(fields)[:-1], _PAYLOAD, payload, b"}"])


def _envelope(
    message_type: str,
    *,
    id: int | None = None,
    timestamp: float | None = None,
    client_id: str | None = None,
    client_type: str | None = None,
    headers: dict[str, Any] | None = None,
    further: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return {
        "id": id,
        "timestamp": timestamp,
        "client_id": client_id,
        "client_type": client_type,
        "message_type": message_type,
        "headers": headers,
        **(further or {}),
    }


def _payload_parts(tensors: list[_Tensor]) -> list[bytes | memoryview]:
    """Return the JSON of a payload in pieces, and between them the data of its tensors."""
    if not tensors:
        return [b"null"]
    if len(tensors) == 1 and not tensors[0][0]:
        return [*_tensor_parts(tensors[0]), b'"}']
    parts: list[bytes | memoryview] = [b'{"tensors":']
    separator = b"{"
    for tensor in tensors:
        parts += [separator + orjson.dumps(tensor[0]) + b":", *_tensor_parts(tensor)]
        separator = b'"},'
    return [*parts, b'"}}}']


def _tensor_parts(tensor: _Tensor) -> list[bytes | memoryview]:
    """Return the JSON of a tensor up to its data, and the data."""
    _, dtype, shape, data = tensor
    return [orjson.dumps({"dtype": dtype_name(dtype), "shape": shape})[:-1] + b',"data":"', data]


def _check_size(text_bytes: int, max_bytes: int | None) -> None:
    if max_bytes is not None and text_bytes > max_bytes:
        raise RequestRefused(
            Code.MESSAGE_TOO_BIG,
            f"the message takes {text_bytes} bytes as JSON; the receiver takes {max_bytes} at most",
        )
