"""``message``, ``request`` and ``reply`` of the JSON subprotocol: fields and reading (spec section 14).

:mod:`gateway.protocol.message_text` writes them.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from gateway.errors import Code, RequestRefused
from gateway.protocol.dtypes import dtype_named
from gateway.protocol.durability import Durability
from gateway.protocol.extensions import Quantization
from gateway.protocol.json_body import EXACT_MAX, I64_MAX, U32_MAX, JsonBody
from gateway.protocol.messages import Kind
from gateway.protocol.tensors import Array, TensorSpec, view_tensors
from gateway.protocol.wire import MAX_HEADERS_BYTES, MAX_NAME_BYTES, MAX_NDIM, MAX_TENSORS, Opcode

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
        "id": body.integer_or_none("id", EXACT_MAX),
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
    size = len(json_of(headers))
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
    tensor_name = f"tensor {name!r}" if name else "the tensor"
    if chars != base64_chars(spec.nbytes):
        came = _bytes_in(data) if known is None else known.data.nbytes
        raise _size_mismatch(tensor_name, spec.nbytes, chars, came)
    if known is not None:
        return view_tensors((spec,), known.data)[0]
    try:
        decoded = binascii.a2b_base64(data, strict_mode=True)
    except ValueError as error:  # binascii.Error is a ValueError, and so is the refusal of text beyond ASCII
        raise RequestRefused(Code.CORRUPT_PAYLOAD, f"data of {tensor_name} is not base64: {error}") from None
    return view_tensors((spec,), decoded)[0]


def _bytes_in(data: str) -> int | None:
    """Return the number of bytes that a base64 text holds; ``None`` if it is not padded, or has line breaks."""
    if len(data) % 4 or "\n" in data:
        return None
    return len(data) // 4 * 3 - data[-2:].count("=")


def _size_mismatch(tensor_name: str, expected: int, chars: int, came: int | None) -> RequestRefused:
    """Return the refusal of base64 of another length than that of the bytes of a tensor."""
    text = f"{chars} characters of base64"
    if came is None:
        rule = "it is padded with '=' to a multiple of 4, and has no line breaks"
        problem = f"{text} cannot hold the {expected} bytes of {tensor_name}: {rule}"
    else:
        problem = f"data of {tensor_name} has {came} bytes ({text}), its dtype and shape say {expected}"
    return RequestRefused(Code.SIZE_MISMATCH, problem)


def base64_chars(size: int) -> int:
    """Return the length of the base64 text of ``size`` bytes."""
    return (size + 2) // 3 * 4


def json_of(value: dict[str, Any]) -> bytes:
    """Return fields as JSON.

    Raises:
        RequestRefused: ``INVALID_REQUEST``, they are nested too deeply.
    """
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:  # orjson reads objects that are nested more deeply than those it writes
        raise RequestRefused(Code.INVALID_REQUEST, f"headers cannot be written as JSON: {error}") from None
