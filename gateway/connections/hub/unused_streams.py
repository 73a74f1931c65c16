"""Unused streams: streams that no connection has opened, in the order in which they ceased to be used."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from gateway.connections.sessions.session import AliasBinding
from gateway.protocol.wire import PRODUCER_KEPT_S
from gateway.shrinking import Shrinking
from gateway.streams.stream import Stream

LOOKED_AT: Final = 256
"""Streams that are looked at to make room for one more: some hundred microseconds."""


class UnusedStreams:
    """Streams to which no alias of a connection is bound; they end to make room for others (spec section 4.1).

    Args:
        now_s: seconds by the monotonic clock.
        streams: streams that exist already.
    """

    def __init__(self, now_s: Callable[[], float], streams: Iterable[Stream]) -> None:
        self._now_s = now_s
        since_s = now_s()
        # The first of a dict is found behind all that were first before: that made one look up to 30 ms (2026-11).
        self._since_s: OrderedDict[Stream, float] = OrderedDict.fromkeys(streams, since_s)
        """Times from which streams are unused; the earliest first, but behind the others if it was looked at."""
        self._first: dict[Stream, AliasBinding] = {}
        """Alias that is bound to each stream that is in use; most have no other one."""
        self._further: dict[Stream, dict[AliasBinding, None]] = {}
        """Other aliases of these streams."""
        self._times, self._uses = Shrinking(self._since_s), Shrinking(self._first, self._further)

    def __len__(self) -> int:
        return len(self._since_s)

    def __contains__(self, stream: Stream) -> bool:
        return stream in self._since_s

    def add(self, stream: Stream) -> None:
        """Take in a stream that is new."""
        self._since_s[stream] = self._now_s()

    def use(self, stream: Stream, binding: AliasBinding) -> None:
        """Note that an alias is bound to a stream."""
        if self._first.setdefault(stream, binding) is not binding:
            self._further.setdefault(stream, {})[binding] = None
        stream.aliases += 1
        self._forget(stream)

    def release(self, stream: Stream, binding: AliasBinding) -> None:
        """Note that an alias is bound to a stream no more."""
        stream.aliases -= 1
        further = self._further.get(stream, {})
        if self._first[stream] is not binding:
            del further[binding]
        elif further:
            following = self._first[stream] = next(iter(further))
            del further[following]
        else:
            del self._first[stream]
            self._uses.note()
            if stream.ended is None:
                self._since_s[stream] = self._now_s()
        if not further:
            self._further.pop(stream, None)

    def end(self, stream: Stream) -> None:
        """Forget a stream that has ended, but for its aliases."""
        self._forget(stream)

    def aliases_of(self, stream: Stream) -> Iterator[AliasBinding]:
        """Yield the aliases of a stream, for the caller to release each before it asks for the next one."""
        while stream in self._first:
            yield self._first[stream]

    def is_over(self, stream: Stream) -> bool:
        """Return whether a stream is unused, and its publishers need not be waited for any more."""
        since_s = self._since_s.get(stream)
        return since_s is not None and _is_over(stream, self._now_s() - since_s)

    def find(self, is_free: Callable[[Stream], bool]) -> Stream | None:
        """Return a stream that is empty, whose publishers' memory is over, and that ``is_free``.

        At most :data:`LOOKED_AT` streams are looked at, and those that may not end stand behind all others then.
        """
        now_s = self._now_s()
        for _ in range(min(LOOKED_AT, len(self._since_s))):
            stream, since_s = next(iter(self._since_s.items()))
            if stream.empty and _is_over(stream, now_s - since_s) and is_free(stream):
                return stream
            self._since_s.move_to_end(stream)
        return None

    def _forget(self, stream: Stream) -> None:
        if self._since_s.pop(stream, None) is not None:
            self._times.note()


def _is_over(stream: Stream, unused_s: float) -> bool:
    """Return whether a publisher of the stream, which may have lost its connection, need not be waited for any more.

    Messages that are published again are recognized as long as the stream exists. A stream that acknowledges exists for
    as long as that is promised (spec section 4.6). A message to another one may be delivered twice if its stream, whose
    history is empty, has ended.
    """
    return not stream.kind.acknowledged or unused_s >= PRODUCER_KEPT_S
