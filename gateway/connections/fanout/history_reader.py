"""History reader: reads messages that receivers missed, in a form that receivers of one class take."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterable, Sequence
from functools import partial
from itertools import chain
from typing import Final, Protocol

from gateway.connections.fanout.form import Work, form_of
from gateway.connections.outbound.backfill import LargeForm, PastPart, Taken
from gateway.connections.outbound.formats import Format, UnchunkedFormat
from gateway.connections.ports import Steps, Workers
from gateway.errors import StoreFailed
from gateway.streams.history import Entry
from gateway.streams.run import Run, Source
from gateway.streams.stream import Stream
from gateway.streams.view import Misfit, ViewedEntriesRead

logger = logging.getLogger(__name__)

MANY_TEXTS: Final = 4096
"""Messages of a run that is written as text in one piece: about 1 MB of text."""


class ViewedPastReader(Protocol):
    """Reader of the past of streams and of views. Called on the loop's thread; never blocks."""

    def read(self, stream: Stream, first: int, last: int, max_bytes: int, done: ViewedEntriesRead) -> None:
        """Read as :meth:`~gateway.connections.ports.PastReader.read` does.

        Messages that a view does not fit are told as such, in their place.
        """


class HistoryReader:
    """Reader of the history of all streams, for all receivers.

    Args:
        store: holds the messages.
        workers: threads that decode.
    """

    def __init__(self, store: ViewedPastReader, workers: Workers) -> None:
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
        """Read messages of a source.

        Args:
            source: the stream; an inbox has no history.
            form: how messages become bytes for the receivers.
            codecs: names of the codecs and filters that they know.
            first: offset of the first message.
            last: offset of the last one.
            max_bytes: about so much is read.
            taken: called with the messages that are held, and those that a view does not fit, in order; at once if they
                are in memory and need not be decoded. It gets an empty sequence if none of them is held, or can be
                read, any more.
        """
        if not isinstance(source, Stream):
            taken(())
            return

        def found(entries: Sequence[Entry | Misfit] | Exception) -> None:
            if isinstance(entries, StoreFailed):
                # The store has logged it, once for all readers.
                taken(())
                return
            if isinstance(entries, Exception):
                problem = "offsets %d to %d of %s cannot be read, a receiver is told a GAP"
                logger.error(problem, first, last, source.name, exc_info=entries)
                taken(())
                return
            if not form.takes_chunks:
                self._workers.submit(_texts(form, entries, max_bytes), done)
                return
            forms = [entry if isinstance(entry, Misfit) else form_of(entry, form, codecs) for entry in entries]
            ready = [each for each in forms if not isinstance(each, Work)]
            if len(ready) == len(forms):
                taken(ready)
            else:
                self._workers.submit(partial(_parts, forms), done)

        def done(parts: list[PastPart] | BaseException) -> None:
            if isinstance(parts, BaseException):
                problem = "offsets %d to %d of %s cannot be decoded, a receiver is told a GAP"
                logger.error(problem, first, last, source.name, exc_info=parts)
                taken(())
            else:
                taken(parts)

        self._store.read(source, first, last, max_bytes, found)

    def of(self, source: Source, form: Format, codecs: frozenset[str]) -> partial[None]:
        """Return :meth:`read` for the receivers of one delivery class."""
        return partial(self.read, source, form, codecs)


def _parts(forms: Sequence[Run | LargeForm | Misfit | Work]) -> list[PastPart]:
    """Return the forms in order, and do the work among them. Runs in a thread."""
    parts: list[PastPart] = []
    for form in forms:
        if isinstance(form, Work):
            assert not isinstance(form.make, Generator), "only text is made in steps"
            parts += form.make()
        else:
            parts.append(form)
    return parts


def _pieces(entry: Entry | Misfit) -> Iterable[Entry | Misfit]:
    """Return a run of very many messages frame by frame."""
    return entry.frames() if isinstance(entry, Run) and entry.count > MANY_TEXTS else (entry,)


def _texts(form: UnchunkedFormat, entries: Sequence[Entry | Misfit], max_bytes: int) -> Steps[list[PastPart]]:
    """Write messages as text, about so many bytes of it: it may be 200 times as large as the messages."""
    texts: list[PastPart] = []
    for entry in chain.from_iterable(map(_pieces, entries)):
        if isinstance(entry, Misfit):
            texts.append(entry)
            continue
        text = yield from form.writing(entry)
        texts.append(text)
        max_bytes -= text.size
        if max_bytes <= 0:
            break
    return texts
