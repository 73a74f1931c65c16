"""A delivery class: the receivers of a stream that get the very same bytes.

The hot path ends here. What is published during one turn of the loop is collected, framed once, and the same object is
written to every member, so that a delivery costs a share of one system call and no Python work of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from gateway.connections.outbound.backfill import Found, LargeForm, Read, Taken
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.formats import FLUSH_BYTES, Format, framed
from gateway.connections.ports import Clock, Transport
from gateway.protocol.signals import Gap
from gateway.protocol.wire import Buffer
from gateway.streams.run import Run, Source

logger = logging.getLogger(__name__)


class Flusher:
    """Calls the delivery classes that have something to send, once at the end of the turn."""

    __slots__ = ("_call_soon", "_waiting")

    def __init__(self, clock: Clock) -> None:
        self._call_soon = clock.call_soon
        self._waiting: list[DeliveryClass] = []

    @property
    def idle(self) -> bool:
        """Whether nothing waits for the end of the turn."""
        return not self._waiting

    def schedule(self, delivery: DeliveryClass) -> None:
        """Flush a class soon."""
        if not self._waiting:
            self._call_soon(self._flush)
        self._waiting.append(delivery)

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for delivery in waiting:
            try:
                delivery.flush()
            except Exception:
                # One class must not cost the others their turn.
                logger.exception("a delivery class of %d receivers failed", len(delivery))


class DeliveryClass:
    """Receivers of one stream with one format and the same codecs.

    What is written to all members that keep up is counted once, and brought into a member's ledger when it falls behind
    or somebody asks: an account costs nothing on the way of a message.

    Attributes:
        format: how messages become bytes for them.
        codecs: what they all can decode.
        stale: a member has fallen behind or caught up since the last flush.
        delivered_messages: messages written to members or queued for them, each member counted.
    """

    __slots__ = (
        "_fast",
        "_history",
        "_marks",
        "_members",
        "_next",
        "_pending",
        "_pending_bytes",
        "_schedule",
        "_sent",
        "_slow",
        "_stream",
        "codecs",
        "delivered_messages",
        "format",
        "stale",
    )

    def __init__(
        self, source: Source, form: Format, codecs: frozenset[str], flusher: Flusher, history: Read, delivered: int = 0
    ) -> None:
        self.format = form
        self._stream = source.id
        self._sent = 0
        self._next = delivered
        self._marks: dict[Connection, int] = {}
        """Of the members that keep up: what of ``_sent`` is in their ledgers."""
        self.codecs = codecs
        self.stale = False
        self.delivered_messages = 0
        self._history = history
        self._schedule: Callable[[DeliveryClass], None] = flusher.schedule
        self._members: dict[Connection, None] = {}
        self._fast: list[Transport] = []
        self._slow: list[Connection] = []
        self._pending: list[Run] = []
        self._pending_bytes = 0

    def __len__(self) -> int:
        return len(self._members)

    @property
    def members(self) -> list[Connection]:
        """All receivers."""
        return list(self._members)

    @property
    def all_lagging(self) -> bool:
        """Whether no member keeps up."""
        return all(member.lagging for member in self._members)

    @property
    def queue_full(self) -> bool:
        """Whether a member has no room for what must not be lost."""
        if self.stale:
            self._sort_members()
        return any(member.queue_full for member in self._slow)

    def leave_out(self, member: Connection, gap: Gap) -> None:
        """Tell a member that it cannot be given some messages."""
        member.send(gap)

    def got_whole(self, member: Connection) -> bool:
        """The newest message is on its way to a member, whole; whether it had got it before, if it is a state."""
        return False

    def needs_whole(self, member: Connection) -> bool:
        """Whether the next message must reach a member whole, for it may not hold the one before."""
        return False

    def keeping_up(self, *, holding: bool) -> list[Connection]:
        """The members that a large message begins to go to now, chunk by chunk.

        Args:
            holding: it refers to the version before: only those who hold that.
        """
        return [member for member in self._members if not member.lagging]

    def join(self, connection: Connection) -> None:
        """Serve one more receiver, from the next message on."""
        self.flush()
        self._members[connection] = None
        self.stale = True

    def leave(self, connection: Connection) -> None:
        """Serve a receiver no more."""
        self.flush()
        self.settle(connection)
        self._marks.pop(connection, None)
        self._members.pop(connection, None)
        self.stale = True

    def settle(self, connection: Connection) -> None:
        """Bring into a member's ledger what was written to all since it was last done."""
        mark = self._marks.get(connection)
        if mark is not None:
            connection.accounts.sent(self._stream, self._sent - mark, self._next)
            self._marks[connection] = self._sent

    def passed(self, following: int) -> None:
        """What comes before the offset ``following`` went to members in another way, or will not come."""
        for member in self._marks:
            self.settle(member)
        self._next = max(self._next, following)

    def read(self, first: int, last: int, max_bytes: int, taken: Taken) -> None:
        """Read from history what a member missed; it counts as delivered."""

        def found(parts: Sequence[Found]) -> None:
            self.delivered_messages += sum(
                [1 if isinstance(part, LargeForm) else part.count for part in parts if not isinstance(part, Gap)]
            )
            taken(parts)

        self._history(first, last, max_bytes, found)

    def add(self, run: Run) -> None:
        """Deliver a run at the end of the turn, or at once when that is enough for a system call a member."""
        pending = self._pending
        pending.append(run)
        self._pending_bytes += run.size
        if self._pending_bytes >= FLUSH_BYTES:
            self.flush()
        elif len(pending) == 1:
            self._schedule(self)

    def flush(self) -> None:
        """Write what is pending."""
        pending = self._pending
        if not pending:
            return
        self._pending = []
        self._pending_bytes = 0
        if self.stale:
            self._sort_members()
        count = sum([run.count for run in pending])
        # Before it is written: who falls behind in the middle of it has still got it.
        self._sent += count
        self._next = pending[-1].last + 1
        if self._fast:
            self._write(framed(self.format, pending))
        for connection in self._slow:
            connection.enqueue(pending)
        self.delivered_messages += len(self._members) * count

    def _write(self, buffers: list[Buffer]) -> None:
        """One call, and so one system call, a member."""
        if len(buffers) == 1:
            data = buffers[0]
            for transport in self._fast:
                transport.write(data)
        else:
            for transport in self._fast:
                transport.writelines(buffers)

    def _sort_members(self) -> None:
        self.stale = False
        self._write_to([member for member in self._members if not member.lagging])
        self._slow = [member for member in self._members if member.lagging]

    def _write_to(self, members: list[Connection]) -> None:
        """From now on what is written is written to these; all others are counted by themselves."""
        for member in self._marks.keys() - set(members):
            self.settle(member)
        self._fast = [member.transport for member in members]
        self._marks = {member: self._marks.get(member, self._sent) for member in members}
