"""What a consumer needs of whoever keeps the units of its stream."""

from __future__ import annotations

from typing import Protocol

from gateway.connections.consumers.ack_unit import AckUnit
from gateway.connections.outbound.backfill import LargeForm
from gateway.connections.outbound.connection import Connection
from gateway.ids import ClientId
from gateway.protocol.signals import Gap
from gateway.streams.progress import Progress
from gateway.streams.run import Run

Form = Run | LargeForm | Gap
"""A unit as one receiver gets it; a gap, if it cannot be brought to it."""


class Place(Protocol):
    """A client's place in the stream: a consumer."""

    client_id: ClientId
    """Whose it is."""
    progress: Progress
    """How far it has got; kept by the steward."""
    burials: int
    """Its dead letters that are not published yet; counted by the steward."""

    def pump(self, now_ns: int) -> None:
        """Send what may be sent now."""


class Steward(Protocol):
    """Keeps the units of a stream, and acts on what becomes of them."""

    def form_of(self, unit: AckUnit, connection: Connection) -> Form | None:
        """What the connection gets; ``None`` if that has to be made first: the consumer is woken then."""

    def wake(self, consumer: Place) -> None:
        """Call :meth:`Place.pump` at the end of the turn."""

    def release(self, consumer: Place, unit: AckUnit) -> None:
        """A consumer is done with a unit."""

    def expired(self, consumer: Place, unit: AckUnit) -> None:
        """A unit's deadline passed before the consumer got it. It is released as well."""

    def bury(self, consumer: Place, unit: AckUnit, tries: int, reason: str) -> None:
        """A unit is given up: a dead letter. It is released when that is published."""
