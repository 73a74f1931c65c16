"""Report of the messages that this client conflated because its program is slow (spec section 7.9)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Final

from gateway.client.session.session import Session
from gateway.client.subscribing.stream_sink import StreamSink
from gateway.client.subscribing.subscription_core import SubscriptionCore
from gateway.client.subscribing.subscription_index import SubscriptionIndex
from gateway.protocol.signals import Conflated

MAX_REPORTED: Final = 2048
"""Streams of a subscription that one report names: some milliseconds."""


def report_conflated(
    session: Session,
    subscriptions: Iterable[SubscriptionCore],
    sinks: Mapping[int, StreamSink],
    index: SubscriptionIndex,
    *,
    limit: int = sys.maxsize,
) -> bool:
    """Send CONFLATED for each stream of which messages were conflated since the last report, and count them.

    The gateway adds the count of a frame to the account of every subscription to the stream, and so does this side.
    Therefore the report of a stream waits while the gateway has yet to announce the stream to one of them.

    Args:
        session: the present session.
        subscriptions: all subscriptions of the client.
        sinks: streams of the session, by number.
        index: all subscriptions, by their patterns.
        limit: bound on the reported streams of each subscription.

    Returns:
        Whether there are more.
    """
    counts: dict[int, int] = {}
    more = False
    for subscription in subscriptions:
        unreported = subscription.buffer.unreported
        left = limit
        for name in list(unreported):
            if not left:
                more = True
                break
            number = subscription.position.id_of(name)
            sink = None if number is None else sinks.get(number)
            if name not in subscription.position:
                del unreported[name]  # it has ended long ago
            elif number is not None and sink is not None and _announced_to_all(sink, number, index):
                counts[number] = counts.get(number, 0) + unreported.pop(name)
                left -= 1
    session.send_each([Conflated(number, count).write() for number, count in counts.items()])
    for number, count in counts.items():
        sink = sinks[number]
        for subscription in sink.present():
            subscription.position.record_conflated(sink.stream, count)
    return more


def _announced_to_all(sink: StreamSink, number: int, index: SubscriptionIndex) -> bool:
    return all(subscription.position.id_of(sink.stream) == number for _, subscription in index.wanting(sink))
