"""Units as their receivers can take them: as they came, or what was made of them in a thread, once for all."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from gateway.connections.consumers.ack_unit import AckUnit
from gateway.connections.fanout.recode import chunk_codecs, codecs_of, frame_of, recode_chunk, recode_run
from gateway.connections.outbound.backfill import LargeForm
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.formats import in_one_piece
from gateway.connections.ports import Workers
from gateway.errors import Code
from gateway.protocol.encoding import PLAIN
from gateway.protocol.signals import Gap
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

Form = Run | LargeForm | Gap
"""A unit as one receiver gets it; a gap if it cannot be delivered to that receiver."""

THREAD_BYTES: Final = 64 * 1024
"""Larger messages are made into text in a thread."""


class PreparedDeliveries:
    """The forms of the units of one stream.

    Args:
        stream: the stream.
        workers: threads.
        made: called when a form that somebody waits for is there.
    """

    __slots__ = ("_forms", "_made", "_preparing", "_stream", "_workers")

    def __init__(self, stream: Stream, workers: Workers, made: Callable[[], object]) -> None:
        self._stream = stream
        self._workers = workers
        self._made = made
        self._forms: dict[tuple[AckUnit, str], Form | None] = {}
        """``None``: is being made."""
        self._preparing = 0

    @property
    def idle(self) -> bool:
        """Whether nothing is being made."""
        return not self._preparing

    def forget(self, unit: AckUnit) -> None:
        """Nobody needs a unit any more."""
        if self._forms:
            for key in [key for key in self._forms if key[0] is unit]:
                del self._forms[key]

    def of(self, unit: AckUnit, connection: Connection) -> Form | None:
        """What the connection gets of a unit; ``None`` if that has to be made first."""
        content = unit.content
        if unit.nbytes > connection.max_message_bytes:
            return Gap(self._stream.id, Code.MESSAGE_TOO_BIG, unit.first, unit.last)
        form = connection.format
        if isinstance(content, Run):
            if not form.takes_chunks:
                if content.text is not None or content.size <= THREAD_BYTES:
                    return content
                return self._make(unit, form.name, partial(in_one_piece, form, content))
            if codecs_of(content) <= connection.codecs:
                return content
            return self._make(unit, "plain", partial(_plain_run, content))
        if not form.takes_chunks:
            return self._make(unit, form.name, partial(in_one_piece, form, content))
        if chunk_codecs(content.chunks) <= connection.codecs:
            return LargeForm(content, content.chunks)
        return self._make(unit, "plain", partial(_plain_chunks, content))

    def _make(self, unit: AckUnit, name: str, work: Callable[[], Form]) -> Form | None:
        key = (unit, name)
        if key in self._forms:
            return self._forms[key]
        self._forms[key] = None
        self._preparing += 1

        def deliver(result: Form | BaseException) -> None:
            self._preparing -= 1
            if key not in self._forms:  # nobody waits for it any more
                return
            if isinstance(result, BaseException):
                logger.warning("message %d of %s cannot be decoded: %s", unit.first, self._stream.name, result)
                result = Gap(self._stream.id, Code.CORRUPT_PAYLOAD, unit.first, unit.last)
            self._forms[key] = result
            self._made()

        self._workers.submit(work, deliver)
        return None


def _plain_run(run: Run) -> Run:
    return recode_run(run, frame_of(run), PLAIN, 1)


def _plain_chunks(message: LargeMessage) -> LargeForm:
    return LargeForm(message, [recode_chunk(chunk, PLAIN, 1) for chunk in message.chunks])
