"""Units in the forms that their receivers can take: as published, or decoded or rendered in a thread, once for all."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from gateway.connections.consumers.ack_unit import AckUnit
from gateway.connections.fanout.form import Work, form_of, made_now, made_of
from gateway.connections.outbound.backfill import LargeForm
from gateway.connections.outbound.connection import Connection
from gateway.connections.ports import Workers
from gateway.errors import Code
from gateway.protocol.signals import Gap
from gateway.streams.run import Run
from gateway.streams.stream import Stream

Form = Run | LargeForm | Gap
"""A unit as one receiver gets it; a gap if it cannot be delivered to that receiver."""

FormKey = tuple[AckUnit, str]
"""Unit, and name of one of its forms."""

KEPT_BYTES: Final = 64 * 1024 * 1024
"""Bound on the forms of all streams that have been delivered and are kept for other consumers."""


class KeptForms:
    """Forms of all streams that have been delivered once, kept for other consumers within a bound.

    A form is not counted as memory of its unit, and may be a thousand times as large if the unit is compressed. Without
    a bound, forms of units that are held for a consumer which is away would take any amount of memory.
    """

    __slots__ = ("_bytes", "_sizes")

    def __init__(self) -> None:
        # The first of a dict is found behind all that were first before.
        self._sizes: OrderedDict[tuple[PreparedDeliveries, FormKey], int] = OrderedDict()
        """Sizes, the form that was delivered longest ago first."""
        self._bytes = 0

    def use(self, deliveries: PreparedDeliveries, key: FormKey, form: Form) -> None:
        """Keep a form that is being delivered; drop those that were delivered longest ago, past the bound."""
        self.forget(deliveries, key)
        self._sizes[deliveries, key] = size = _size_of(form)
        self._bytes += size
        while self._bytes > KEPT_BYTES:
            oldest, oldest_key = next(iter(self._sizes))
            oldest.drop(oldest_key)

    def forget(self, deliveries: PreparedDeliveries, key: FormKey) -> None:
        """Count a form no more, if it is counted."""
        self._bytes -= self._sizes.pop((deliveries, key), 0)


class PreparedDeliveries:
    """Forms of the units of one stream.

    Args:
        stream: the stream.
        workers: threads that decode and render.
        kept: forms of all streams that have been delivered.
        made: called when a form is ready that was asked for before.
    """

    __slots__ = ("_forms", "_kept", "_made", "_names", "_preparing", "_stream", "_workers")

    def __init__(self, stream: Stream, workers: Workers, kept: KeptForms, made: Callable[[], object]) -> None:
        self._stream = stream
        self._workers = workers
        self._kept = kept
        self._made = made
        self._forms: dict[FormKey, Form | None] = {}
        """Forms by unit and name; ``None``: the form is being made."""
        self._names: set[str] = set()
        """All names in use: those of the forms of any unit."""
        self._preparing = 0

    @property
    def idle(self) -> bool:
        """True while no form is being made."""
        return not self._preparing

    def forget(self, unit: AckUnit) -> None:
        """Forget the forms of a unit that no consumer needs any more."""
        for name in self._names:
            self.drop((unit, name))

    def drop(self, key: FormKey) -> None:
        """Drop a form, if there is one; it is made again for the next consumer that needs it."""
        self._forms.pop(key, None)
        self._kept.forget(self, key)

    def of(self, unit: AckUnit, connection: Connection) -> Form | None:
        """Return the form of a unit for a connection; ``None`` if the form has to be made first."""
        if unit.nbytes > connection.max_message_bytes:
            return Gap(self._stream.id, Code.MESSAGE_TOO_BIG, unit.first, unit.last)
        form = form_of(unit.content, connection.format, connection.profile.codecs)
        return self._make(unit, form) if isinstance(form, Work) else form

    def _make(self, unit: AckUnit, work: Work) -> Form | None:
        key = (unit, work.name)
        if key in self._forms:
            form = self._forms[key]
            if form is not None:
                self._kept.use(self, key, form)
            return form
        self._names.add(work.name)
        if work.brief:
            made = self._forms[key] = made_of(made_now(work), unit.content)
            self._kept.use(self, key, made)
            return made
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


def _size_of(form: Form) -> int:
    if isinstance(form, Run):
        return form.size
    return 0 if isinstance(form, Gap) else sum([len(chunk.data) for chunk in form.form])
