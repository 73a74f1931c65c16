"""Tasks of the admin port: streams whose messages are acknowledged, and how far each of their consumers has come."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from gateway.admin.http.query import check_names, pattern_of
from gateway.admin.http.steps import largest, taken
from gateway.admin.reports.catalogue import page_answer, page_of
from gateway.connections.consumers.ack_unit import AckUnit
from gateway.connections.consumers.consumer import Consumer
from gateway.connections.consumers.stats import ConsumerStats
from gateway.connections.core import Core
from gateway.protocol.names import dead_letters_of
from gateway.protocol.wire import DATA_HEADER
from gateway.streams.large import LargeMessage
from gateway.streams.stream import Stream

MAX_SHOWN: Final = 100
"""Consumers of a stream that are told of, those with the most messages before them."""

_Listed = tuple[Stream, ConsumerStats, list[Consumer]]


class TaskReport:
    """Handler of requests for the streams that are acknowledged.

    Args:
        core: the gateway.
        in_turn: held while the answer is made, as by all long answers of the admin port.
    """

    def __init__(self, core: Core, in_turn: asyncio.Lock) -> None:
        self._core = core
        self._in_turn = in_turn

    async def show(self, request: Request) -> Response:
        """Answer with up to ``limit`` acknowledged streams whose name matches ``pattern``, after id ``after``.

        Raises:
            RequestRefused: ``INVALID_REQUEST``, ``INVALID_NAME``.
        """
        check_names(request, "pattern", "after", "limit")
        pattern = pattern_of(request)
        after, limit = page_of(request)

        def is_wanted(stream: Stream) -> bool:
            return stream.id > after and stream.kind.acknowledged and pattern.matches(stream.name)

        async with self._in_turn:
            found, last = await taken(self._core.streams, limit, is_wanted)
            listed = [await self._listed(stream) for stream in found]
            following = None if last else found[-1].id
            return await page_answer("streams", listed, self._fields, following, together=1)

    async def _listed(self, stream: Stream) -> _Listed:
        fanout = self._core.hub.fanouts.acknowledged_by_id(stream.id)
        if fanout is None:
            return stream, ConsumerStats(), []
        busiest = await largest(list(fanout.consumers.values()), MAX_SHOWN, lambda consumer: consumer.pending)
        return stream, fanout.stats(), busiest

    def _fields(self, listed: _Listed) -> dict[str, Any] | None:
        stream, stats, consumers = listed
        if stream.ended:
            return None
        letters = self._core.streams.get(name := dead_letters_of(stream.name))
        held = 0 if letters is None else letters.next_offset - letters.first_offset
        return {
            "id": stream.id,
            "name": stream.name,
            "kind": stream.kind.value,
            "published": stream.next_offset,
            "pending": stats.pending,
            "unacknowledged_bytes": stats.held_bytes,
            "delivered": stats.delivered_messages,
            "redelivered": stats.redelivered_messages,
            "expired": stats.expired_messages,
            "dead_lettered": stats.dead_lettered_messages,
            "present": stats.present,
            "absent": stats.absent,
            "dead_letters": None if letters is None else {"stream": name, "messages": held},
            "consumers": [self._consumer(consumer) for consumer in consumers],
        }

    def _consumer(self, consumer: Consumer) -> dict[str, Any]:
        clock, connection = self._core.clock, consumer.connection
        oldest = [each.unit for each in (*consumer.in_flight.oldest(), *islice(consumer.queued, 1))]
        published_ns = min(map(_published_ns, oldest), default=None)
        return {
            "client_id": consumer.client_id,
            "peer": None if connection is None else connection.peer.id,
            "away_s": None if consumer.lost_s is None else round(clock.monotonic_s() - consumer.lost_s, 3),
            "in_flight": len(consumer.in_flight),
            "waiting": len(consumer.queued),
            "oldest_s": None if published_ns is None else round(max(0, clock.time_ns() - published_ns) / 1e9, 3),
            "delivered": consumer.delivered,
            "redelivered": consumer.redelivered,
            "expired": consumer.expired,
            "dropped": consumer.dropped,
            "dead_lettered": consumer.dead_lettered,
        }


def _published_ns(unit: AckUnit) -> int:
    """Return the time at which a unit was published, by the clock of its publisher."""
    content = unit.content
    if isinstance(content, LargeMessage):
        return content.timestamp_ns
    *_, timestamp_ns = DATA_HEADER.unpack_from(content.buffers[0])
    return int(timestamp_ns)
