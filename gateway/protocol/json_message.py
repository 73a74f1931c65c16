"""``message``, ``request`` and ``reply`` of the JSON subprotocol: tensors as base64 (spec section 14).

Knows the fields of these three messages and the envelope of all text messages. A delivered message is rendered once for
all its JSON receivers, from the meta block and payload that the binary receivers get.
"""

from __future__ import annotations

import binascii
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import orjson

from gateway.errors import Code, InvalidArgument, RequestRefused
from gateway.protocol.dtypes import dtype_name, dtype_named
from gateway.protocol.durability import Durability
from gateway.protocol.extensions import Quantization
from gateway.protocol.json_body import EXACT_MAX, I64_MAX, U32_MAX, JsonBody
from gateway.protocol.messages import Kind
from gateway.protocol.meta import Meta
from gateway.protocol.tensors import Array, TensorSpec, as_wire_array, payload_buffers, view_tensors
from gateway.protocol.wire import MAX_HEADERS_BYTES, MAX_NAME_BYTES, MAX_NDIM, MAX_TENSORS, Buffer, Opcode

DataType = Literal["message", "request", "reply"]

_OPCODES: Final = {"message": Opcode.MESSAGE, "request": Opcode.REQUEST, "reply": Opcode.REPLY}
_MAX_TIMESTAMP_S: Final = I64_MAX // 10**9
_SHOWN_FIELD_CHARS: Final = 40


@dataclass(frozen=True, slots=True)
class DecodedData:
    """``data`` of a tensor that was decoded before its text was parsed (:mod:`gateway.protocol.long_text`)."""

    chars: int
    """Length of the base64."""
    data: memoryview
    """The decoded bytes."""


@dataclass(frozen=True, slots=True, eq=False)
class JsonMessage:
    """A ``message``, ``request`` or ``reply`` of the JSON subprotocol (spec section 14).

    The fields after ``timestamp`` are set by the server; ``peer`` is the publisher's, and in a reply to the server the
    asker's. The arrays are read-only.
    """

    message_type: DataType
    id: int | None = None
    stream: str | None = None
    kind: Kind | None = None
    durability: Durability | None = None
    ack: bool = True
    tensors: tuple[tuple[str, Array], ...] = ()
    headers: dict[str, Any] | None = None
    correlation: int | None = None
    failed: bool = False
    more: bool = False
    deadline: float | None = None
    """Unix time in seconds."""
    peer: int | None = None
    timestamp: float | None = None
    """Unix time in seconds."""
    offset: int | None = None
    epoch: int | None = None
    client_id: str | None = None
    client_type: str | None = None
    view: int | None = None
    """Id of the view, or observed stream, that the message belongs to; None: it belongs to the stream itself."""
    quantized: Quantization | None = None

    @property
    def opcode(self) -> Opcode:
        """Opcode of the data frame that means the same."""
        return _OPCODES[self.message_type]

    @property
    def timestamp_ns(self) -> int | None:
        """The timestamp as data frames carry it."""
        return None if self.timestamp is None else round(self.timestamp * 1e9)

    @property
    def deadline_ns(self) -> int | None:
        """The deadline as the extension block carries it."""
        return None if self.deadline is None else round(self.deadline * 1e9)


def read_message(body: JsonBody) -> JsonMessage:
    """Read a ``message``, which names its stream.

    Raises:
        RequestRefused: ``INVALID_REQUEST``; ``INVALID_TENSOR``, ``SIZE_MISMATCH`` or ``CORRUPT_PAYLOAD`` for a tensor.
    """
    return JsonMessage("message", stream=body.text("stream"), **_read_common(body))


def read_request(body: JsonBody) -> JsonMessage:
    """Read a ``request``, which names an address; without a correlation of its own, its ``id`` is the correlation.

    Raises:
        RequestRefused: as :func:`read_message`.
    """
    common = _read_common(body)
    if common["correlation"] is None:
        common["correlation"] = body.integer("id")
    return JsonMessage("request", stream=body.text("stream"), **common)


def read_reply(body: JsonBody) -> JsonMessage:
    """Read a ``reply``, which names the peer and the correlation.

    Raises:
        RequestRefused: as :func:`read_message`.
    """
    body.integer("correlation")
    body.integer("peer", U32_MAX)
    return JsonMessage("reply", **_read_common(body))


