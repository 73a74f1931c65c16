"""Payload: checks of received data frames, and runs made of them."""

from __future__ import annotations

from gateway.connections.fanout.recode import codec_names
from gateway.errors import Code, RequestRefused
from gateway.protocol.codecs import DELTAS
from gateway.protocol.data import DataFrame
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.encoding import Encoding, check_declared_size
from gateway.protocol.frames import Frame
from gateway.protocol.limits import Limits
from gateway.protocol.meta import Meta
from gateway.protocol.wire import DATA_ROUTE, ROUTE_AT, Buffer, Opcode, padded
from gateway.streams.run import Run, Source

_BATCH = int(Opcode.BATCH)

COPIED_FRAME_BYTES = 16 * 1024
"""Frames up to this size are copied to patch their header; of larger ones only the header is copied."""


def check_encoding(encoding: Encoding, data: Buffer, decoded_bytes: int, codecs: frozenset[str], what: Code) -> None:
    """Check an encoding block against the agreed codecs and the size that it must decode to.

    Args:
        encoding: the block.
        data: the encoded payload.
        decoded_bytes: size by the descriptors or the chunk plan.
        codecs: names agreed on with the sender.
        what: error code for another size.

    Raises:
        RequestRefused: ``UNKNOWN_CODEC``, ``CORRUPT_PAYLOAD`` or ``what``.
    """
    names = codec_names(encoding.ids)
    if not names <= codecs:
        unknown = ", ".join(sorted(names - codecs))
        raise RequestRefused(Code.UNKNOWN_CODEC, f"codec {unknown} was not agreed on: use one that WELCOME names")
    if encoding.distance:
        filters = ", ".join(names.intersection(DELTAS))
        message = f"{filters} cannot be published: the gateway makes deltas for receivers that hold the base"
        raise RequestRefused(Code.UNKNOWN_CODEC, message)
    if encoding.decoded_bytes != decoded_bytes:
        message = f"encoded payload declares {encoding.decoded_bytes} bytes, dtype and shape say {decoded_bytes}"
        raise RequestRefused(what, message)
    check_declared_size(encoding, data)


def check_size(payload_bytes: int, limits: Limits) -> None:
    """Refuse a message whose decoded payload is above ``max_message_bytes``."""
    if payload_bytes > limits.max_message_bytes:
        message = f"payload of {payload_bytes} bytes exceeds max_message_bytes={limits.max_message_bytes}"
        raise RequestRefused(Code.MESSAGE_TOO_BIG, message + " of the gateway: raise it, or split the tensor")


def check_payload(parsed: DataFrame, meta: Meta, codecs: frozenset[str], limits: Limits) -> DTypeLike:
    """Check that the payload of a frame without chunks agrees with its descriptors.

    Args:
        parsed: the frame.
        meta: its parsed meta block.
        codecs: names agreed on with the sender.
        limits: bounds of the gateway.

    Returns:
        the dtype of the elements, for codecs.

    Raises:
        RequestRefused: ``SIZE_MISMATCH``, ``UNKNOWN_CODEC``, ``CORRUPT_PAYLOAD``, ``MESSAGE_TOO_BIG``, or for a
            record batch of several tensors or with headers ``INVALID_TENSOR``.
    """
    payload_bytes = meta.payload_bytes
    if parsed.opcode == _BATCH:
        if len(meta.specs) != 1 or meta.headers is not None:
            message = f"record batch of {len(meta.specs)} tensors and headers {meta.headers}: it takes one and none"
            raise RequestRefused(Code.INVALID_TENSOR, message)
        payload_bytes *= parsed.count
    check_size(payload_bytes, limits)
    if payload_bytes > limits.max_frame_bytes:
        message = f"payload of {payload_bytes} bytes in one frame exceeds max_frame_bytes={limits.max_frame_bytes}: "
        raise RequestRefused(Code.MESSAGE_TOO_BIG, message + "send it in chunks")
    if parsed.encoding is not None:
        check_encoding(parsed.encoding, parsed.payload, payload_bytes, codecs, Code.SIZE_MISMATCH)
    elif len(parsed.payload) != payload_bytes:
        message = f"payload of {len(parsed.payload)} bytes, dtype and shape say {payload_bytes}"
        raise RequestRefused(Code.SIZE_MISMATCH, message)
    return meta.element


def frame_as_run(data: Buffer, frame: Frame, parsed: DataFrame, source: Source, publisher: int, offset: int) -> Run:
    """Return one frame as a run, with its header patched; the payload of a large frame is not copied.

    Args:
        data: the WebSocket message that holds the frame.
        frame: its place in the message.
        parsed: its blocks.
        source: stream or inbox that it goes to.
        publisher: the sender's peer.
        offset: of the message, or of the first record.
    """
    _, _, _, start, end = frame
    padded_end = start + padded(end - start)
    cut = padded_end if padded_end - start <= COPIED_FRAME_BYTES else end - len(parsed.payload)
    return cut_as_run(memoryview(data), start, cut, padded_end, source, publisher, offset, parsed.count)


def cut_as_run(
    view: memoryview, start: int, cut: int, padded_end: int, source: Source, publisher: int, offset: int, count: int
) -> Run:
    """Return one frame as a run; its bytes before ``cut`` are copied and patched, the others shared.

    Args:
        view: the WebSocket message that holds the frame.
        start: index of the frame.
        cut: index behind the bytes that are copied.
        padded_end: index behind the frame and its padding.
        source: stream or inbox that it goes to.
        publisher: the sender's peer.
        offset: of the message, or of the first record.
        count: number of messages in the frame.
    """
    head = bytearray(view[start:cut])
    DATA_ROUTE.pack_into(head, ROUTE_AT, source.id, publisher, offset)
    buffers: tuple[Buffer, ...] = (head,) if cut == padded_end else (head, view[cut:padded_end])
    return Run(source, offset, count, buffers, padded_end - start, 0, count)


def readdressed(run: Run, source: Source, publisher: int) -> Run:
    """Return a run of one frame for another source; its payload is shared."""
    head = bytearray(run.buffers[0])
    DATA_ROUTE.pack_into(head, ROUTE_AT, source.id, publisher, run.first)
    return Run(source, run.first, run.count, (head, *run.buffers[1:]), run.size, 0, run.last_count)
