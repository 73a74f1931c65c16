"""Views: computes views of messages (spec section 4.5). Slow: called in worker threads. Knows no receivers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from gateway.errors import RequestRefused, fresh
from gateway.protocol.data import DataFrame, parse_data
from gateway.protocol.dtypes import BYTE, DTypeLike
from gateway.protocol.encoding import decode
from gateway.protocol.extensions import Extensions
from gateway.protocol.frames import iter_frames
from gateway.protocol.limits import Limits
from gateway.protocol.meta import parse_meta, with_specs
from gateway.protocol.quantization import cast
from gateway.protocol.tensors import Array, TensorSpec, payload_buffers, payload_layout, view_tensors
from gateway.protocol.views import MANY_QUANTIZED, View
from gateway.protocol.wire import Buffer, Opcode
from gateway.streams.history import Entry
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run, Source

JOINED_FRAME_BYTES: Final = 16 * 1024
"""Smaller frames are joined to one run; each larger one is a run, so that a fan-out can encode its payload."""

_BATCH_HEAD_BYTES: Final = 1024
"""Upper bound of header, descriptor and extension block of a record batch, which goes out in one frame."""


class Misfit(NamedTuple):
    """Messages that a view does not fit, or that do not decode."""

    first: int
    last: int
    refusal: RequestRefused


ViewedEntriesRead = Callable[[Sequence[Entry | Misfit] | Exception], object]
"""Callback as :data:`~gateway.streams.history.EntriesRead`, also for views, which do not fit all messages."""


class Shown(NamedTuple):
    """Messages as a view shows them."""

    run: Run
    """The frames."""
    frame: DataFrame | None
    """The only frame, if its payload is worth encoding; its buffers are those of the run."""
    element: DTypeLike
    """Dtype of the elements, for codecs."""
    size: int
    """Bytes of the payloads."""


class ShownLarge(NamedTuple):
    """Message as a view shows it, to go out in chunks."""

    frame: DataFrame
    """The message with the complete payload; without any if the message has ``chunks``."""
    element: DTypeLike
    """Dtype of the elements, for codecs."""
    size: int
    """Bytes of the payload."""
    chunk_bytes: int
    """Decoded size of the chunks."""
    chunks: Sequence[StoredChunk] = ()
    """Chunks of a message of which the view takes everything: those that were published, not copied."""


ViewPart = Shown | ShownLarge | Misfit


def show(view: View, entry: Run | LargeMessage, source: Source, limits: Limits) -> list[ViewPart]:
    """Return messages as a view shows them, in their order.

    Args:
        view: selection and conversion.
        entry: messages of the stream; a large message is complete.
        source: the stream of the view.
        limits: bounds on results; payloads above ``chunk_bytes`` go out in chunks.
    """
    if isinstance(entry, LargeMessage) and _takes_all(view) and _goes_out_in_chunks(entry, limits):
        frame = entry.frame()._replace(flags=0, stream=source.id, extensions=None)
        element = parse_meta(frame.meta).specs[0].dtype
        plan = entry.plan
        return [ShownLarge(frame, element, plan.payload_bytes, plan.chunk_bytes, entry.chunks)]
    parts: list[ViewPart] = []
    small: list[DataFrame] = []
    for frame in _frames_of(entry):
        try:
            shown = show_frame(view, frame, source.id, limits)
        except RequestRefused as refusal:
            last = frame.offset + frame.count - 1
            _join(source, small, parts)
            before = parts[-1] if parts else None
            if isinstance(before, Misfit) and before.refusal.code == refusal.code:
                parts[-1] = before._replace(last=last)
            else:
                parts.append(Misfit(frame.offset, last, fresh(refusal)))
            continue
        if len(shown.payload) < min(JOINED_FRAME_BYTES, limits.chunk_bytes):
            small.append(shown)
            continue
        _join(source, small, parts)
        element = parse_meta(shown.meta).specs[0].dtype
        if len(shown.payload) > limits.chunk_bytes and shown.opcode == Opcode.MESSAGE:
            parts.append(ShownLarge(shown, element, len(shown.payload), limits.chunk_bytes))
        else:
            buffers = shown.write()
            run = Run.of_frame(source, shown.offset, buffers, shown.count)
            parts.append(Shown(run, shown, element, len(shown.payload)))
    _join(source, small, parts)
    return parts


def show_frame(view: View, frame: DataFrame, stream_id: int, limits: Limits) -> DataFrame:
    """Return one message or record batch as a view shows it.

    Args:
        view: selection and conversion.
        frame: message of the stream with its payload, encoded or not.
        stream_id: number of the view's stream.
        limits: bounds on the result.

    Returns:
        the frame of the view, plain. Its payload is that of ``frame`` if the view takes all of it; a part is copied, as
        it would keep all of it alive.

    Raises:
        RequestRefused: ``INVALID_VIEW``, the view does not fit; ``CORRUPT_PAYLOAD``.
    """
    specs = parse_meta(frame.meta).specs
    count = frame.count if frame.opcode == Opcode.BATCH else None
    wanted = view.check_all(specs)
    _check_size(view, specs, wanted, count, limits)
    payload = decode(frame.encoding, frame.payload)
    tensors = view_tensors(specs, payload, count=count)
    arrays: list[Array] = []
    quantized = None
    for place, spec in zip(view.select(specs), wanted, strict=True):
        taken = view.apply(tensors[place], is_batch=count is not None)
        try:
            array, how = cast(taken, spec.dtype)
        except OverflowError as error:
            raise view.misfit(specs[place], str(error)) from None
        if how is not None and len(wanted) > 1:
            raise view.misfit(specs[place], MANY_QUANTIZED)
        arrays.append(array.copy() if array.base is not None and array.nbytes < len(payload) else array)
        quantized = how
    buffers = payload_buffers(arrays) if arrays else []
    return DataFrame(
        opcode=frame.opcode,
        flags=0,
        stream=stream_id,
        publisher=frame.publisher,
        offset=frame.offset,
        timestamp_ns=frame.timestamp_ns,
        count=frame.count,
        meta=memoryview(with_specs(frame.meta, wanted)),
        payload=memoryview(buffers[0] if len(buffers) == 1 else b"".join(buffers)),
        extensions=None if quantized is None else Extensions(quantized=quantized),
    )


def _join(source: Source, frames: list[DataFrame], parts: list[ViewPart]) -> None:
    """Join small frames to one run; ``frames`` is empty afterwards."""
    if not frames:
        return
    run = Run.of_frames(source, frames[0].offset, [(b"".join(frame.write()), frame.count) for frame in frames])
    parts.append(Shown(run, None, BYTE, sum([len(frame.payload) for frame in frames])))
    frames.clear()


def _check_size(
    view: View, specs: Sequence[TensorSpec], wanted: Sequence[TensorSpec], count: int | None, limits: Limits
) -> None:
    """Check the size of the result, as the dtype of a view may be wider than that of the tensor."""
    size = payload_layout(wanted)[1] * (count or 1)
    bound = limits.max_message_bytes if count is None else limits.max_frame_bytes - _BATCH_HEAD_BYTES
    if size > bound:
        raise view.misfit(specs[0], f"the result of {size} bytes is larger than {bound}")


def _takes_all(view: View) -> bool:
    """Return whether a view takes all of a message as it is, at whatever rate."""
    return not view.slice and view.dtype is None and view.tensor is None


def _goes_out_in_chunks(message: LargeMessage, limits: Limits) -> bool:
    """Return whether the chunks of a message can be those of a view of all of it."""
    large = limits.chunk_bytes < message.plan.payload_bytes <= limits.max_message_bytes
    return large and all(chunk.encoding is None for chunk in message.chunks)


def _frames_of(entry: Run | LargeMessage) -> list[DataFrame]:
    if isinstance(entry, Run):
        data = entry.joined()
        return [parse_data(data, frame) for frame in iter_frames(data)]
    return [entry.frame(_whole_payload(entry))]


def _whole_payload(message: LargeMessage) -> Buffer:
    first = message.chunks[0]
    if len(message.chunks) == 1 and first.encoding is None:
        return first.data
    whole = np.empty(message.plan.payload_bytes, np.uint8).data
    message.copy_payload(whole)
    return whole.toreadonly()
