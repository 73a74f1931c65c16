"""What is published to durable streams: stored, then delivered, then acknowledged (spec section 4.8).

Nobody sees a message that could still be lost, so a receiver never knows more than a gateway that was killed and
started again.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial

from gateway.connections.outbound.connection import Connection
from gateway.connections.ports import StreamStore
from gateway.errors import Code, RequestRefused
from gateway.streams.history import Entry
from gateway.streams.large import LargeMessage
from gateway.streams.run import Origin
from gateway.streams.state import LargePatch
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

HOLD_BYTES = 32 * 1024 * 1024
"""When so much waits to be stored, whoever publishes more is not read until half of it is."""

MAX_WAITING_BYTES = 256 * 1024 * 1024
"""When so much waits, publishes are refused: many publishers at once, or one with large messages."""


class _Waiting:
    """Messages that are being stored."""

    __slots__ = ("deliver", "entry", "followers", "refuse", "taken_back")

    def __init__(self, entry: Entry, deliver: Callable[[], object], refuse: Callable[[RequestRefused], object]) -> None:
        self.entry = entry
        self.deliver = deliver
        self.refuse = refuse
        self.followers: list[tuple[Callable[[], object], Callable[[RequestRefused], object]]] = []
        self.taken_back = False

    def stored(self) -> list[Callable[[], object]]:
        return [self.deliver, *[stored for stored, _ in self.followers]]

    def refused(self, refusal: RequestRefused) -> list[Callable[[], object]]:
        return [partial(refuse, refusal) for refuse in (self.refuse, *[refused for _, refused in self.followers])]


class CommitGate:
    """Holds messages of durable streams back until the store has them.

    Args:
        store: where they go.
    """

    def __init__(self, store: StreamStore) -> None:
        self._store = store
        self._waiting: dict[Stream, deque[_Waiting]] = {}
        self._held: dict[Connection, None] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be stored."""
        return not self._waiting

    @property
    def full(self) -> bool:
        """Whether nothing more may be published to durable streams for now."""
        return self._store.waiting_bytes >= MAX_WAITING_BYTES

    def check_room(self) -> None:
        """Refuse a publish if :attr:`full`.

        Raises:
            RequestRefused: ``QUEUE_FULL``.
        """
        if self.full:
            problem = f"{self._store.waiting_bytes} bytes wait to be stored, at most {MAX_WAITING_BYTES} may"
            raise RequestRefused(Code.QUEUE_FULL, f"{problem}: publish more slowly, or give the store a faster disk")

    def stage(self, connection: Connection, message: LargeMessage, index: int) -> None:
        """A chunk of a large message has come from a connection: it is stored while the others are on their way."""
        if _is_staged(message):
            self._store.stage(message, index)
            self._hold(connection)

    def discard(self, message: LargeMessage) -> None:
        """A large message of which chunks have come will not be published."""
        if _is_staged(message):
            self._store.discard(message)

    def publish(
        self,
        connection: Connection,
        stream: Stream,
        entry: Entry,
        deliver: Callable[[], object],
        refuse: Callable[[RequestRefused], object],
        origin: Origin | None = None,
    ) -> None:
        """Store the next messages of a durable stream, whose offsets were reserved.

        Args:
            connection: who publishes; it is not read on while too much waits.
            entry: the messages.
            deliver: called when they are stored and remembered: delivers and acknowledges them.
            refuse: called instead if they cannot be stored; then they are not there, nor is anything behind them.
            origin: who published them, where producers count.
        """
        stream.expect(entry)
        waiting = _Waiting(entry, deliver, refuse)
        self._waiting.setdefault(stream, deque()).append(waiting)
        self._store.append(stream, entry, lambda error: self._stored(stream, waiting, error), origin)
        self._hold(connection)

    def follow(self, stream: Stream, stored: Callable[[], object], refuse: Callable[[RequestRefused], object]) -> None:
        """Wait for what is being stored of a stream.

        Args:
            stored: called when everything that was published so far is stored; at once if it is.
            refuse: called instead if it cannot be.
        """
        waiting = self._waiting.get(stream)
        if waiting:
            waiting[-1].followers.append((stored, refuse))
        else:
            stored()

    def _stored(self, stream: Stream, waiting: _Waiting, error: Exception | None) -> None:
        if waiting.taken_back:
            return
        queue = self._waiting[stream]
        if error is None:
            queue.popleft()
            if not queue:
                del self._waiting[stream]
            stream.remember(waiting.entry)
            for callback in waiting.stored():
                self._call(stream, callback)
        else:
            logger.error("messages of %s could not be stored: %s", stream.name, error)
            del self._waiting[stream]
            stream.take_back(waiting.entry)
            refusal = RequestRefused(Code.QUEUE_FULL, f"{stream.name}: not stored, try again later: {error}")
            for behind in queue:
                behind.taken_back = True
                for callback in behind.refused(refusal):
                    self._call(stream, callback)
        self._release()

    def _call(self, stream: Stream, callback: Callable[[], object]) -> None:
        try:
            callback()
        except Exception:
            # The connection that published is not the one that is at work now: nobody above could answer it.
            logger.exception("a message of %s was stored and could not be delivered", stream.name)

    def _hold(self, connection: Connection) -> None:
        if self._store.waiting_bytes >= HOLD_BYTES:
            self._held[connection] = None
            connection.reading.hold(self)

    def _release(self) -> None:
        if self._held and self._store.waiting_bytes < HOLD_BYTES // 2:
            held, self._held = self._held, {}
            for connection in held:
                connection.reading.release(self)


def _is_staged(message: LargeMessage) -> bool:
    """Whether its chunks are stored as they come. Of a patch they are not: what is stored is the state."""
    durable = isinstance(message.source, Stream) and message.source.durable
    return durable and not isinstance(message, LargePatch)
