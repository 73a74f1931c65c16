"""Units in the forms that their receivers can take: as published, or decoded or rendered in a thread, once for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.connections.consumers.ack_unit import AckUnit
from gateway.connections.fanout.form import Work, form_of, made_of
from gateway.connections.outbound.backfill import LargeForm
from gateway.connections.outbound.connection import Connection
from gateway.connections.ports import Workers
from gateway.errors import Code
from gateway.protocol.signals import Gap
from gateway.streams.run import Run
from gateway.streams.stream import Stream

Form = Run | LargeForm | Gap
"""A unit as one receiver gets it; a gap if it cannot be delivered to that receiver."""


class PreparedDeliveries:
    """Forms of the units of one stream.

    Args:
        stream: the stream.
        workers: threads that decode and render.
        made: called when a form is ready that was asked for before.
    """

    __slots__ = ("_forms", "_made", "_preparing", "_stream", "_workers")

    def __init__(self, stream: Stream, workers: Workers, made: Callable[[], object]) -> None:
        self._stream = stream
        self._workers = workers
        self._made = made
        self._forms: dict[tuple[AckUnit, str], Form | None] = {}
        """Forms by unit and name; ``None``: the form is being made."""
        self._preparing = 0

    @property
    def idle(self) -> bool:
        """True while no form is being made."""
        return not self._preparing

    def forget(self, unit: AckUnit) -> None:
        """Forget the forms of a unit that no consumer needs any more."""
        if self._forms:
            for key in [key for key in self._forms if key[0] is unit]:
                del self._forms[key]

    def of(self, unit: AckUnit, connection: Connection) -> Form | None:
        """Return the form of a unit for a connection; ``None`` if the form has to be made first."""
        if unit.nbytes > connection.max_message_bytes:
            return Gap(self._stream.id, Code.MESSAGE_TOO_BIG, unit.first, unit.last)
        form = form_of(unit.content, connection.format, connection.codecs)
        return self._make(unit, form) if isinstance(form, Work) else form

    def _make(self, unit: AckUnit, work: Work) -> Form | None:
        key = (unit, work.name)
        if key in self._forms:
            return self._forms[key]
        self._forms[key] = None
        self._preparing += 1

        def deliver(result: Sequence[Form] | BaseException) -> None:
            self._preparing -= 1
            if key not in self._forms:  # nobody waits for it any more
                return
            self._forms[key] = made_of(result, unit.content)
            self._made()

        self._workers.submit(work.make, deliver)
        return None