def _read_common(body: JsonBody) -> dict[str, Any]:
    """Read the fields that the three data messages share."""
    headers = body.mapping_or_none("headers")
    if headers is not None:
        _check_headers(headers)
    ack, failed, more = [body.boolean_or_none(name) for name in ("ack", "failed", "more")]
    return {
        "id": body.integer_or_none("id"),
        "kind": body.choice_or_none("kind", Kind),
        "durability": body.choice_or_none("durability", Durability),
        "ack": ack is not False,
        "tensors": _read_tensors(body),
        "headers": headers,
        "correlation": body.integer_or_none("correlation"),
        "failed": failed is True,
        "more": more is True,
        "deadline": _read_time(body, "deadline"),
        "peer": body.integer_or_none("peer", U32_MAX),
        "timestamp": _read_time(body, "timestamp"),
        "offset": body.integer_or_none("offset"),
        "epoch": body.integer_or_none("epoch", EXACT_MAX),
        "client_id": body.text_or_none("client_id"),
        "client_type": body.text_or_none("client_type"),
    }


def _read_time(body: JsonBody, name: str) -> float | None:
    time_s = body.number_or_none(name)
    if time_s is not None and time_s > _MAX_TIMESTAMP_S:
        raise RequestRefused(Code.INVALID_REQUEST, f"{name} {time_s} s exceeds {_MAX_TIMESTAMP_S} s")
    return time_s


def _check_headers(headers: dict[str, Any]) -> None:
    size = len(_dumps(headers))
    if size > MAX_HEADERS_BYTES:
        raise RequestRefused(Code.INVALID_REQUEST, f"headers of {size} bytes exceed {MAX_HEADERS_BYTES} bytes")


def _read_tensors(body: JsonBody) -> tuple[tuple[str, Array], ...]:
    if "payload" not in body:
        return ()
    payload = body.nested("payload")
    if "tensors" not in payload:
        return (("", _read_tensor("", payload)),)
    tensors = payload.nested("tensors")
    names = list(payload.mapping_or_none("tensors") or ())
    if len(names) > MAX_TENSORS:
        raise RequestRefused(
            Code.INVALID_TENSOR, f"{len(names)} tensors in one message; at most {MAX_TENSORS} are allowed"
        )
    for name in names:
        if len(name.encode()) > MAX_NAME_BYTES:
            raise RequestRefused(
                Code.INVALID_TENSOR, f"tensor name {name[:_SHOWN_FIELD_CHARS]!r}... exceeds {MAX_NAME_BYTES} bytes"
            )
    return tuple((name, _read_tensor(name, tensors.nested(name))) for name in names)


def _read_tensor(name: str, tensor: JsonBody) -> Array:
    """Return a read-only array over the decoded data; compare sizes before decoding."""
    dtype = dtype_named(tensor.text("dtype")[:_SHOWN_FIELD_CHARS])  # no name is as long, and a refusal repeats it
    shape = tensor.integers("shape")
    if len(shape) > MAX_NDIM:
        raise RequestRefused(
            Code.INVALID_TENSOR, f"tensor {name!r} has {len(shape)} dimensions; at most {MAX_NDIM} are allowed"
        )
    spec = TensorSpec(name, dtype, shape)
    found = tensor.get("data")
    known = found if isinstance(found, DecodedData) else None
    data = tensor.text("data") if known is None else ""
    chars = len(data) if known is None else known.chars
    if chars != _base64_chars(spec.nbytes):
        raise RequestRefused(
            Code.SIZE_MISMATCH,
            f"{chars} characters of base64 cannot hold the {spec.nbytes} bytes of tensor {name!r}",
        )
    if known is not None:
        return view_tensors((spec,), known.data)[0]
    try:
        decoded = binascii.a2b_base64(data, strict_mode=True)
    except ValueError as error:  # binascii.Error is a ValueError, and so is the refusal of text beyond ASCII
        raise RequestRefused(Code.CORRUPT_PAYLOAD, f"data of tensor {name!r} is not base64: {error}") from None
    return view_tensors((spec,), decoded)[0]


def render_message(envelope: JsonMessage, meta: Meta, payload: Buffer, *, max_bytes: int | None = None) -> bytes:
    """Return the text of a binary message, for all its JSON receivers.

    Args:
        envelope: every field but tensors and headers.
        meta: parsed meta block of the message.
        payload: decoded payload of the message; not kept.
        max_bytes: bound of the receivers on the text.

    Raises:
        RequestRefused: ``MESSAGE_TOO_BIG``, the text exceeds ``max_bytes``; raised before encoding if the data alone
            does. ``SIZE_MISMATCH`` or ``INVALID_TENSOR``, the payload does not match ``meta``. ``INVALID_REQUEST``,
            the headers are nested too deeply to be written.
    """
    views = view_tensors(meta.specs, payload)
    tensors = tuple((spec.name, view) for spec, view in zip(meta.specs, views, strict=True))
    return write_message(replace(envelope, tensors=tensors, headers=meta.headers), max_bytes=max_bytes)


