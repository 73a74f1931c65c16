"""Payload count: messages of runs as credit counts them (spec section 7.5), a record batch as one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from gateway.protocol.data import parse_data
from gateway.protocol.frames import frame_at
from gateway.protocol.wire import (
    ALIGNMENT,
    BATCH_BLOCK,
    DATA_HEADER,
    FLAG_ENCODED,
    FLAG_EXTENDED,
    FRAME_START,
    Opcode,
)
from gateway.streams.run import Run, TextRun


class PayloadCount(NamedTuple):
    """Number and size of messages."""

    messages: int
    """Messages; a record batch is one, unless it is written as text, which has one message for each record."""
    nbytes: int
    """Bytes of their decoded payloads."""


class Split(NamedTuple):
    """A run, cut where credit ends."""

    taken: Run
    """Messages for which there is credit."""
    rest: Run | None
    """Messages behind them; ``None``: there are none."""
    payloads: PayloadCount
    """Count of ``taken``."""


def count_of(runs: Iterable[Run]) -> PayloadCount:
    """Return the count of all messages in some runs."""
    messages = nbytes = 0
    for run in runs:
        if isinstance(run, TextRun):
            messages += run.messages
            nbytes += run.payload_bytes
            continue
        for _, payload_bytes in _payloads(run):
            messages += 1
            nbytes += payload_bytes
    return PayloadCount(messages, nbytes)


def split_run(run: Run, messages: int, nbytes: int) -> Split:
    """Cut a run behind the last message for which there is credit; the last one may exceed the bytes.

    Text is not cut.

    Args:
        run: the messages.
        messages: messages for which there is credit, at least 1.
        nbytes: bytes for which there is credit, at least 1.
    """
    if isinstance(run, TextRun) or not run.last_at:
        return Split(run, None, count_of((run,)))
    following = run.first
    taken = taken_bytes = 0
    for count, payload_bytes in _payloads(run):
        if taken >= messages or taken_bytes >= nbytes:
            rest = run.part(following, run.last)
            return Split(run.part(run.first, following - 1), rest, PayloadCount(taken, taken_bytes))
        taken += 1
        taken_bytes += payload_bytes
        following += count
    return Split(run, None, PayloadCount(taken, taken_bytes))


def _payloads(run: Run) -> Iterator[tuple[int, int]]:
    """Yield the number of messages in each frame, and the bytes of its decoded payload."""
    # A run of several frames is in one buffer; the header of a single one is in its first.
    data = run.buffers[0]
    at = 0
    while at < run.size:
        frame_bytes, opcode, flags, meta_units = FRAME_START.unpack_from(data, at)
        is_batch = opcode == Opcode.BATCH
        count = BATCH_BLOCK.unpack_from(data, at + DATA_HEADER.size)[0] if is_batch else 1
        if flags & (FLAG_EXTENDED | FLAG_ENCODED):
            whole = run.joined()
            payload_bytes = parse_data(whole, frame_at(whole, at)).decoded_bytes
        else:
            payload_bytes = frame_bytes - DATA_HEADER.size - meta_units * ALIGNMENT - is_batch * BATCH_BLOCK.size
        yield count, payload_bytes
        at = (at + frame_bytes + 7) & -8
