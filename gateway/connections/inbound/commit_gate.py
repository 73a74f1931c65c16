"""Commit gate: gives messages their offsets, has them stored, then delivered, then acknowledged (spec section 4.8).

A message is delivered only when it can no longer be lost, so a receiver never knows more than a gateway that was killed
and started again.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from gateway.connections.outbound.connection import Connection
from gateway.connections.ports import DurableStore
from gateway.connections.sessions.session import AliasBinding, Session
from gateway.errors import Code, RequestRefused
from gateway.protocol.extensions import Identity
from gateway.protocol.signals import Ack
from gateway.streams.history import Entry
from gateway.streams.large import LargeMessage
from gateway.streams.producers import Window
from gateway.streams.run import Origin, Run
from gateway.streams.span import offsets_of
from gateway.streams.state import LargePatch
from gateway.streams.store_health import NO_STORE, StoreHealth
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

HOLD_BYTES = 32 * 1024 * 1024
"""Bytes waiting to be stored past which publishing connections are not read from, until half of them are stored."""

MAX_WAITING_BYTES = 256 * 1024 * 1024
"""Bytes waiting to be stored past which publishes are refused: many publishers, or one with large messages."""


@dataclass(slots=True, eq=False)
class _PendingCommit:
    """Messages of one publish that are being stored."""

    session: Session
    binding: AliasBinding
    entry: Entry
    sequence: int
    """Sequence of the first message."""
    deliver: Callable[[], object]
    abort: Callable[[int], object] | None
    ack: bool
    followers: list[tuple[Callable[[], object], Callable[[RequestRefused], object]]] = field(default_factory=list)
    """Callbacks of publishes that wait behind this one: for when it is stored, and for when it is refused."""
    rolled_back: bool = False

    def stored(self) -> list[Callable[[], object]]:
        """Return the callbacks to call, in their order, when the messages are stored."""
        return [self._complete, *[stored for stored, _ in self.followers]]

    def refused(self, refusal: RequestRefused) -> list[Callable[[], object]]:
        """Return the callbacks to call, in their order, when the messages cannot be stored."""
        return [partial(refuse, refusal) for refuse in (self._refuse, *[refused for _, refused in self.followers])]

    def _complete(self) -> None:
        self.deliver()
        if self.ack:
            _acknowledge(self.session, self.binding, self.entry, self.sequence)

    def _refuse(self, refusal: RequestRefused) -> None:
        first, last = offsets_of(self.entry)
        count = last - first + 1
        if isinstance(self.entry, LargeMessage):
            self.entry.offset = None
        if self.binding.window is not None:
            self.binding.window.withdraw(self.sequence, count, refusal.code)
        if self.abort is not None:
            self.abort(refusal.code)
        if self.binding.released:  # its number may mean another stream by now
            self.session.refuse(refusal, stream=self.binding.name)
            return
        last_sequence = self.sequence + count - 1
        self.session.refuse(refusal, alias=self.binding.alias, sequence=last_sequence, count=count)


class CommitGate:
    """Gate that every publish to a stream passes; it holds messages of durable streams back until the store has them.

    Args:
        store: keeps the messages of durable streams; ``None``: there are none.
    """

    def __init__(self, store: DurableStore | None) -> None:
        self._store = store
        self._waiting: dict[Stream, deque[_PendingCommit]] = {}
        self._held: dict[Connection, None] = {}

    @property
    def idle(self) -> bool:
        """True if no message waits to be stored."""
        return not self._waiting

    @property
    def full(self) -> bool:
        """True if publishes to durable streams are refused for now."""
        store = self._store
        return store is not None and store.waiting_bytes >= MAX_WAITING_BYTES

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait to be stored."""
        return 0 if self._store is None else self._store.waiting_bytes

    @property
    def store_health(self) -> StoreHealth:
        """Health of the store; good if there is none."""
        return NO_STORE if self._store is None else self._store.health

    def check_room(self) -> None:
        """Refuse a publish if :attr:`full`.

        Raises:
            RequestRefused: ``QUEUE_FULL``.
        """
        if self.full:
            problem = f"{self.waiting_bytes} bytes wait to be stored, at most {MAX_WAITING_BYTES} may"
            raise RequestRefused(Code.QUEUE_FULL, f"{problem}: publish more slowly, or give the store a faster disk")

    def stage(self, connection: Connection, message: LargeMessage, index: int) -> None:
        """Store a chunk of a large message that a connection has sent, while the other chunks are on their way."""
        if self._store is not None and _is_staged(message):
            # The message may never be complete: its chunks alone have to end the hold that they have caused.
            self._store.stage(message, index, lambda _: self._release())
            self._hold(connection)

    def discard(self, message: LargeMessage) -> None:
        """Discard the stored chunks of a large message that will not be published."""
        if self._store is not None and _is_staged(message):
            self._store.discard(message)

    def commit(
        self,
        session: Session,
        binding: AliasBinding,
        entry: Entry,
        sequence: int,
        deliver: Callable[[], object],
        *,
        ack: bool,
        abort: Callable[[int], object] | None = None,
    ) -> None:
        """Commit the next messages of a stream: offset, then store, then deliver, then acknowledge.

        Every publish but those below passes here, once it is checked and complete, and everything that follows from its
        offset happens behind this call. So this is the seam for a cluster's broker, which gives the offset and keeps
        the message in place of the store: it may answer later, in the order of each stream, and nothing before this
        call or in ``deliver`` knows the difference. A stream in memory is committed before this returns. Runs of small
        messages to a stream in memory do not come here: they take an inlined copy of this method in
        :meth:`~gateway.connections.inbound.router.Router.publish_run`, which has to change together with it.

        Args:
            session: publishes the messages; its connection is not read from while too much waits to be stored.
            binding: its alias for the stream.
            entry: the messages, as a run whose frames carry the stream's next offsets already, or as a large message,
                which gets its offset here.
            sequence: sequence of the first message.
            deliver: delivers the messages.
            ack: whether the publisher wants an acknowledgement.
            abort: called with an error code instead of ``deliver`` if the messages cannot be stored. Their sequences
                are then refused, as are all messages of the stream behind them.
        """
        stream, window = binding.stream, binding.window
        assert stream is not None
        if isinstance(entry, Run):
            first, count = entry.first, entry.count
            if window is not None:
                accept_run(window, entry, sequence)
        else:
            first, count = stream.next_offset, 1
            entry.offset = first
            if window is not None:
                window.accept(sequence, count, first)
        if not stream.durable:
            if isinstance(entry, Run):
                stream.append_run(entry)
            else:
                stream.append_large(entry)
            deliver()
            if ack:
                _acknowledge(session, binding, entry, sequence)
            return
        assert self._store is not None, "the registry refuses durable streams where there is no store"
        stream.reserve(count)
        stream.expect(entry)
        waiting = _PendingCommit(session, binding, entry, sequence, deliver, abort, ack)
        self._waiting.setdefault(stream, deque()).append(waiting)
        origin = None if window is None else Origin(first, count, window.producer, sequence)
        self._store.append(stream, entry, lambda error: self._stored(stream, waiting, error), origin)
        self._hold(session.connection)

    def follow(self, stream: Stream, stored: Callable[[], object], refuse: Callable[[RequestRefused], object]) -> None:
        """Wait until all messages that were published to a stream so far are stored.

        Args:
            stream: the stream.
            stored: called when they are stored; at once if they are.
            refuse: called instead if they cannot be stored.
        """
        waiting = self._waiting.get(stream)
        if waiting:
            waiting[-1].followers.append((stored, refuse))
        else:
            stored()

    def end(self, stream: Stream, refusal: RequestRefused) -> None:
        """Refuse the messages of a stream that has ended which are not stored yet, in their order."""
        queue = self._waiting.pop(stream, None)
        if queue:
            self._refuse(stream, queue, refusal)

    def _stored(self, stream: Stream, waiting: _PendingCommit, error: Exception | None) -> None:
        if waiting.rolled_back:
            self._release()
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
            del self._waiting[stream]
            refusal = RequestRefused(Code.QUEUE_FULL, f"{stream.name}: not stored, try again later: {error}")
            self._refuse(stream, queue, refusal)
        self._release()

    def _refuse(self, stream: Stream, queue: deque[_PendingCommit], refusal: RequestRefused) -> None:
        """Take back the offsets of all messages of a stream that wait, and refuse them."""
        stream.rollback(queue[0].entry)
        for waiting in queue:
            waiting.rolled_back = True
            for callback in waiting.refused(refusal):
                self._call(stream, callback)

    def _call(self, stream: Stream, callback: Callable[[], object]) -> None:
        try:
            callback()
        except Exception:
            # The connection that published is not the one that is served now: no caller could answer it.
            logger.exception("a message of %s was stored but could not be delivered", stream.name)

    def _hold(self, connection: Connection) -> None:
        store = self._store
        if store is not None and store.waiting_bytes >= HOLD_BYTES:
            self._held[connection] = None
            connection.reading.hold(self)

    def _release(self) -> None:
        if self._held and self.waiting_bytes < HOLD_BYTES // 2:
            held, self._held = self._held, {}
            for connection in held:
                connection.reading.release(self)


def accept_run(window: Window, run: Run, sequence: int) -> None:
    """Note the offsets that a producer's messages have got; ``sequence`` is that of the first."""
    window.accept(sequence, run.count, run.first)
    if run.source.kind.acknowledged:
        run.identity = Identity(window.producer, sequence)


def _acknowledge(session: Session, binding: AliasBinding, entry: Entry, sequence: int) -> None:
    stream, fanout = binding.stream, binding.fanout
    assert stream is not None
    assert fanout is not None
    first, last = offsets_of(entry)
    ack = Ack(binding.alias, last - first + 1, sequence + last - first, last, stream.durability)
    fanout.acknowledge(session.connection, ack)


def _is_staged(message: LargeMessage) -> bool:
    """Return whether chunks of a message are stored as they come; not those of a patch: its result is stored."""
    durable = isinstance(message.source, Stream) and message.source.durable
    return durable and not isinstance(message, LargePatch)