def render_batch(
    envelope: JsonMessage, meta: Meta, payload: Buffer, count: int, *, max_bytes: int | None = None
) -> Iterator[bytes]:
    """Yield the texts of the records of a batch, in order, as :func:`render_message` makes them.

    Args:
        envelope: every field of the first record but its tensor.
        meta: parsed meta block of the batch.
        payload: decoded payload of the batch.
        count: number of records.
        max_bytes: bound of the receivers on the text of one record.
    """
    records = view_tensors(meta.specs, payload, count=count)[0]
    name = meta.specs[0].name
    for index in range(count):
        record = replace(envelope, tensors=((name, records[index, ...]),), headers=None)
        if envelope.offset is not None:
            record = replace(record, id=envelope.offset + index, offset=envelope.offset + index)
        yield write_message(record, max_bytes=max_bytes)


def write_message(message: JsonMessage, *, max_bytes: int | None = None) -> bytes:
    """Return the text of a message, of either direction.

    Raises:
        RequestRefused: ``MESSAGE_TOO_BIG`` or ``INVALID_REQUEST``, see :func:`render_message`.
        UnsupportedDtype: the dtype of a tensor cannot travel.
        InvalidArgument: two tensors of the same name.
    """
    arrays = [(name, as_wire_array(value)) for name, value in message.tensors]
    if len({name for name, _ in arrays}) != len(arrays):
        raise InvalidArgument(f"tensors of one message need different names; given are {[name for name, _ in arrays]}")
    _check_size(sum(_base64_chars(array.nbytes) for _, array in arrays), max_bytes)
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
    text = write_envelope(
        message.message_type,
        _payload_parts(arrays),
        id=message.id,
        timestamp=message.timestamp,
        client_id=message.client_id,
        client_type=message.client_type,
        headers=message.headers,
        further={name: value for name, value in optional.items() if value is not None},
    )
    _check_size(len(text), max_bytes)
    return text


def _quantized(quantized: Quantization) -> dict[str, Any]:
    return {
        "dtype": dtype_name(quantized.dtype),
        "scale": quantized.scale,
        "zero_point": quantized.zero_point,
    }


def write_envelope(
    message_type: str,
    payload: list[bytes],
    *,
    id: int | None = None,
    timestamp: float | None = None,
    client_id: str | None = None,
    client_type: str | None = None,
    headers: dict[str, Any] | None = None,
    further: dict[str, Any] | None = None,
) -> bytes:
    """Return the JSON object of a text message, with the payload at its end.

    Args:
        message_type: name of the message.
        payload: pieces of JSON that are the payload together.
        id: the sender's number for the message.
        timestamp: Unix time in seconds.
        client_id: id of the publisher, from the server.
        client_type: type of the publisher, from the server.
        headers: headers of the message.
        further: fields behind the headers, in order.

    Raises:
        RequestRefused: ``INVALID_REQUEST``, the headers cannot be written.
    """
    fields = {
        "id": id,
        "timestamp": timestamp,
        "client_id": client_id,
        "client_type": client_type,
        "message_type": message_type,
        "headers": headers,
        **(further or {}),
    }
    # The only copy of base64 data: orjson would copy it for the quotes, and again while its buffer grows.
    return b"".join([_dumps(fields)[:-1], b',"payload":', *payload, b"}"])


def _payload_parts(arrays: list[tuple[str, Array]]) -> list[bytes]:
    if not arrays:
        return [b"null"]
    if len(arrays) == 1 and not arrays[0][0]:
        return _tensor_parts(arrays[0][1])
    parts = [b'{"tensors":']
    separator = b"{"
    for name, array in arrays:
        parts += [separator, orjson.dumps(name), b":", *_tensor_parts(array)]
        separator = b","
    return [*parts, b"}}"]


def _tensor_parts(array: Array) -> list[bytes]:
    head = orjson.dumps({"dtype": dtype_name(array.dtype), "shape": array.shape})
    (data,) = payload_buffers([array])
    return [head[:-1], b',"data":"', binascii.b2a_base64(data, newline=False), b'"}']


def _base64_chars(size: int) -> int:
    """Return the length of the base64 text of ``size`` bytes."""
    return (size + 2) // 3 * 4


def _check_size(text_bytes: int, max_bytes: int | None) -> None:
    if max_bytes is not None and text_bytes > max_bytes:
        raise RequestRefused(
            Code.MESSAGE_TOO_BIG,
            f"the message takes {text_bytes} bytes as JSON; the receiver takes {max_bytes} at most",
        )


def _dumps(value: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:  # orjson reads objects that are nested more deeply than those it writes
        raise RequestRefused(Code.INVALID_REQUEST, f"headers cannot be written as JSON: {error}") from None
