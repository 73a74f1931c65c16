"""A ledger keeps an account for each subscription of a connection, each from its own start on."""

from __future__ import annotations

from itertools import pairwise

import pytest

from gateway.connections.outbound import delivery_accounts
from gateway.connections.outbound.delivery_accounts import (
    MAX_ENDED,
    MAX_SUCCESSORS,
    DeliveryAccounts,
    SubscribedStreams,
    SubscribeOptions,
)
from gateway.connections.slices import LET_GO_TOGETHER
from gateway.errors import Code, RequestRefused
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Counts, EndReason, Error, Kind, StreamInfo
from gateway.protocol.signals import Conflated, Gap, Replay
from gateway.streams.run import Run
from gateway.streams.stream import Stream
from tests.connections.memory import counts_in


def stream(number: int, kind: Kind) -> Stream:
    return Stream(StreamId(number), StreamName(f"wf/{number}"), kind, Epoch(5))


def test_subscriptions_start_where_they_wish() -> None:
    ledger, events = DeliveryAccounts(SubscribedStreams(Limits())), stream(1, Kind.EVENT)
    ledger.open(events, 1, SubscribeOptions(), 10)
    ledger.open(events, 2, SubscribeOptions(4), 6)
    ledger.signal(1, Replay(1, 0, 6, 9))
    ledger.messages(1, 6, 4)
    ledger.messages(1, 10, 2)
    ledger.signal(1, Gap(1, Code.QUEUE_FULL, 12, 14))
    ledger.signal(1, Gap(1, Code.EXPIRED, 15, 15))
    assert counts_in(ledger, 1) == {"wf/1": Counts(delivered=2, dropped=3, expired=1)}
    assert counts_in(ledger, 2) == {"wf/1": Counts(delivered=6, dropped=5, replayed=4, expired=1)}


def test_runs_are_booked_in_ranges_and_a_replay_may_end_in_the_middle() -> None:
    ledger, tasks = DeliveryAccounts(SubscribedStreams(Limits())), stream(1, Kind.COLLABORATION)
    ledger.open(tasks, 1, SubscribeOptions(), 3)
    ledger.signal(1, Replay(1, Code.NOT_PROCESSED, 3, 4))
    ledger.runs([Run(tasks, first, count, (), 0, 0, 1) for first, count in ((3, 1), (4, 1), (5, 3), (9, 1))])
    assert counts_in(ledger, 1) == {"wf/1": Counts(delivered=6, replayed=2)}


def test_accounts_go_on_from_earlier_connections() -> None:
    ledger, states = DeliveryAccounts(SubscribedStreams(Limits())), stream(1, Kind.STATE)
    ledger.carry(1, {"wf/1": Counts(3, 1)})
    ledger.open(states, 1, SubscribeOptions({"wf/1": (5, 3)}), 9)
    ledger.messages(1, 9, 1)
    assert counts_in(ledger, 1) == {"wf/1": Counts(delivered=4, conflated=7)}


def test_what_a_class_has_sent_is_brought_in() -> None:
    ledger, states = DeliveryAccounts(SubscribedStreams(Limits())), stream(1, Kind.STATE)
    ledger.open(states, 1, SubscribeOptions(), 0)
    ledger.sent(1, 3, 5)
    ledger.sent(1, 0, 9)
    ledger.messages(1, 5, 1)
    assert counts_in(ledger, 1) == {"wf/1": Counts(delivered=4, conflated=2)}


def test_what_ends_is_forgotten() -> None:
    ledger = DeliveryAccounts(SubscribedStreams(Limits()))
    ledger.open(stream(1, Kind.EVENT), 1, SubscribeOptions(), 0)
    ledger.open(stream(2, Kind.EVENT), 1, SubscribeOptions(), 0)
    ledger.open(stream(2, Kind.EVENT), 2, SubscribeOptions(), 0)
    for number in (1, 2):
        ledger.close_one(number, 1)
    ledger.close(1)
    assert counts_in(ledger, 1) == {}
    assert list(counts_in(ledger, 2)) == ["wf/2"]


