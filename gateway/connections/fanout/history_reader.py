"""Reads from the past of streams what receivers of one format and with the same codecs can take."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from gateway.connections.fanout.form import Work, form_of
from gateway.connections.outbound.backfill import Found, LargeForm, Taken
from gateway.connections.outbound.formats import Format
from gateway.connections.ports import PastReader, Workers
from gateway.streams.history import Entry
from gateway.streams.run import Run, Source
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)


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
                return
            forms = [form_of(entry, form, codecs) for entry in entries]
            ready = [each for each in forms if not isinstance(each, Work)]
            if len(ready) == len(forms):
                taken(ready)
            else:
                self._workers.submit(partial(_parts, forms), done)

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


def _parts(forms: Sequence[Run | LargeForm | Work]) -> list[Found]:
    """Return the forms in order, with the work among them done. Runs in a thread."""
    return [part for form in forms for part in (form.make() if isinstance(form, Work) else (form,))]
