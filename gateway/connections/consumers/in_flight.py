"""Units on their way to one receiver."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.connections.consumers.ack_unit import AckUnit
from gateway.connections.outbound.backfill import LargeForm
from gateway.connections.outbound.connection import Connection
from gateway.connections.sessions.credit_window import CreditWindow
from gateway.errors import Code
from gateway.protocol.signals import Replay
from gateway.streams.run import Run
from gateway.streams.stream import Stream


class InFlight:
    """A unit on its way to one consumer.

    Attributes:
        tries: deliveries that count.
        sent: whether it was delivered at all.
        credits: what it has taken credit of.
    """

    __slots__ = ("credits", "sent", "tries", "unit")

    def __init__(self, unit: AckUnit) -> None:
        self.unit = unit
        self.tries = 0
        self.sent = False
        self.credits: Sequence[CreditWindow] = ()

    def take(self, credits: Sequence[CreditWindow]) -> None:
        """It is sent, and takes of these."""
        self.sent = True
        self.tries += 1
        self.credits = credits
        for credit in credits:
            credit.take(self.unit.nbytes)

    def settle(self) -> None:
        """It is not under way any more."""
        for credit in self.credits:
            credit.settle(self.unit.nbytes)
        self.credits = ()


class Sending:
    """What goes to a connection in one go, runs joined."""

    __slots__ = ("_connection", "_replay", "_runs", "_stream")

    def __init__(self, connection: Connection, stream: Stream) -> None:
        self._connection = connection
        self._stream = stream
        self._runs: list[Run] = []
        self._replay: Replay | None = None

    def announce(self, unit: AckUnit) -> None:
        """The unit that is added next was sent before."""
        replay = self._replay
        if replay is not None and replay.last + 1 == unit.first:
            self._replay = Replay(replay.stream, replay.code, replay.first, unit.last)
            return
        self.flush()
        self._replay = Replay(self._stream.id, Code.NOT_PROCESSED, unit.first, unit.last)

    def add(self, form: Run | LargeForm) -> None:
        """The unit goes out as this."""
        if isinstance(form, Run):
            self._runs.append(form)
            return
        self.flush()
        self._connection.enqueue_large(*form)

    def flush(self) -> None:
        """Hand over what was added."""
        connection = self._connection
        replay, self._replay = self._replay, None
        if replay is not None:
            connection.send_in_order(self._stream, replay)
        runs, self._runs = self._runs, []
        if runs:
            connection.deliver(runs)
