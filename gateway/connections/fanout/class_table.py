"""Class table: the delivery classes of one fan-out by what their members share, and the moves of members between them.

Receivers with the same format and codecs are one class, unless the delivery policy tells their link tiers and SDKs
apart. Then they move at the border of two messages, some at a time, and so does a member whose tier changes. Only large
messages are encoded by tiers, so before those the table looks for what has changed, and at no other time.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import chain, islice
from typing import Final, NamedTuple

from gateway.connections.fanout.broadcast import Broadcast
from gateway.connections.fanout.credited_class import CreditedClass
from gateway.connections.fanout.delivery_class import DeliveryClass, Flusher
from gateway.connections.fanout.history_reader import HistoryReader
from gateway.connections.fanout.version_tracker import resting_of
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.delayed_acks import EventAcks
from gateway.connections.outbound.no_entries import NO_ENTRIES, with_entry
from gateway.connections.receiver_profile import ReceiverProfile
from gateway.protocol.messages import Kind
from gateway.streams.run import Source
from gateway.streams.stream import Stream

FEW_CHANGES: Final = 64
"""Changed tiers up to which their connections are looked at one by one; past it all members are."""

CHECKED_TOGETHER: Final = 128
"""Members that are looked at in one step when all are: some hundred microseconds."""
MOVED_TOGETHER: Final = 32
"""Members that are moved in one step, likewise."""


class ClassKey(NamedTuple):
    """Key of a delivery class: the properties that all its members share."""

    format: str
    """Name of the format."""
    codecs: frozenset[str]
    credited: bool
    """Whether they grant credit for streams of all kinds."""
    profile: ReceiverProfile | None
    """The profile of all of them; ``None``: link tiers and SDKs are not told apart."""
    leaving: int = 0
    """Number of a class whose members are about to move, to that of the key; 0: they stay."""


class ClassTable:
    """Class table of one source.

    Args:
        source: the stream or inbox.
        flusher: flushes the classes at the end of the turn.
        history: reads messages that a receiver missed.
        acks: of an ``event`` stream, acknowledgements that are held back while a member is behind.

    Attributes:
        by_key: the classes that have members.
        moving: members that are about to move to another class.
        taking_text: number of classes whose members take text.
        past_deliveries: deliveries of classes that have lost their last member.
    """

    __slots__ = (
        "_acks",
        "_flusher",
        "_history",
        "_keyframe_every",
        "_source",
        "_tells_apart",
        "_tier_count",
        "_unchecked",
        "by_key",
        "moving",
        "past_deliveries",
        "taking_text",
    )

    def __init__(self, source: Source, flusher: Flusher, history: HistoryReader, acks: EventAcks | None) -> None:
        self._source = source
        self._flusher = flusher
        self._history = history
        self._acks = acks
        self._keyframe_every: int | None = None
        if isinstance(source, Stream) and source.kind is Kind.STATE:
            self._keyframe_every = source.config.keyframe_every
        self._tells_apart = False
        self._tier_count = flusher.lag_changes.tiers.count
        """Number of changed tiers that are known here."""
        self._unchecked: Sequence[Connection] = ()
        """Members that may have to move; the last one is looked at next."""
        self.by_key: dict[ClassKey, DeliveryClass] = {}
        self.moving: dict[Connection, None] = NO_ENTRIES
        self.taking_text = self.past_deliveries = 0

    def key_of(self, connection: Connection) -> ClassKey:
        """Return the key of the class that is to serve a connection."""
        form, profile = connection.format, connection.profile
        told = profile if self._tells_apart and form.takes_chunks else None
        return ClassKey(form.name, profile.codecs, connection.gates is not None, told)

    def of(self, connection: Connection) -> DeliveryClass | None:
        """Return the class that serves a connection; ``None``: it does not receive the source."""
        membership = connection.memberships.get(self._source)
        return membership if isinstance(membership, DeliveryClass) else None

    def found(self, connection: Connection, delivered: int) -> DeliveryClass:
        """Return the class that is to serve a connection, and make it if there is none.

        Args:
            connection: the receiver.
            delivered: offset behind the last message that has been delivered.
        """
        key = self.key_of(connection)
        delivery = self.by_key.get(key)
        if delivery is None:
            self.taking_text += not connection.format.takes_chunks
            self.by_key[key] = delivery = (CreditedClass if key.credited else DeliveryClass)(
                self._source,
                connection.format,
                connection.profile,
                self._flusher,
                self._history.of(self._source, connection.format, key.codecs),
                delivered=delivered,
                keyframe_every=self._keyframe_every,
                acks=self._acks,
            )
        return delivery

    def leave(self, connection: Connection, delivery: DeliveryClass) -> None:
        """Remove a member from its class, which is forgotten if it was the last one."""
        delivery.leave(connection)
        self.moving.pop(connection, None)
        if not len(delivery):
            del self.by_key[next(key for key, each in self.by_key.items() if each is delivery)]
            self.taking_text -= not delivery.format.takes_chunks
            self.past_deliveries += delivery.delivered_messages

    # Moves.

    def follow(self, *, tells_apart: bool) -> bool:
        """Look for changes, before a large message; return whether there are any for which members may have to move.

        Args:
            tells_apart: whether members are to be told apart by link tier and SDK.
        """
        tiers = self._flusher.lag_changes.tiers
        if tiers.count == self._tier_count and tells_apart == self._tells_apart:
            return False
        changed = tiers.since(self._tier_count, FEW_CHANGES)
        self._tier_count = tiers.count
        for member in changed or ():
            self.check(member)
        if tells_apart != self._tells_apart:
            self._tells_apart, changed = tells_apart, None
            self._change_keys()
        if changed is None:
            self._unchecked = [*chain.from_iterable(self.by_key.values())]
        return bool(self.moving or self._unchecked)

    def check(self, member: Connection) -> None:
        """Take note of the profile of a member, and whether it is to move; one that rests is checked when it wakes."""
        delivery = self.of(member)
        if delivery is None or member in resting_of(delivery.versions):
            return
        delivery.note_profile(member)
        if self.by_key.get(self.key_of(member)) is delivery:
            self.moving.pop(member, None)
        else:
            self.moving = with_entry(self.moving, member, None)

    def move(self, delivered: int, under_way: Collection[Broadcast]) -> bool:
        """Move some members, at the border of two messages; return whether there are others that can move.

        A member that is served by a large message under way cannot, until that ends.

        Args:
            delivered: offset behind the last message that has been delivered.
            under_way: large messages of which a part has been delivered.
        """
        for member in self._unchecked[-CHECKED_TOGETHER:]:
            self.check(member)
        self._unchecked = self._unchecked[:-CHECKED_TOGETHER]
        members = list(islice(self.moving, MOVED_TOGETHER))
        for member in members:
            del self.moving[member]
        held = {member for member in members if any(broadcast.serves(member) for broadcast in under_way)}
        for member in members:
            delivery = self.of(member)
            if delivery is not None and member not in held and member not in resting_of(delivery.versions):
                self._move(member, delivery, self.found(member, delivered))
        for member in held:
            self.moving[member] = None
        return bool(self._unchecked) or len(held) < min(len(members), len(self.moving))

    def _move(self, member: Connection, before: DeliveryClass, after: DeliveryClass) -> None:
        """Move a member to a class that has delivered the same messages; what waits in its outbox stays there."""
        if after is before:
            return
        after.flusher = before.flusher
        # Before the member is asked for: what is flushed may tell that it needs a keyframe.
        before.flush()
        needing = None if before.versions is None else before.versions.needing.get(member)
        self.leave(member, before)
        after.join(member)
        if after.versions is not None and needing is not False:
            after.versions.keyframe_queued(member)
            if needing:
                after.versions.needing[member] = True
        member.enter(self._source, after)

    def _change_keys(self) -> None:
        """Have the largest part of each class stay where it is, as classes come apart or together."""
        classes = sorted(self.by_key.items(), key=lambda item: -len(item[1]))
        self.by_key.clear()
        for key, delivery in classes:
            told = delivery.profile if self._tells_apart and delivery.format.takes_chunks else None
            key = key._replace(profile=told, leaving=0)
            if key in self.by_key:
                key = key._replace(leaving=id(delivery))
            self.by_key[key] = delivery
