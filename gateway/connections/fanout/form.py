"""Deliverable forms: how a kept message reaches receivers of one format that know the same codecs.

This module alone decides whether such receivers take a message as it was published, decoded or as text.
:class:`~gateway.connections.fanout.transcoder.Transcoder` encodes live messages where that pays.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial
from typing import Final, NamedTuple

from gateway.connections.fanout.recode import chunk_codecs, decode_run, recode_chunk, run_codecs
from gateway.connections.outbound.backfill import Found, LargeForm
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.formats import Format, UnchunkedFormat, written
from gateway.connections.ports import Steps
from gateway.connections.sliced_workers import taken_at_once
from gateway.errors import Code, RequestRefused, name_of
from gateway.protocol.codecs import CODEC_NAMES, SHUFFLE
from gateway.protocol.dtypes import BYTE
from gateway.protocol.encoding import PLAIN
from gateway.protocol.signals import Gap
from gateway.protocol.wire import (
    DATA_HEADER,
    DESCRIPTOR,
    DESCRIPTOR_MORE,
    FLAG_ENCODED,
    FLAGS_AT,
    FRAME_START,
    MAX_TENSORS,
    Opcode,
)
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run
from gateway.streams.span import offsets_of

logger = logging.getLogger(__name__)

PUBLISHED_CODECS = frozenset((*CODEC_NAMES, SHUFFLE.name))
"""Codecs and filters of publishes: receivers that know all of them take every message as it was published."""


TEXTS_AT_ONCE: Final = 64
"""Messages and KiB of a run, or of all at the end of a turn, that are written as text in one step of less than 1 ms."""

TENSORS_A_TEXT: Final = 3
"""Tensors of a message that take as long as another message: 5 us each (CPython 3.11, 2026-11)."""

LONG_TEXT_BYTES: Final = 512 * 1024
"""Text that is written to all members of a class together."""

_DESCRIPTOR_FLAGS_AT: Final = DATA_HEADER.size + DESCRIPTOR.size - 1
"""Index of the flags of the first tensor in a frame that is no batch."""


class Work(NamedTuple):
    """Work that makes the form which receivers take."""

    name: str
    """Name of that form: the same for all receivers that take the same form of a message of one frame."""
    make: Callable[[], Sequence[Found]] | Steps[Sequence[Found]]
    """Function for a thread, or steps, with the form in parts as the result, one for a message of one frame; a gap
    stands for messages that cannot be decoded.

    Raises:
        RequestRefused: a REQUEST cannot be written as text.
    """
    brief: bool = False
    """Whether it takes a fraction of a millisecond: :func:`made_now` may do it."""


def form_of(entry: Run | LargeMessage, form: Format, codecs: frozenset[str]) -> Run | LargeForm | Work:
    """Return the form in which receivers take messages, or the work that makes it.

    Args:
        entry: a run, or a complete large message that has its offset.
        form: how messages become bytes for the receivers.
        codecs: names of the codecs and filters that they know.
    """
    if isinstance(entry, Run):
        if not form.takes_chunks:
            return entry if entry.is_text else Work(form.name, _text(form, entry), is_brief(entry))
        plain = not entry.last_at and not entry.buffers[0][FLAGS_AT] & FLAG_ENCODED
        if plain or codecs >= PUBLISHED_CODECS or run_codecs(entry) <= codecs:
            return entry
        return Work("plain", partial(decode_run, entry, codecs))
    if not form.takes_chunks:
        return Work(form.name, _text(form, entry))
    if codecs >= PUBLISHED_CODECS or chunk_codecs(entry.chunks) <= codecs:
        return LargeForm(entry, entry.chunks)
    plain_chunks = entry.variants.get(PLAIN, ())
    if len(plain_chunks) == entry.plan.chunk_count:
        return LargeForm(entry, entry.variants[PLAIN])
    return Work("plain", partial(_plain, entry))


def made_of(result: Sequence[Found] | BaseException, entry: Run | LargeMessage) -> Found:
    """Return the form that :attr:`Work.make` gave for a message of one frame; a gap, which is logged, if it failed.

    An exception other than ``RequestRefused`` is a fault of the gateway, and logged with its traceback.
    """
    first, last = offsets_of(entry)
    error: BaseException | None = None
    if isinstance(result, BaseException):
        problem = str(result)
        error = None if isinstance(result, RequestRefused) else result
        form: Found = Gap(entry.source.id, Code.CORRUPT_PAYLOAD, first, last)
    else:
        (form,) = result
        if not isinstance(form, Gap):
            return form
        problem = name_of(form.code)
    logger.warning("message %d of %s cannot be decoded: %s", first, entry.source.name, problem, exc_info=error)
    return form


def made_now(work: Work) -> Sequence[Found] | RequestRefused:
    """Do brief work on this thread; return its result, as :meth:`~gateway.connections.ports.Workers.submit` does."""
    make = work.make
    try:
        return taken_at_once(make) if isinstance(make, Generator) else make()
    except RequestRefused as refusal:
        return refusal


def as_text(form: Format, runs: Sequence[Run], members: Iterable[Connection]) -> list[Run]:
    """Return runs as text for all members of a class; long text goes to each of them in a step of its own.

    To write megabytes to a socket takes a millisecond.
    """
    texts = [*written(form, runs)]
    if sum([text.size for text in texts]) > LONG_TEXT_BYTES:
        for member in members:
            member.drain_in_slices()
    return texts


def texts_in(run: Run) -> int:
    """Return the messages and KiB of a run, and as many more as its tensors take the time of."""
    texts = run.count + run.size // 1024
    if texts > TEXTS_AT_ONCE:
        return texts
    data = run.buffers[0]
    for at in run.starts() if run.last_at else (0,):
        _, opcode, flags, meta_units = FRAME_START.unpack_from(data, at)
        if flags & FLAG_ENCODED:
            # Its payload may be a thousand times as large once it is decoded.
            return texts + TEXTS_AT_ONCE
        # Descriptors take 8 bytes at least. Behind the last one are headers, which take no longer than other bytes.
        if meta_units and opcode != Opcode.BATCH and data[at + _DESCRIPTOR_FLAGS_AT] & DESCRIPTOR_MORE:
            texts += min(meta_units, MAX_TENSORS) // TENSORS_A_TEXT
    return texts


def is_brief(run: Run) -> bool:
    """Return whether a run is written as text in one step."""
    return texts_in(run) <= TEXTS_AT_ONCE


def text_of(form: UnchunkedFormat, make: Callable[[], Run]) -> Work:
    """Return the work that writes a run as text which has to be made first, in a thread."""

    def steps() -> Steps[Sequence[Found]]:
        run = yield make
        return (yield from _text(form, run))

    return Work(form.name, steps())


def _text(form: UnchunkedFormat, entry: Run | LargeMessage) -> Steps[Sequence[Found]]:
    return ((yield from form.writing(entry)),)


def _plain(message: LargeMessage) -> Sequence[Found]:
    try:
        return (LargeForm(message, [recode_chunk(chunk, PLAIN, BYTE) for chunk in message.chunks]),)
    except RequestRefused as refusal:
        return (Gap(message.source.id, refusal.code, *offsets_of(message)),)
