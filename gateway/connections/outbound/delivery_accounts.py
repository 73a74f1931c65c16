"""The accounts of one connection: what each of its subscriptions was sent of each stream (spec section 7.7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from gateway.protocol.account import StreamAccount, first_wanted
from gateway.protocol.messages import Counts, Since
from gateway.protocol.signals import Gap, Replay
from gateway.streams.run import Run
from gateway.streams.stream import Stream


class SubscribeOptions(NamedTuple):
    """What a SUBSCRIBE says of where it starts (spec section 4.2)."""

    since: Since | None = None
    resume: Mapping[str, tuple[int, int]] = MappingProxyType({})
    """By stream, a large message of which it has the first chunks, by its transfer, and how many."""


NO_WISH = SubscribeOptions()


class DeliveryAccounts:
    """By the id under which a stream is sent, and by subscription.

    What a delivery class writes to all its members is not counted here message by message: the class adds it up, and
    brings it in when a member leaves it for its outbox, or somebody asks
    (:meth:`~gateway.connections.fanout.delivery_class.DeliveryClass.settle`).
    """

    __slots__ = ("_accounts", "_carried")

    def __init__(self) -> None:
        self._accounts: dict[int, dict[int, tuple[str, StreamAccount]]] = {}
        self._carried: dict[int, Mapping[str, Counts]] = {}

    def carry(self, subscription: int, counts: Mapping[str, Counts]) -> None:
        """What a subscription counted on earlier connections: of streams too that are yet to come on this one."""
        if counts:
            self._carried[subscription] = counts

    def open(self, stream: Stream, subscription: int, wish: SubscribeOptions, first: int) -> None:
        """A subscription is about to be sent a stream, for the first time on this connection.

        Args:
            stream: or a view of one.
            subscription: the client's number.
            wish: what it asked for.
            first: offset of the first message that it gets.
        """
        account = StreamAccount(stream.kind, self._carried.get(subscription, {}).get(stream.name))
        account.start(stream.epoch, first_wanted(wish.since, stream.name, stream.epoch), first)
        self._accounts.setdefault(stream.id, {})[subscription] = (stream.name, account)

    def close(self, subscription: int) -> None:
        """A subscription has ended."""
        self._carried.pop(subscription, None)
        for stream, accounts in list(self._accounts.items()):
            accounts.pop(subscription, None)
            if not accounts:
                del self._accounts[stream]

    def of(self, subscription: int) -> Iterator[tuple[str, Counts]]:
        """The account of a subscription: name and counts of each of its streams."""
        for accounts in self._accounts.values():
            found = accounts.get(subscription)
            if found is not None:
                yield found[0], found[1].counts

    def messages(self, stream: int, first: int, count: int) -> None:
        """Messages were written to the connection."""
        for _, account in self._accounts.get(stream, {}).values():
            account.messages(account.epoch, first, count)

    def runs(self, runs: Sequence[Run]) -> None:
        """Runs of one source were written: those that follow one another are booked as one."""
        source, first = runs[0].source.id, runs[0].first
        following = first
        for run in runs:
            if run.first != following:
                self.messages(source, first, following - first)
                first = run.first
            following = run.first + run.count
        self.messages(source, first, following - first)

    def gap(self, gap: Gap) -> None:
        """A gap was announced to it."""
        for _, account in self._accounts.get(gap.stream, {}).values():
            account.gap(account.epoch, gap.code, gap.first, gap.last)

    def replay(self, replay: Replay) -> None:
        """A replay was announced to it."""
        for _, account in self._accounts.get(replay.stream, {}).values():
            account.replay(replay.first, replay.last)

    def sent(self, stream: int, count: int, following: int) -> None:
        """Bring in what a delivery class has written: see :meth:`StreamAccount.sent`."""
        for _, account in self._accounts.get(stream, {}).values():
            account.sent(count, following)
