"""Invariant: whatever is sent, two sides that see the same frames keep the same account, and it adds up."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from hypothesis import given

from gateway.errors import Code
from gateway.protocol.account import StreamAccount, first_wanted
from gateway.protocol.messages import BEGINNING, Counts, Kind, Since


@pytest.mark.parametrize(
    ("since", "wanted"),
    [(None, None), (BEGINNING, None), (7, 7), ({"wf/a": (3, 9)}, 9), ({"wf/a": (2, 9)}, 0), ({"wf/b": (3, 9)}, 0)],
)
def test_what_a_subscription_asked_for(since: Since | None, wanted: int | None) -> None:
    assert first_wanted(since, "wf/a", 3) == wanted


@pytest.mark.parametrize(("wanted", "lost"), [(None, 0), (4, 6), (10, 0), (12, 0)])
def test_what_was_lost_before_the_start_is_dropped(wanted: int | None, lost: int) -> None:
    account = StreamAccount(Kind.EVENT)
    assert account.start(1, wanted, 10) == lost
    account.messages(1, 10, 1)
    assert account.counts == Counts(delivered=1, dropped=lost)


def test_of_a_state_it_was_conflated() -> None:
    account = StreamAccount(Kind.STATE)
    assert account.start(1, 4, 10) == 0
    account.messages(1, 10, 1)
    assert account.counts == Counts(delivered=1, conflated=6)


STEPS = st.lists(
    st.tuples(st.sampled_from(["messages", "gap", "expired", "replay"]), st.integers(0, 40), st.integers(1, 6)),
    max_size=30,
)


@given(STEPS, st.sampled_from([Kind.STATE, Kind.EVENT]), st.integers(0, 10))
def test_every_offset_is_counted_once(steps: list[tuple[str, int, int]], kind: Kind, first: int) -> None:
    account = StreamAccount(kind)
    account.start(1, None, first)
    highest = first
    for what, offset, count in steps:
        if what == "replay":
            account.replay(offset, offset + count - 1)
            continue
        if what == "messages":
            account.messages(1, offset, count)
        else:
            # A gateway tells of a gap where it is, so nothing is jumped over.
            offset = min(offset, highest)
            account.gap(1, Code.EXPIRED if what == "expired" else Code.QUEUE_FULL, offset, offset + count - 1)
        highest = max(highest, offset + count)
    counts = account.counts
    assert counts.delivered + counts.conflated + counts.dropped + counts.expired == highest - first
    assert counts.replayed <= counts.delivered


def test_where_messages_are_acknowledged_they_count_as_often_as_they_come() -> None:
    account = StreamAccount(Kind.COLLABORATION)
    assert account.start(1, 0, 3) == 0
    account.messages(1, 3, 2)
    account.messages(1, 7, 1)
    account.gap(1, Code.EXPIRED, 8, 9)
    account.replay(3, 4)
    account.messages(1, 3, 2)
    account.gap(1, Code.MESSAGE_TOO_BIG, 7, 7)
    account.messages(1, 10, 1)
    assert account.counts == Counts(delivered=6, replayed=2, expired=2, dropped=1)


def test_of_another_incarnation_nothing_was_skipped_or_repeated() -> None:
    account = StreamAccount(Kind.EVENT)
    account.start(1, None, 10)
    account.messages(1, 10, 5)
    assert account.messages(2, 3, 2) == (0, 0)
    assert (account.epoch, account.next) == (2, 5)
    assert account.gap(3, Code.QUEUE_FULL, 0, 1) == 2
    assert (account.epoch, account.next) == (3, 2)
    assert account.counts == Counts(delivered=7, dropped=2)


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.EVENT, Kind.CONTROL])
def test_before_the_start_is_known_the_first_messages_are_it(kind: Kind) -> None:
    account = StreamAccount(kind)
    assert account.messages(0, 40, 2) == (0, 0)
    assert (account.next, account.counts) == (42, Counts(delivered=2))


def test_a_gap_that_overlaps_says_how_much_of_it_is_news() -> None:
    account = StreamAccount(Kind.EVENT)
    account.start(1, None, 10)
    account.messages(1, 10, 5)
    assert account.gap(1, Code.QUEUE_FULL, 12, 17) == 3
    assert account.gap(1, Code.QUEUE_FULL, 12, 17) == 0
    assert account.messages(1, 16, 4) == (0, 2)
    assert (account.next, account.duplicates) == (20, 2)


@pytest.mark.parametrize(("kind", "conflated"), [(Kind.STATE, 7), (Kind.EVENT, 0)])
def test_messages_that_went_to_many_at_once(kind: Kind, conflated: int) -> None:
    account = StreamAccount(kind)
    account.start(1, None, 10)
    account.sent(3, 20)
    account.sent(0, 25)
    assert (account.next, account.counts) == (20, Counts(delivered=3, conflated=conflated))


def test_an_account_goes_on_from_the_counts_of_earlier_connections() -> None:
    earlier = Counts(delivered=5, conflated=4, dropped=3, replayed=2, expired=1)
    account = StreamAccount(Kind.EVENT, earlier)
    assert account.counts == earlier
    account.start(1, None, 10)
    account.messages(1, 10, 1)
    assert account.counts == Counts(delivered=6, conflated=4, dropped=3, replayed=2, expired=1)


def test_what_the_client_conflated_is_counted_beside_what_was_delivered() -> None:
    account = StreamAccount(Kind.STATE, Counts(delivered=5, client_conflated=2))
    account.conflated_by_client(3)
    assert account.counts == Counts(delivered=5, client_conflated=5)
    account.conflated_by_client(2**64 - 1)
    assert account.counts.client_conflated == 2**64 - 1  # as much as ACCOUNT carries
