"""End of a stream: everything that is held for it is given up, and all who have it are told (spec section 4.11).

The name is free at once: a publish to the stream is refused from then on, and a new stream may be opened. Work that
grows with the number of receivers, of publishers or of messages is done in slices.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from gateway.connections.hub.fanout_registry import FanoutRegistry
from gateway.connections.hub.observations import Observations
from gateway.connections.hub.past_streams import PastStreams
from gateway.connections.hub.unused_streams import UnusedStreams
from gateway.connections.hub.views import Views
from gateway.connections.inbound.stream_closing import StreamClosing
from gateway.connections.outbound.connection import Connection
from gateway.connections.ports import DurableStore
from gateway.connections.slices import Slices, step_of
from gateway.connections.viewing.context import ViewContext
from gateway.protocol.messages import EndReason, StreamInfo
from gateway.streams.history import Entry
from gateway.streams.observed import ObservedStream
from gateway.streams.stream import Stream
from gateway.streams.stream_registry import StreamRegistry

logger = logging.getLogger(__name__)

STEPS_AT_ONCE: Final = 8
"""Receivers or aliases that are told in one step, some 20 us each (CPython 3.11, November 2026)."""

ENTRIES_AT_ONCE: Final = 256
"""Entries of a history that are let go of in one step."""

LOG_EVERY_S: Final = 10.0
"""Interval in which the log has at most one line about streams that end by themselves."""

Ended = Callable[[Exception | None], object]
"""Called when a stream has ended and all have been told: with the error if the store could not take note of it."""


class StreamEnds:
    """The ends of streams, and the work that they cause.

    Args:
        streams: all streams.
        fanouts: their fan-outs.
        views: views of them.
        observations: observers of them.
        unused: aliases that are bound to them.
        closing: their publishers' side.
        context: has the policy, which has to forget a stream.
        store: keeps durable streams; ``None``: there are none.
        slices: turns of the loop for work that takes long.
        past: counters of streams that have ended.
    """

    def __init__(
        self,
        streams: StreamRegistry,
        fanouts: FanoutRegistry,
        views: Views,
        observations: Observations,
        unused: UnusedStreams,
        closing: StreamClosing,
        context: ViewContext,
        store: DurableStore | None,
        slices: Slices,
        past: PastStreams,
    ) -> None:
        self._streams = streams
        self._fanouts = fanouts
        self._views = views
        self._observations = observations
        self._unused = unused
        self._closing = closing
        self._context = context
        self._store = store
        self._slices = slices
        self._past = past
        self._unlogged: int | None = None
        """Streams that have ended by themselves since the log's last line about such; ``None``: that was long ago."""
        self._last = ""
        """Name of the last of them, and its reason."""

    def end(self, stream: Stream, reason: EndReason, ended: Ended | None = None) -> None:
        """End a stream.

        The next stream of its name is another one: it has another id and epoch, and STREAM announces it.

        Args:
            stream: the stream, which has not ended.
            reason: for its receivers and publishers.
            ended: called when all have been told, and the deletion is as safe as the durability of the stream says.
        """
        # Streams end by thousands: a line for each would fill the log, and hold up everybody if it is read slowly.
        logger.debug("stream %s of epoch %d ends: %s", stream.name, stream.epoch, reason)
        if reason is not EndReason.DELETED:
            self._log(stream, reason)
        entries = self._streams.end(stream, reason)
        self._unused.end(stream)
        self._fanouts.ending[stream] = None
        # In this order: a publisher learns of its messages in the order in which it has sent them.
        self._closing.close(stream, stream.end_refusal())
        waiting = _Waiting(ended)
        if stream.durable and self._store is not None:
            waiting.parts += 1
            self._store.forget(stream, waiting.over)
        step = step_of(self._telling(stream, reason, entries, waiting), STEPS_AT_ONCE)
        if step():
            self._slices.add(step)

    def _log(self, stream: Stream, reason: EndReason) -> None:
        """Log that a stream has ended by itself; of many such streams the first, and later how many others."""
        if self._unlogged is None:
            logger.info("stream %s has ended, because it was empty and unused (%s)", stream.name, reason)
            self._unlogged = 0
            self._context.clock.call_later(LOG_EVERY_S, self._log_others)
            return
        self._unlogged += 1
        self._last = f"{stream.name} ({reason})"

    def _log_others(self) -> None:
        count, self._unlogged = self._unlogged, None
        if count:
            logger.info(
                "streams that have ended since, because they were empty and unused: %d, the last one %s",
                count,
                self._last,
            )
            self._unlogged = 0
            self._context.clock.call_later(LOG_EVERY_S, self._log_others)

    def _telling(
        self, stream: Stream, reason: EndReason, entries: list[Entry | None], waiting: _Waiting
    ) -> Iterator[None]:
        """Tell all who have the stream, one after the other, and give up everything of it."""
        told = StreamInfo(stream.id, stream.name, stream.kind, stream.epoch, stream.next_offset, ended=reason)

        def end(connection: Connection, source: Stream = stream) -> None:
            observed = True if isinstance(source, ObservedStream) else None
            connection.end(source, replace(told, id=source.id, observed=observed))

        refusal = stream.end_refusal()
        for binding in self._unused.aliases_of(stream):
            self._unused.release(stream, binding)
            self._closing.release(binding, refusal)
            yield
        yield from self._views.end(stream, end)
        yield from self._observations.end(stream, end)
        fanout = self._fanouts.of(stream)
        yield from fanout.close(end)
        self._past.add(stream, fanout, reason)
        self._fanouts.end(stream)
        self._context.policy.forget(stream)
        while entries:
            del entries[-ENTRIES_AT_ONCE:]
            yield
        waiting.over(None)


class _Waiting:
    """Parts of the end of a stream that are not over."""

    def __init__(self, ended: Ended | None) -> None:
        self._ended = ended
        self._error: Exception | None = None
        self.parts = 1

    def over(self, error: Exception | None) -> None:
        """Note that a part is over, or has failed."""
        self.parts -= 1
        self._error = self._error or error
        if not self.parts and self._ended is not None:
            self._ended(self._error)