def test_very_many_earlier_counts_are_dropped_some_at_a_time() -> None:
    ledger = DeliveryAccounts(SubscribedStreams(Limits()))
    counts = {f"wf/{number}": Counts(1) for number in range(5 * LET_GO_TOGETHER)}
    ledger.carry(1, dict(counts))
    assert ledger.size == len(counts)
    (carried, _) = ledger.close(1)
    assert carried == counts
    assert ledger.size == 0
    ledger.carry(1, counts)
    left = [len(counts) for _ in ledger.dropping()]
    assert max(before - after for before, after in pairwise(left)) == LET_GO_TOGETHER
    assert not counts


def test_the_next_stream_of_a_name_goes_on_from_the_counts_of_one_that_has_ended() -> None:
    ledger = DeliveryAccounts(SubscribedStreams(Limits()))
    ledger.carry(1, {})
    ledger.open(stream(1, Kind.EVENT), 1, SubscribeOptions(), 0)
    ledger.messages(1, 0, 3)
    ledger.end(1)
    assert counts_in(ledger, 1) == {}
    following = Stream(StreamId(2), StreamName("wf/1"), Kind.EVENT, Epoch(6))
    ledger.open(following, 1, SubscribeOptions(), 0)
    ledger.messages(2, 0, 4)
    assert counts_in(ledger, 1) == {"wf/1": Counts(delivered=7)}


def test_few_streams_that_have_ended_are_remembered() -> None:
    ledger = DeliveryAccounts(SubscribedStreams(Limits()))
    ledger.carry(1, {})
    for _ in range(2):
        for number in range(MAX_ENDED + 1):
            ledger.open(stream(number, Kind.EVENT), 1, SubscribeOptions(), 0)
            ledger.messages(number, 0, 1)
            ledger.end(number)
    for number in (0, MAX_ENDED):
        ledger.open(stream(number, Kind.EVENT), 1, SubscribeOptions(), 0)
    assert counts_in(ledger, 1) == {"wf/0": Counts(delivered=2), f"wf/{MAX_ENDED}": Counts()}


def test_conflated_messages_of_a_stream_that_is_not_received_do_not_count() -> None:
    accounts = DeliveryAccounts(SubscribedStreams(Limits()))
    accounts.conflated_by_client(Conflated(7, 3))
    assert accounts.client_conflated == 0


def test_another_view_goes_on_from_the_account_and_takes_reports_under_way_about_the_one_before() -> None:
    ledger, views = (
        DeliveryAccounts(SubscribedStreams(Limits())),
        [Stream(StreamId(number), StreamName("wf/x"), Kind.STATE, Epoch(5)) for number in range(2 * MAX_SUCCESSORS)],
    )
    ledger.open(views[0], 1, SubscribeOptions(), 0)
    ledger.messages(0, 0, 3)
    assert ledger.delivered_of(0) == (3, 3)
    for before, after in pairwise(views):
        ledger.carry_on(before.id, 1, after.id)
        ledger.open(after, 1, SubscribeOptions({"wf/x": (5, 3)}), 4)
    last = views[-1].id
    assert ledger.ids == [last]
    ledger.conflated_by_client(Conflated(last - 2, 2))
    ledger.conflated_by_client(Conflated(0, 40))  # forgotten
    ledger.messages(last, 4, 1)
    assert counts_in(ledger, 1) == {"wf/x": Counts(delivered=4, conflated=1, client_conflated=2)}
    assert [view.client_conflated_messages for view in views] == [0] * (len(views) - 1) + [2]
    assert ledger.delivered_of(last) == (4, 5)
    assert ledger.delivered_of(0) == (0, 0)
    assert len(ledger._successors) == MAX_SUCCESSORS
    ledger.carry_on(last, 1, 0)
    ledger.open(views[0], 1, SubscribeOptions(), 5)
    ledger.conflated_by_client(Conflated(last, 1))
    ledger.conflated_by_client(Conflated(0, 1))
    assert counts_in(ledger, 1)["wf/x"].client_conflated == 4


