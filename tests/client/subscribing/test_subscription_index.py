"""Which subscriptions a stream is for, found by their patterns."""

import weakref

import pytest

from gateway.client import View
from gateway.client.subscribing.stream_sink import StreamSink
from gateway.client.subscribing.subscription_core import SubscriptionCore, SubscriptionOptions
from gateway.client.subscribing.subscription_index import SubscriptionIndex
from gateway.protocol.messages import Kind, StreamInfo
from gateway.protocol.names import Pattern
from tests.client.subscribing.test_subscription_core import Noted


class Indexed:
    """An index, and the subscriptions in it."""

    def __init__(self) -> None:
        self.index = SubscriptionIndex()
        self.subscriptions: dict[int, SubscriptionCore] = {}

    def add(self, number: int, pattern: str, view: View | None = None) -> Pattern | None:
        """Add a subscription, and return the pattern by which it is found."""
        options = SubscriptionOptions(buffer_bytes=1, view=view)
        subscription = SubscriptionCore(pattern, options, flow=Noted().flow, report=print)
        self.subscriptions[number] = subscription
        found_by = None if view is not None else subscription.pattern
        self.index.add(number, weakref.ref(subscription), found_by)
        return found_by

    def wanting(self, stream: str, numbers: set[int] | None = None) -> list[int]:
        """The numbers of the subscriptions that a stream is for."""
        sink = StreamSink(StreamInfo(7, stream, Kind.EVENT, 5, 0))
        sink.numbers = numbers
        found = self.index.wanting(sink)
        assert all(self.subscriptions[number] is subscription for number, subscription in found)
        return [number for number, _ in found]


@pytest.fixture
def indexed() -> Indexed:
    """Three subscriptions by pattern, and one to a view."""
    indexed = Indexed()
    indexed.add(2, "wf/*")
    indexed.add(1, "**")
    indexed.add(3, "wf/a")
    indexed.add(4, "wf/a", View(0))
    return indexed


def test_a_stream_is_for_all_whose_patterns_match_in_the_order_of_their_numbers(indexed: Indexed) -> None:
    assert indexed.wanting("wf/a") == [1, 2, 3]
    assert indexed.wanting("wf/b") == [1, 2]
    assert indexed.wanting("other/x/y") == [1]


def test_a_view_is_for_those_that_asked_for_it(indexed: Indexed) -> None:
    assert indexed.wanting("wf/a", {4, 9}) == [4]


def test_what_is_removed_or_dropped_is_not_found(indexed: Indexed) -> None:
    indexed.index.remove(1, indexed.subscriptions[1].pattern)
    del indexed.subscriptions[3]
    assert indexed.wanting("wf/a") == [2]
    assert indexed.index.matched("wf/b")
    assert not indexed.index.matched("other/x/y")
