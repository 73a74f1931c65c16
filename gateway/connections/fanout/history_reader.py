"""Reads from the past of streams what receivers of one format and with the same codecs can take."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from gateway.connections.fanout.recode import chunk_codecs, decode_run, recode_chunk, run_codecs
from gateway.connections.outbound.backfill import Found, LargeForm, Taken
from gateway.connections.outbound.formats import Format, in_one_piece
from gateway.connections.ports import PastReader, Workers
from gateway.errors import RequestRefused
from gateway.protocol.codecs import CODEC_NAMES, SHUFFLE
from gateway.protocol.encoding import PLAIN
from gateway.protocol.signals import Gap
from gateway.streams.history import Entry
from gateway.streams.run import Run, Source
from gateway.streams.span import offsets_of
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

PUBLISHED_CODECS = frozenset((*CODEC_NAMES, SHUFFLE.name))
"""All that a publish may be encoded by: whoever knows them takes every message as it came."""

THREAD_BYTES = 64 * 1024
"""Larger runs are written as text in a thread."""


class HistoryReader:
    """All reading of history, for all receivers.

    Args:
        store: has the past.
        workers: threads for decoding.
    """

    def __init__(self, store: PastReader, workers: Workers) -> None:
        self._store = store
        self._workers = workers

    def read(
        self,
        source: Source,
        form: Format,
        codecs: frozenset[str],
        first: int,
        last: int,
        max_bytes: int,
        taken: Taken,
    ) -> None:
        """Read the messages ``first .. last`` for receivers that take ``form`` and know ``codecs``.

        Calls ``taken`` with what there is, at once if it is in memory and need not be decoded; with nothing if nothing
        of it is held, or can be read, any more.
        """
        if not isinstance(source, Stream):
            taken(())
            return

        def found(entries: Sequence[Entry] | Exception) -> None:
            if isinstance(entries, Exception):
                logger.error("offsets %d to %d of %s cannot be read", first, last, source.name, exc_info=entries)
                taken(())
            elif all(_as_it_is(entry, form, codecs) for entry in entries):
                taken([entry if isinstance(entry, Run) else LargeForm(entry, entry.chunks) for entry in entries])
            else:
                self._workers.submit(
                    lambda: [part for entry in entries for part in _taken_by(entry, form, codecs)], done
                )

        def done(parts: list[Found] | BaseException) -> None:
            if isinstance(parts, BaseException):
                logger.error("offsets %d to %d of %s cannot be decoded", first, last, source.name, exc_info=parts)
                taken(())
            else:
                taken(parts)

        self._store.read(source, first, last, max_bytes, found)

    def of(self, source: Source, form: Format, codecs: frozenset[str]) -> partial[None]:
        """:meth:`read` for the receivers of one delivery class."""
        return partial(self.read, source, form, codecs)


def _as_it_is(entry: Entry, form: Format, codecs: frozenset[str]) -> bool:
    """Whether the receivers take it as it was published, and without work that takes long."""
    if not form.takes_chunks:
        return isinstance(entry, Run) and entry.size <= THREAD_BYTES
    if codecs >= PUBLISHED_CODECS:
        return True
    return (run_codecs(entry) if isinstance(entry, Run) else chunk_codecs(entry.chunks)) <= codecs


def _taken_by(entry: Entry, form: Format, codecs: frozenset[str]) -> Sequence[Found]:
    """In a form that the receivers take. Runs in a thread."""
    if isinstance(entry, Run):
        return decode_run(entry, codecs) if form.takes_chunks else (in_one_piece(form, entry),)
    try:
        if not form.takes_chunks:
            return (in_one_piece(form, entry),)
        known = chunk_codecs(entry.chunks) <= codecs
        chunks = entry.chunks if known else [recode_chunk(chunk, PLAIN, 1) for chunk in entry.chunks]
        return (LargeForm(entry, chunks),)
    except RequestRefused as refusal:
        return (Gap(entry.source.id, refusal.code, *offsets_of(entry)),)
