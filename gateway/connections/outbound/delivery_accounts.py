"""Delivery accounts of one connection: the messages that each subscription was sent (spec section 7.7).

There is one for each stream that a subscription receives, so their number bounds what connections receive.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Final, NamedTuple

from gateway.connections.outbound.no_entries import NO_ENTRIES, with_entry
from gateway.connections.slices import let_go
from gateway.errors import Code, RequestRefused
from gateway.protocol.account import StreamAccount, first_wanted
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Counts, Error, Since, StreamInfo
from gateway.protocol.signals import Conflated, Gap, Replay
from gateway.streams.run import Run
from gateway.streams.stream import Stream


class SubscribeOptions(NamedTuple):
    """Start of a subscription as its SUBSCRIBE asks for it (spec section 4.2)."""

    since: Since | None = None
    resume: Mapping[str, tuple[int, int]] = MappingProxyType({})
    """Large messages, by stream, whose first chunks the receiver has: the transfer, and the number of chunks."""


NO_OPTIONS = SubscribeOptions()
"""Start at the position that the kind of the stream gives a late joiner."""

MAX_ENDED: Final = 1024
"""Streams that have ended whose counts a subscription remembers."""
MAX_SUCCESSORS: Final = 64
"""Views of a connection that are remembered after others have taken their place."""
MAX_ALL_KEPT: Final = 1_000_000
"""Counts of streams without an account that all connections together remember, some 200 bytes each."""


class SubscribedStreams:
    """Number of the accounts of all connections, and of the counts of streams without one, and their bounds.

    Args:
        limits: the bounds.

    Attributes:
        total: number of accounts.
        kept: number of counts of streams that have ended, or are yet to be announced.
    """

    __slots__ = ("_limits", "kept", "total")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.total = self.kept = 0

    def room_to_keep(self, kept: int) -> int:
        """Return how many counts of streams without an account a connection that has so many may have more."""
        return max(0, min(self._limits.max_subscribed_streams - kept, MAX_ALL_KEPT - self.kept))

    def check(self, of_connection: int) -> None:
        """Refuse another stream for a subscription of a connection that has so many accounts.

        Raises:
            RequestRefused: ``LIMIT_EXCEEDED``.
        """
        limits = self._limits
        if of_connection >= limits.max_subscribed_streams:
            whose, limit = "the connection receives", f"max_subscribed_streams={limits.max_subscribed_streams}"
        elif self.total >= limits.max_all_subscribed_streams:
            whose, limit = "all connections receive", f"max_all_subscribed_streams={limits.max_all_subscribed_streams}"
        else:
            return
        problem = f"{whose} {limit} already, each counted for each subscription"
        raise RequestRefused(Code.LIMIT_EXCEEDED, f"{problem}: subscribe to fewer streams, or once")


class DeliveryAccounts:
    """Accounts by the id under which a stream is sent, and by subscription.

    Messages that a delivery class writes to all its members are not counted one by one: the class adds them up, and
    settles with a member that leaves it for its outbox, or when somebody asks for the account
    (:meth:`~gateway.connections.fanout.delivery_class.DeliveryClass.book`).
    """

    __slots__ = (
        "_accounts",
        "_all",
        "_carried",
        "_ended",
        "_kept",
        "_successors",
        "_untold",
        "booked",
        "client_conflated",
        "count",
        "newcomers",
    )

    def __init__(self, all_accounts: SubscribedStreams) -> None:
        self._all = all_accounts
        self.count = 0
        """Number of accounts."""
        self.booked = 0
        """Messages of all streams that have been counted as sent."""
        self.client_conflated = 0
        """Messages that the library of the client has conflated, as it has reported."""
        self.newcomers: list[int] | None = None
        """Ids of the streams whose accounts are opened from now on; ``None``: nobody wants to know."""
        self._accounts: dict[int, dict[int, tuple[Stream, StreamAccount]]] = NO_ENTRIES
        self._carried: dict[int, dict[str, Counts]] = NO_ENTRIES
        """Counts of earlier connections, of streams without an account here, by the subscriptions that there are."""
        self._ended: dict[int, dict[str, Counts]] = NO_ENTRIES
        """Counts of streams that have ended."""
        self._kept = 0
        """Number of both kinds of counts. Past the bounds of all of them further ones are forgotten."""
        self._untold: dict[int, tuple[int, ...]] = NO_ENTRIES
        """Subscriptions that are to be told the ends that wait in the outbox, by the ids of the streams."""
        self._successors: dict[int, int] = NO_ENTRIES
        """Ids of views that took the place of others, by the ids of these: reports about them may be under way."""

    def carry(self, subscription: int, counts: Mapping[str, Counts]) -> None:
        """Begin a subscription with its counts on earlier connections, also of streams that are yet to come.

        Args:
            subscription: the client's number.
            counts: by stream; a dict belongs to the accounts from now on, since a copy of 100 000 takes 10 ms.
        """
        room = self._all.room_to_keep(self._kept) if counts else 0
        if not isinstance(counts, dict) or len(counts) > room:
            counts = dict(islice(counts.items(), room))
        self._carried = with_entry(self._carried, subscription, counts or NO_ENTRIES)
        self._keep(len(counts))

    def open(self, stream: Stream, subscription: int, options: SubscribeOptions, first: int) -> None:
        """Open the account of a stream for a subscription, before its first message on this connection.

        Args:
            stream: the stream, or a view of one.
            subscription: the client's number.
            options: start that the subscription asked for.
            first: offset of the first message that it gets.
        """
        account = StreamAccount(stream.kind, self._take_kept(subscription, stream.name))
        account.start(stream.epoch, first_wanted(options.since, stream.name, stream.epoch), first)
        accounts = self._accounts.get(stream.id)
        if accounts is None:
            accounts = {}
            self._accounts = with_entry(self._accounts, stream.id, accounts)
        self._count(subscription not in accounts)
        accounts[subscription] = (stream, account)
        if self.newcomers is not None:
            self.newcomers.append(stream.id)

    def close(self, subscription: int) -> list[dict[str, Counts]]:
        """Forget earlier counts of a subscription that has ended, whose accounts are closed one by one.

        Returns:
            These counts, for the caller to free: very many take long.
        """
        closed = [kept.pop(subscription, NO_ENTRIES) for kept in (self._carried, self._ended)]
        for counts in closed:
            self._keep(-len(counts))
        return closed

    def close_one(self, stream: int, subscription: int) -> None:
        """Drop the account of one stream of a subscription."""
        accounts = self._accounts.get(stream, {})
        self._count(-(accounts.pop(subscription, None) is not None))
        if not accounts:
            self._accounts.pop(stream, None)

    def carry_on(self, stream: int, subscription: int, other: int) -> None:
        """Close the account of a view for a subscription that gets another one of the stream, which goes on from it.

        Args:
            stream: id of the view.
            subscription: the client's number.
            other: id of the other view, whose account is opened next.
        """
        source, account = self._accounts[stream][subscription]
        self.close_one(stream, subscription)
        self._successors.pop(other, None)
        if stream not in self._accounts:
            self._successors = with_entry(self._successors, stream, other)
            if len(self._successors) > MAX_SUCCESSORS:
                del self._successors[next(iter(self._successors))]
        carried = with_entry(self._carried.get(subscription, NO_ENTRIES), source.name, account.counts)
        self._carried = with_entry(self._carried, subscription, carried)
        self._keep(1)

    def end(self, stream: int, *, waits: bool = False) -> None:
        """Close the accounts of a stream that has ended. The next stream of its name goes on from their counts.

        At most :data:`MAX_ENDED` of a subscription are remembered, as long as there is room.

        Args:
            stream: its id.
            waits: whether the word of its end waits in the outbox.
        """
        accounts = self._accounts.pop(stream, {})
        self._count(-len(accounts))
        if waits:
            self._untold = with_entry(self._untold, stream, tuple(accounts))
        for subscription, (source, account) in accounts.items():
            if subscription not in self._carried:
                continue  # it has ended as well
            ended = self._ended.get(subscription)
            if ended is None:
                ended = {}
                self._ended = with_entry(self._ended, subscription, ended)
            is_new = source.name not in ended
            if is_new and (len(ended) >= MAX_ENDED or not self._all.room_to_keep(self._kept)):
                continue
            ended[source.name] = self._with_ended(subscription, source.name, account.counts)
            self._keep(is_new)

    def check_room(self) -> None:
        """Refuse another stream for a subscription, if there are too many accounts.

        Raises:
            RequestRefused: ``LIMIT_EXCEEDED``.
        """
        self._all.check(self.count)

    @property
    def size(self) -> int:
        """Number of accounts, of ends that wait in the outbox, and of earlier counts."""
        return self.count + len(self._untold) + self._kept

    @property
    def ends_waiting(self) -> int:
        """Number of streams whose ends wait in the outbox."""
        return len(self._untold)

    def leaving(self, subscription: int) -> Iterator[None]:
        """Have a subscription that has left all its streams told of no end that waits in the outbox, one a step."""
        for stream in list(self._untold):
            numbers = self._untold.get(stream, ())
            if subscription in numbers:
                self._untold[stream] = tuple([number for number in numbers if number != subscription])
            yield

    def dropping(self) -> Iterator[None]:
        """Drop all accounts, those of one stream a step: the connection is gone."""
        while self._untold:
            self._untold.popitem()
            yield
        while self._accounts:
            _, accounts = self._accounts.popitem()
            self._count(-len(accounts))
            yield
        for subscription in {*self._carried, *self._ended}:
            for counts in self.close(subscription):
                yield
                while let_go(counts):
                    yield

    def newest_id(self, stream: int) -> int:
        """Return the id of the view that took the place of a view last, or of the view itself.

        Reports and requests about the one before may be under way meanwhile.
        """
        while stream in self._successors:
            stream = self._successors[stream]
        return stream

    def name_of(self, stream: int) -> str | None:
        """Return the name of a stream, or of the stream of a view, by its id; ``None`` if it has no account."""
        source = self.source_of(stream)
        return None if source is None else source.name

    def source_of(self, stream: int) -> Stream | None:
        """Return a stream, or a view of one, by its id; ``None`` if it has no account."""
        return next((source for source, _ in self._accounts.get(stream, {}).values()), None)

    def _count(self, more: int) -> None:
        self.count += more
        self._all.total += more

    def _keep(self, more: int) -> None:
        self._kept += more
        self._all.kept += more

    def _take_kept(self, subscription: int, name: str) -> Counts | None:
        """Return the counts of a stream that has had no account, which are not kept any more."""
        for kept in (self._carried, self._ended):
            counts: Counts | None = kept.get(subscription, NO_ENTRIES).pop(name, None)
            if counts is not None:
                self._keep(-1)
                return counts
        return None

    @property
    def ids(self) -> list[int]:
        """Ids of the streams that have an account."""
        return list(self._accounts)

    def subscriptions_of(self, stream: int) -> Collection[int]:
        """Return the subscriptions that receive a stream, or a view of one, by its id."""
        return self._accounts.get(stream, {}).keys()

    def names_without_account(self, subscription: int) -> list[str]:
        """Return the streams that have ended, and those named by SUBSCRIBE that are not announced: each has counts."""
        return [*self._carried.get(subscription, ()), *self._ended.get(subscription, ())]

    def counts_of(self, subscription: int, name: str, account: StreamAccount | None = None) -> Counts | None:
        """Return the counts of a stream in a subscription; ``None``: it has none.

        Args:
            subscription: the client's number.
            name: name of the stream.
            account: its account; ``None``: it has none at present.
        """
        if account is not None:
            return self._with_ended(subscription, name, account.counts)
        ended = self._ended.get(subscription, {}).get(name)
        return self._carried.get(subscription, {}).get(name, ended)

    def _with_ended(self, subscription: int, name: str, counts: Counts) -> Counts:
        """Add the counts of a stream that has ended after the next one of its name was announced."""
        ended = self._ended.get(subscription, {}).get(name)
        return counts if ended is None else Counts(*map(sum, zip(counts, ended, strict=True)))

    def find(self, stream: int, subscription: int) -> tuple[Stream, StreamAccount] | None:
        """Return a stream, or a view of one, by its id, and its account in a subscription; ``None``: it has none.

        The account may lack what a delivery class has still to book
        (:meth:`~gateway.connections.outbound.connection.Connection.book`).
        """
        return self._accounts.get(stream, {}).get(subscription)

    def delivered_of(self, stream: int) -> tuple[int, int]:
        """Return how many messages of a stream were delivered, as far as that is booked, and the offset behind them."""
        for _, account in self._accounts.get(stream, {}).values():
            return account.delivered, account.next or 0
        return 0, 0

    def messages(self, stream: int, first: int, count: int) -> None:
        """Count messages that were written to the connection."""
        self.booked += count
        for _, account in self._accounts.get(stream, {}).values():
            account.messages(account.epoch, first, count)

    def runs(self, runs: Sequence[Run]) -> None:
        """Count runs of one source that were written; runs that follow one another are counted as one."""
        source, first = runs[0].source.id, runs[0].first
        following = first
        for run in runs:
            if run.first != following:
                self.messages(source, first, following - first)
                first = run.first
            following = run.first + run.count
        self.messages(source, first, following - first)

    def signal(self, stream: int, signal: Gap | Replay | StreamInfo | Error) -> bool:
        """Count a signal about a stream that is to be sent, or the end of one that has waited in the outbox.

        Returns:
            Whether it is to be sent: not an end of which all subscriptions have left the stream since, nor the error of
            a subscription that has left it.
        """
        if isinstance(signal, Error):
            return signal.subscription in self._accounts.get(stream, ())
        if isinstance(signal, StreamInfo):
            return bool(self._untold.pop(stream, ()))
        for _, account in self._accounts.get(stream, {}).values():
            if isinstance(signal, Gap):
                account.gap(account.epoch, signal.code, signal.first, signal.last)
            else:
                account.replay(signal.first, signal.last)
        return True

    def conflated_by_client(self, conflated: Conflated) -> None:
        """Count messages that the client's library has conflated; of a stream without an account, none."""
        accounts = self._accounts.get(self.newest_id(conflated.stream), {})
        for _, account in accounts.values():
            account.conflated_by_client(conflated.count)
        if accounts:
            source, _ = next(iter(accounts.values()))
            source.count_conflated(conflated.count, by_client=True)
            self.client_conflated += conflated.count

    def sent(self, stream: int, count: int, following: int) -> None:
        """Count messages of a delivery class; see :meth:`~gateway.protocol.account.StreamAccount.sent`."""
        self.booked += count
        for _, account in self._accounts.get(stream, {}).values():
            account.sent(count, following)
