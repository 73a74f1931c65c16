"""Watched fan-in: a connection that takes events of many senders, measured from one look to the next by counters."""

from __future__ import annotations

from collections import deque
from typing import Final

from gateway.connections.outbound.connection import Connection
from gateway.connections.planning.context import FanInFacts
from gateway.connections.planning.facts.taken_rate import TakenRate

DRAINED: Final = 2
"""Times of the credit up to which events may wait once what had waited before it is delivered."""

GROWS_OVER: Final = 8
"""Looks over which the queue has not become shorter if what waits has come since the credit was given."""


class WatchedFanIn:
    """Measurements of one connection.

    Args:
        connection: the connection.
        workflow: the workflow whose clients send to it.
        now_s: time of the first look.

    Attributes:
        connection, workflow: the same.
        settling: whether events wait that have come before the credit was given.
        needed_s: time at which it lagged last, or its senders had a credit.
    """

    __slots__ = (
        "_credit",
        "_crowded_s",
        "_senders",
        "_taken",
        "_waited",
        "connection",
        "needed_s",
        "settling",
        "workflow",
    )

    def __init__(self, connection: Connection, workflow: str, now_s: float) -> None:
        self.connection = connection
        self.workflow = workflow
        self.settling = False
        self._crowded_s = self.needed_s = now_s
        self._credit = connection.made_outbox().events.sender_credit
        self._taken = TakenRate(connection, now_s)
        self._senders = 0
        self._waited: deque[int] = deque(maxlen=GROWS_OVER)
        """Bytes that waited at the last looks."""

    def look(self, now_s: float, senders: int, messages_per_s: float) -> FanInFacts:
        """Return what is known now.

        Args:
            now_s: time by the clock that only goes forward.
            senders: clients that send to it, as far as they are known; 0: as many as at the last look.
            messages_per_s: rate of the events of its workflow.
        """
        outbox = self.connection.made_outbox()
        self._taken.look(now_s)
        self._senders = senders or self._senders
        if outbox.events.waiting_bytes > outbox.events.sender_credit / 2:
            self._crowded_s = now_s
        if outbox.events.sender_credit != self._credit:
            self._credit = outbox.events.sender_credit
            self.settling = True
            self._waited.clear()
        waiting_bytes = outbox.events.waiting_bytes
        grows = len(self._waited) == GROWS_OVER and waiting_bytes >= self._waited[0]
        self._waited.append(waiting_bytes)
        if not self._credit or waiting_bytes <= DRAINED * self._credit or grows:
            self.settling = False
        return FanInFacts(
            self.connection.peer.id,
            self.connection.peer.client_id,
            self.workflow,
            self._senders,
            self._wait_s(outbox.events.waiting_bytes),
            self._taken.bytes_per_s,
            self._taken.taken_bytes,
            messages_per_s,
            now_s - self._crowded_s,
        )

    def _wait_s(self, event_bytes: int) -> float | None:
        if not event_bytes:
            return 0.0
        bytes_per_s = self._taken.bytes_per_s
        return event_bytes / bytes_per_s if bytes_per_s else None