def test_the_end_of_a_stream_may_follow_the_start_of_the_next_one_of_its_name() -> None:
    ledger = DeliveryAccounts(SubscribedStreams(Limits()))
    ledger.carry(1, {})
    ledger.open(stream(1, Kind.EVENT), 1, SubscribeOptions(), 0)
    ledger.messages(1, 0, 3)
    ledger.open(Stream(StreamId(2), StreamName("wf/1"), Kind.EVENT, Epoch(6)), 1, SubscribeOptions(), 0)
    ledger.messages(2, 0, 4)
    ledger.end(1)
    found = ledger.find(2, 1)
    assert found is not None
    assert ledger.counts_of(1, "wf/1", found[1]) == Counts(delivered=7)
    ledger.end(2)
    assert ledger.names_without_account(1) == ["wf/1"]
    assert ledger.counts_of(1, "wf/1") == Counts(delivered=7)


def test_an_error_is_told_to_a_subscription_that_still_receives_the_stream() -> None:
    ledger, events = DeliveryAccounts(SubscribedStreams(Limits())), stream(1, Kind.EVENT)
    for subscription in (1, 2):
        ledger.open(events, subscription, SubscribeOptions(), 0)
    ledger.close_one(1, 2)
    refusal = RequestRefused(Code.INVALID_VIEW, "it does not fit")
    first, second = [Error.of(refusal, subscription=number, stream="wf/1") for number in (1, 2)]
    assert ledger.signal(1, first)
    assert not ledger.signal(1, second)
    ledger.close_one(1, 1)
    assert not ledger.signal(1, first)


def test_an_end_that_waits_is_told_unless_all_its_subscriptions_have_ended() -> None:
    ledger = DeliveryAccounts(SubscribedStreams(Limits()))
    infos = []
    for number, subscriptions in enumerate(((1,), (1, 2), (2,), (1,)), 1):
        events = stream(number, Kind.EVENT)
        for subscription in subscriptions:
            ledger.carry(subscription, {})
            ledger.open(events, subscription, SubscribeOptions(), 0)
        infos.append(StreamInfo(number, events.name, ended=EndReason.DELETED))
    for number in (1, 2, 3):
        ledger.end(number, waits=True)
    assert ledger.ends_waiting == 3
    for _ in ledger.leaving(1):
        pass
    ledger.end(4, waits=True)  # for a later subscription of the same number
    assert [ledger.signal(number, info) for number, info in enumerate(infos, 1)] == [False, True, True, True]
    assert ledger.ends_waiting == 0


@pytest.mark.parametrize("whose", ["a connection", "all connections"])
def test_counts_of_streams_without_an_account_have_a_bound(whose: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if whose == "a connection":
        every = SubscribedStreams(Limits(max_subscribed_streams=5))
    else:
        monkeypatch.setattr(delivery_accounts, "MAX_ALL_KEPT", 5)
        every = SubscribedStreams(Limits())
    other, ledger = DeliveryAccounts(every), DeliveryAccounts(every)
    ledger.carry(1, {f"wf/{number}": Counts(number) for number in range(4)})
    ledger.carry(2, {})
    ended = {number: stream(number, Kind.EVENT) for number in (10, 11, 12)}
    for number, source in ended.items():
        ledger.open(source, 2, SubscribeOptions(), 0)
        ledger.messages(number, 0, 1)
    for number in ended:
        ledger.end(number)
    assert ledger.names_without_account(2) == ["wf/10"]
    other.carry(1, {f"wf/{number}": Counts(1) for number in range(9)})
    assert len(other.names_without_account(1)) == (5 if whose == "a connection" else 0)
    ledger.carry(3, {"wf/0": Counts(1)})
    assert ledger.names_without_account(3) == []
    # A stream that is announced, and a subscription that ends, make room.
    ledger.open(stream(3, Kind.EVENT), 1, SubscribeOptions(), 0)
    ledger.close(2)
    ledger.carry(4, {f"wf/{number}": Counts(1) for number in range(9)})
    assert len(ledger.names_without_account(4)) == 2
    for accounts in (ledger, other):
        for _ in accounts.dropping():
            pass
    assert (every.kept, every.total) == (0, 0)
    assert every.room_to_keep(0) == 5
