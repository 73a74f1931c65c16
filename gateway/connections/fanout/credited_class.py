"""Credited class: a delivery class whose members grant credit for messages of all kinds (spec section 7.5).

While a member has credit for all that is written to the class, it is served by the bytes that all share. One that has
not is served from its outbox, as one that lags is, though its other streams go on.
"""

from __future__ import annotations

from typing import Any

from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.fanout.form import as_text
from gateway.connections.outbound.connection import Connection
from gateway.streams.payload_count import PayloadCount, count_of


class CreditedClass(DeliveryClass):
    """Delivery class of members that grant credit.

    Members without a gate, since no subscription of theirs bounds the source, are served as if credit had no end.
    """

    __slots__ = ("_put_aside", "_text")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Text is written before messages are counted, which is not to be done twice.
        self._text, self._writes_text = self._writes_text, False
        self._put_aside: dict[Connection, None] = {}
        """Members without credit for the messages that are being flushed."""

    @property
    def all_lagging(self) -> bool:
        """True if no member takes messages now."""
        return all(self._is_slow(member) for member in self)

    def begin_waiting(self, connection: Connection) -> None:
        """Take note that messages wait in a member's outbox, for credit or for the transport."""
        super().begin_waiting(connection)
        self.stale = True

    def end_waiting(self, connection: Connection) -> None:
        """Take note that nothing of the source waits in a member's outbox any more."""
        super().end_waiting(connection)
        self.stale = True

    def admitted(self, members: list[Connection], nbytes: int) -> list[Connection]:
        """Return those of some members that have credit for a large message, which takes it."""
        able = [member for member in members if not self._is_slow(member)]
        unable = self._without_credit(able, PayloadCount(1, nbytes))
        return [member for member in able if member not in unable]

    def flush(self) -> None:
        """Write the pending runs to the members that have credit for all of them; the others get them by the outbox."""
        pending = self._pending
        if not pending:
            return
        if self._text and self._members:
            self._pending = pending = as_text(self.format, pending, self)
        if self.stale or self._lag_count != self._lag_changes.count:
            self._sort_members()
        if self.fast:
            self._put_aside = self._without_credit(self.fast, count_of(pending))
            if self._put_aside:
                self._sort_members()
        super().flush()
        self._put_aside = {}

    def _without_credit(self, members: list[Connection], payloads: PayloadCount) -> dict[Connection, None]:
        """Take credit for messages that are sent together; return the members that have not enough for all."""
        source, (messages, nbytes) = self._source, payloads
        unable: dict[Connection, None] = {}
        for member in members:
            gates = member.gates
            gate = None if gates is None else gates.by_source.get(source)
            if gate is not None and not gate.take_all(messages, nbytes):
                unable[member] = None
        return unable

    def _is_slow(self, member: Connection) -> bool:
        """Return whether a member gets the next messages by its outbox."""
        return member.lagging or member in self._put_aside or member.waits_for(self._source)

    def _sort_members(self) -> bool:
        """Tell members that keep up, and have credit, from the others; return whether others get keyframes."""
        self._lag_count = self._lag_changes.count
        needing = () if self.versions is None else self.versions.needing
        members = [member for member in self if member not in needing]
        self.stale = bool(needing)
        self._write_to([member for member in members if not self._is_slow(member)])
        self.slow = [member for member in members if self._is_slow(member)]
        return self.stale
