"""Delivery class: the receivers of a stream that get the very same bytes.

The hot path ends here. Messages of one turn of the loop are collected and framed once, and the same object is written
to every member, so that a delivery costs a share of one system call and no Python work of its own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Final

from gateway.connections.fanout.form import TEXTS_AT_ONCE, as_text
from gateway.connections.fanout.version_tracker import VersionTracker, resting_of
from gateway.connections.lagging.flush_turns import FlushTurns
from gateway.connections.lagging.lag_changes import LagChanges
from gateway.connections.outbound.backfill import Read, Taken, counting
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.delayed_acks import EventAcks
from gateway.connections.outbound.formats import FLUSH_BYTES, Format, framed
from gateway.connections.ports import Clock
from gateway.connections.receiver_profile import ProfileCounts, ReceiverProfile
from gateway.protocol.signals import Gap
from gateway.protocol.wire import Buffer
from gateway.streams.run import Run, Source

logger = logging.getLogger(__name__)

FEW_CHANGES: Final = 8
"""Lag changes up to which members are moved one by one; past it all are sorted."""

MANY_OWED: Final = 32
"""Deliveries to outboxes and consumers between two looks at the time: some hundred microseconds."""


class Flusher:
    """Schedule of the delivery classes that have messages to send, which it flushes at the end of the turn.

    Args:
        clock: the end of the turn.
        lag_changes: connections that have fallen behind or caught up.

    Attributes:
        lag_changes: the same.
        owed: deliveries to outboxes and consumers since the last flush. Each of them takes microseconds, also of many,
            so whoever handles the input of a client calls :meth:`flush` past :data:`MANY_OWED`, and looks at the time.
        turns: classes that an earlier turn had no time for.
    """

    __slots__ = ("_call_soon", "_texts", "_waiting", "lag_changes", "owed", "turns")

    def __init__(self, clock: Clock, lag_changes: LagChanges[Connection]) -> None:
        self.lag_changes = lag_changes
        self.owed = 0
        self._call_soon = clock.call_soon
        self._waiting: list[DeliveryClass] = []
        self._texts = 0
        self.turns: FlushTurns[DeliveryClass] = FlushTurns(clock, self.flush)

    @property
    def idle(self) -> bool:
        """True if no class waits to be flushed."""
        return not (self._waiting or self.turns.left)

    def schedule(self, delivery: DeliveryClass) -> None:
        """Flush a class at the end of the turn."""
        if not self._waiting:
            self._call_soon(self.flush)
        self._waiting.append(delivery)

    def take_text(self, texts: int) -> bool:
        """Return whether so many more messages and KiB may be written as text at the end of the turn: within 1 ms."""
        if self._texts + texts > TEXTS_AT_ONCE:
            return False
        self._texts += texts
        return True

    def flush(self) -> None:
        """Flush the classes that wait, as far as the turn has time."""
        waiting, self._waiting, self._texts, self.owed = self._waiting, [], 0, 0
        for delivery in waiting if len(waiting) == 1 and not self.turns.left else self.turns.take(waiting):
            try:
                delivery.flush()
            except Exception:
                # One class must not cost the others their turn.
                logger.exception("messages of %s may not have reached its %d receivers", delivery.name, len(delivery))


class DeliveryClass:
    """Receivers of one stream with one format and the same codecs.

    Messages that are written to all members that keep up are counted once. They are booked in the accounts of a member
    when it falls behind or the accounts are read, so that accounts cost nothing on the way of a message.

    Args:
        source: the stream or inbox.
        form: how messages become bytes for the receivers.
        profile: that of the first receiver: all know its codecs.
        flusher: flushes the class at the end of the turn.
        history: reads messages of the past in a form that the receivers take.
        delivered: offset of the first message that the class may deliver.
        keyframe_every: of a state stream, how often each member gets a keyframe; ``None``: of another kind.
        acks: of an ``event`` stream, acknowledgements that are held back while a member is behind.

    Attributes:
        fast, slow: members that kept up, and that lagged, when they were told apart last.
        format: how messages become bytes for them.
        flusher: the same.
        name: name of the stream or inbox.
        profiles: of the members.
        stale: whether a member has come, has left, or needs a keyframe since the members were sorted.
        versions: tells which members hold the newest version; ``None`` unless the stream is a state.
    """

    __slots__ = (
        "__weakref__",
        "_acks",
        "_history",
        "_lag_changes",
        "_lag_count",
        "_marks",
        "_members",
        "_next",
        "_other_deliveries",
        "_pending",
        "_pending_bytes",
        "_sent",
        "_source",
        "_waiting",
        "_writes",
        "_writes_text",
        "fast",
        "flusher",
        "format",
        "name",
        "profiles",
        "slow",
        "stale",
        "versions",
    )

    def __init__(
        self,
        source: Source,
        form: Format,
        profile: ReceiverProfile,
        flusher: Flusher,
        history: Read,
        *,
        delivered: int = 0,
        keyframe_every: int | None = None,
        acks: EventAcks | None = None,
    ) -> None:
        self.format = form
        # Also for members that lag: all that waits for one would be written in the turn in which the member reads on.
        self._writes_text = not form.takes_chunks
        self._acks = acks
        self._source = source
        self.name = source.name
        self._sent = 0
        self._other_deliveries = 0
        """Deliveries that ``_sent`` for each member does not count, less those that it counts too many."""
        self._next = delivered
        self._marks: dict[Connection, int] = {}
        """Part of ``_sent`` that is booked in the accounts of each member that keeps up."""
        self.profiles = ProfileCounts(profile)
        self.stale = False
        self._history = history
        self.flusher = flusher
        self._members: dict[Connection, ReceiverProfile] = {}
        self._waiting: dict[Connection, None] = {}
        """Members in whose outboxes messages of the source wait."""
        self.versions = None if keyframe_every is None else VersionTracker(self, keyframe_every)
        self._lag_changes = flusher.lag_changes
        self._lag_count = 0
        """Number of lag changes that are known here."""
        self.fast: list[Connection] = []
        self._writes: list[Callable[[Buffer], object]] = []
        self.slow: list[Connection] = []
        self._pending: list[Run] = []
        self._pending_bytes = 0

    def __len__(self) -> int:
        return len(self._members) + len(resting_of(self.versions))

    def __iter__(self) -> Iterator[Connection]:
        return iter(self._members)  # those that rest are none

    @property
    def profile(self) -> ReceiverProfile:
        """Profile of most members."""
        return self.profiles.most

    @property
    def delivered_messages(self) -> int:
        """Messages written to members or queued for them, each member counted."""
        return self._other_deliveries + self._sent * len(self._members)

    @property
    def all_lagging(self) -> bool:
        """True if no member keeps up."""
        return all(member.lagging and not member.paced for member in self._members)

    @property
    def settled(self) -> bool:
        """True if nothing of the source waits in an outbox of a member; does not look at all members."""
        return not self._waiting

    @property
    def queue_full(self) -> bool:
        """True if a member has no room for messages that must not be lost."""
        self._sort_members()
        return any(member.queue_full for member in self.slow)

    def holds_newest(self, member: Connection) -> bool:
        """Return whether a member may get a message that refers to the version before it."""
        return self.versions is None or member not in self.versions.needing

    def send_gap(self, member: Connection, gap: Gap) -> None:
        """Tell a member that some messages will not come."""
        if self.versions is not None:
            self.versions.require_keyframe(member)
        member.send_signal(self._source, gap)

    def join(self, connection: Connection) -> None:
        """Add a receiver, which gets the next message and all later ones."""
        self.flush()
        self._other_deliveries -= 0 if connection in self._members else self._sent
        self.note_profile(connection)
        self.stale = True
        if connection.waits_for(self._source):  # e.g. a large message was under way when it left before
            self.begin_waiting(connection)
        if self.versions is not None:
            self.versions.join(connection)

    def leave(self, connection: Connection) -> None:
        """Remove a receiver."""
        self.flush()
        self.book(connection)
        self.end_waiting(connection)
        self._marks.pop(connection, None)
        profile = self._members.pop(connection, None)
        if profile is not None:
            self.profiles.swap(profile, None)
            self._other_deliveries += self._sent
        self.stale = True
        if self.versions is not None:
            self.versions.leave(connection)

    def note_profile(self, member: Connection) -> None:
        """Take note of the profile that a member has now."""
        profile = member.profile
        self.profiles.swap(self._members.get(member), profile)
        self._members[member] = profile

    def book(self, connection: Connection) -> None:
        """Book the messages that were written to all members, since it was last done, in the accounts of one."""
        mark = self._marks.get(connection)
        if mark is not None:
            connection.accounts.sent(self._source.id, self._sent - mark, self._next)
            self._marks[connection] = self._sent

    def count_deliveries(self, count: int) -> None:
        """Count messages that members got in another way, each member counted."""
        self._other_deliveries += count

    def begin_waiting(self, connection: Connection) -> None:
        """Take note that messages wait in a member's outbox, from which they are counted one by one."""
        self.book(connection)
        self._waiting[connection] = None
        if self._acks is not None and connection.outbox is not None:
            self._acks.begin_waiting(connection.outbox, self._source)

    def end_waiting(self, connection: Connection) -> None:
        """Take note that nothing of the source waits in a member's outbox any more."""
        self._waiting.pop(connection, None)
        if self._acks is not None and connection.outbox is not None:
            self._acks.end_waiting(connection.outbox, self._source)

    def advance_to(self, following: int) -> None:
        """Record that messages before the offset ``following`` went to members in another way, or will not come."""
        if following <= self._next:
            # The next offset stays the same, so every member may be booked later: joining must not cost a look at all.
            return
        for member in self._marks:
            self.book(member)
        self._next = following

    def read(self, first: int, last: int, max_bytes: int, taken: Taken) -> None:
        """Implement :meth:`~gateway.connections.outbound.connection.Membership.read`: what is read is delivered."""
        self._history(first, last, max_bytes, counting(self.count_deliveries, taken))

    def add(self, run: Run) -> None:
        """Deliver a run at the end of the turn, or at once if enough is pending for a system call a member."""
        pending = self._pending
        pending.append(run)
        self._pending_bytes += run.size
        if self._pending_bytes >= FLUSH_BYTES:
            self.flush()
        elif len(pending) == 1:
            self.flusher.schedule(self)
            if self.stale or self._lag_count != self._lag_changes.count:
                self.flusher.owed += self._unsorted
        if self.slow:
            self.flusher.owed += len(self.slow)

    def flush(self) -> None:
        """Write the pending runs to all members."""
        pending = self._pending
        if not pending:
            return
        self._pending, self._pending_bytes = [], 0
        if self._writes_text and self._members:
            pending = as_text(self.format, pending, self._members)
        needing = (self.stale or self._lag_count != self._lag_changes.count) and self._sort_members()
        newest = pending[-1]
        # Counted before it is written: a member that falls behind in the middle of it has still got it.
        self._sent += newest.count if len(pending) == 1 else sum([run.count for run in pending])
        self._next = newest.first + newest.count
        if self.fast:
            self._write(framed(self.format, pending))
        for connection in self.slow:
            connection.enqueue(pending)
        if needing:
            self._send_keyframes(pending)

    @property
    def _unsorted(self) -> int:
        """Number of members of which it is not known whether they lag: at most so many."""
        newcomers = max(len(self._members) - len(self.fast) - len(self.slow), 0)
        return min(newcomers + self._lag_changes.count - self._lag_count, len(self._members))

    def _write(self, buffers: list[Buffer]) -> None:
        """Write to the members that keep up, by one call, and so one system call, each."""
        if len(buffers) > 1:
            for member in [member for member in self.fast if not member.write_framed(buffers)]:
                member.fall_behind()
            return
        data, writes = buffers[0], iter(self._writes)
        while True:
            try:
                for write in writes:
                    write(data)
                return
            except RuntimeError:
                continue  # behind the member that is being lost: the only reason, see Transport.raw_write

    def _send_keyframes(self, pending: list[Run]) -> None:
        """Queue complete versions for the members that cannot use deltas."""
        assert self.versions is not None
        keyframes = [run.keyframe or run for run in pending]
        self.stale = True
        for connection in self.versions.take():
            connection.enqueue(keyframes)

    def _sort_members(self) -> bool:
        """Tell members that keep up from those that lag; return whether others get keyframes at the next flush."""
        changes = self._lag_changes
        if not self.stale:
            changed = changes.since(self._lag_count, FEW_CHANGES)
            if changed is not None:
                for member in changed:
                    if member in self._members:
                        self._move(member)
                self._lag_count = changes.count
                return False
        self._lag_count = changes.count
        needing = () if self.versions is None else self.versions.needing
        members = [member for member in self._members if member not in needing]
        self.stale = bool(needing)
        self._write_to([member for member in members if not member.lagging])
        self.slow = [member for member in members if member.lagging]
        return self.stale

    def _move(self, member: Connection) -> None:
        """Move one member to those that it belongs to now; its transport may have changed as well."""
        fast, slow = self.fast, self.slow
        if member in self._marks:
            at = fast.index(member)
            # Others may be writing to the members of these lists at this moment.
            self.fast = fast[:at] + fast[at + 1 :]
            self._writes = self._writes[:at] + self._writes[at + 1 :]
        elif member in slow:
            self.slow = [other for other in slow if other is not member]
        if member.lagging:
            self.book(member)
            self._marks.pop(member, None)
            self.slow = [*self.slow, member]
        else:
            self._marks.setdefault(member, self._sent)
            self.fast = [*self.fast, member]
            self._writes = [*self._writes, member.transport.raw_write]

    def _write_to(self, members: list[Connection]) -> None:
        """Make these the members that keep up; messages of all others are booked one by one."""
        for member in self._marks.keys() - set(members):
            self.book(member)
        self.fast = members
        self._writes = [member.transport.raw_write for member in members]
        self._marks = {member: self._marks.get(member, self._sent) for member in members}
