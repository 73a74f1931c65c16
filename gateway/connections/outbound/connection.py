"""Delivery to one connected client: directly while it keeps up, through its outbox while it lags."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from gateway.connections.outbound.backfill import Taken
from gateway.connections.outbound.delivery_accounts import DeliveryAccounts
from gateway.connections.outbound.formats import Format, Sendable, framed, in_one_piece
from gateway.connections.outbound.link import Link
from gateway.connections.outbound.null_transport import NULL_TRANSPORT
from gateway.connections.outbound.outbox import Outbox
from gateway.connections.outbound.peer import Peer
from gateway.connections.outbound.reading_holds import ReadingHolds
from gateway.connections.ports import Clock, Transport
from gateway.errors import Code
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Gap, Ping, Pong, Replay
from gateway.protocol.wire import Buffer
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run, Source
from gateway.streams.state import Newest, Patch


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """Bounds on what the gateway holds for one connection that does not keep up."""

    outbox_limit_bytes: int = 64 * 1024 * 1024
    """What may wait in a connection's outbox before its kinds' policies act."""
    urgent_limit_bytes: int = 1024 * 1024
    """Control messages and answers that may wait before the connection is closed with ``SLOW_CONSUMER``."""


class Membership(Protocol):
    """A delivery class that a connection belongs to."""

    stale: bool
    """Set when a member has fallen behind or caught up."""

    def read(self, first: int, last: int, max_bytes: int, taken: Taken) -> None:
        """Read from history what its members can take."""

    def settle(self, connection: Connection) -> None:
        """Bring into a member's ledger what was written to all."""


class Connection:
    """The way out to one client. Used on the loop's thread only.

    Attributes:
        peer: the client, as it has introduced itself.
        codecs: names of the codecs and filters that it can decode.
        max_message_bytes: the payload of the largest message that it takes.
        closed: nothing goes to the peer any more.
        reading: stops and resumes the reading from the peer.
        memberships: by source, the delivery class that serves it.
        ledger: what it was sent, by stream and subscription.
        link: how much bulk it takes; made when the first chunk is sent.
        paused: the transport holds more than high water.
        lagging: it is served from its outbox.
    """

    __slots__ = (
        "_clock",
        "_urgent_bytes",
        "closed",
        "codecs",
        "format",
        "lagging",
        "ledger",
        "link",
        "max_message_bytes",
        "memberships",
        "outbox",
        "paused",
        "peer",
        "reading",
        "settings",
        "transport",
    )

    def __init__(
        self, peer: Peer, transport: Transport, form: Format, settings: DeliverySettings, clock: Clock
    ) -> None:
        self.peer = peer
        self.transport = transport
        self.format = form
        self.settings = settings
        self.ledger = DeliveryAccounts()
        self.link: Link | None = None
        self._clock = clock
        self.codecs: frozenset[str] = frozenset()
        self.max_message_bytes = 0
        self.closed = False
        self.memberships: dict[Source, Membership] = {}
        self.outbox: Outbox | None = None
        self.paused = False
        self.lagging = False
        self.reading = ReadingHolds(transport)
        self._urgent_bytes = 0

    # What goes to the peer before everything else.

    def send(self, message: Sendable) -> None:
        """Send an answer or a signal; it passes what waits in the outbox."""
        if isinstance(message, Gap | Replay):
            self._book(message)
        data = self.format.signal(message)
        if data:
            self.send_urgent(data)

    def send_urgent(self, data: Buffer) -> None:
        """Send framed bytes past the outbox; a peer that lets too many of them pile up is closed."""
        self.transport.write(data)
        if not self.paused:
            return
        self._urgent_bytes += len(data)
        limit = self.settings.urgent_limit_bytes
        if self._urgent_bytes > limit:
            waiting = f"{self._urgent_bytes} bytes of answers and control messages are waiting"
            self.close(Code.SLOW_CONSUMER, f"{waiting}, more than urgent_limit_bytes={limit}: read faster")
        elif self._urgent_bytes > limit // 4:
            # Whoever does not read its answers may not ask for more of them.
            self.reading.hold(self)

    def close(self, code: int, reason: str) -> None:
        """Close the connection; a second call does nothing."""
        if not self.closed:
            self.transport.close(code, reason)
            self.detach()

    def detach(self) -> None:
        """From now on nothing goes to the peer, whoever still has something for it."""
        self.closed = True
        self.reading.end()
        self.transport = NULL_TRANSPORT
        self.paused = self.lagging = False
        if self.outbox is not None:
            self.outbox.clear()
        self._tell_classes()

    # What its subscriptions bring.

    def enqueue(self, runs: Sequence[Run], *, again: bool = False) -> None:
        """Deliver runs to a connection that is lagging; ``again``: it has got the newest of them before."""
        outbox = self._behind()
        for run in runs:
            if run.source.kind is not Kind.CONTROL:
                outbox.put_run(run, again=again)
                continue
            waiting_bytes = outbox.waiting_bytes_of(run.source)
            if not waiting_bytes:
                self.settle()
                self.ledger.messages(run.source.id, run.first, run.count)
                self.send_urgent(b"".join(self.format.runs((run,))))
            elif waiting_bytes < self.settings.outbox_limit_bytes + self.settings.urgent_limit_bytes:
                # Behind a large control message, which it may not pass.
                outbox.put_run(run)
            else:
                self.close(Code.SLOW_CONSUMER, f"{waiting_bytes} bytes of {run.source.name} are waiting: read faster")
        self.drain()

    def deliver(self, runs: Sequence[Run]) -> None:
        """Deliver runs of one source that nobody else gets with them."""
        if self.lagging:
            self.enqueue(runs)
            return
        self.ledger.runs(runs)
        buffers = framed(self.format, runs)
        if len(buffers) == 1:
            self.transport.write(buffers[0])
        else:
            self.transport.writelines(buffers)

    def send_in_order(self, source: Source, signal: Gap | Replay) -> None:
        """Send what has its place among the messages of a source, behind those of them that wait."""
        if self.outbox is None or not self.outbox.put_signal(source, signal):
            self.send(signal)

    def enqueue_large(self, message: LargeMessage, form: list[StoredChunk], *, again: bool = False) -> None:
        """Deliver a large message that has its offset, from its first chunk on; ``again``: it has got it before."""
        self._behind().put_large(message, form, again=again)
        self.drain()

    def enqueue_delta(self, message: LargeMessage, form: list[StoredChunk]) -> bool:
        """Deliver a large message as a delta to what is on its way to the connection.

        Returns:
            False if so much waits that it is to get the message whole instead.
        """
        taken = self._behind().put_delta(message, form)
        self.drain()
        return taken

    def follow(self, message: LargeMessage, form: list[StoredChunk], sent: int) -> None:
        """A lagging connection goes on with a large message under way from chunk ``sent``."""
        self._behind().follow(message, form, sent)
        self.drain()

    def commit(self, message: LargeMessage, form: list[StoredChunk]) -> None:
        """A large message that this lagging connection follows has got its offset."""
        self._behind().commit(message, form)
        self.drain()

    def leave_out(self, source: Source, gap: Gap) -> None:
        """Announce messages that do not come, behind those of their stream that wait."""
        if self.lagging:
            self._behind().put_gap(source, gap)
            self.drain()
        else:
            self.send(gap)

    def miss(self, source: Source, first: int, last: int) -> None:
        """Deliver messages from history, before everything of their stream that comes from now on."""
        self._behind().put_missed(source, first, last)
        self.drain()

    def read_missed(self, source: Source, first: int, last: int, max_bytes: int, taken: Taken) -> None:
        """Part of :class:`~gateway.connections.outbound.backfill.BackfillReader`."""
        membership = self.memberships.get(source)
        if membership is None:
            taken(())
        else:
            membership.read(first, last, max_bytes, taken)

    def in_step(self, source: Source) -> bool:
        """Whether it has the newest version of a state, or gets it by what is under way to it."""
        return self.outbox is None or self.outbox.in_step(source)

    @property
    def queue_full(self) -> bool:
        """Whether publishes that must not be lost have to be refused."""
        return self.outbox is not None and self.outbox.full

    # The transport's flow control, and the outbox's way out.

    def pause_writing(self) -> None:
        """The transport holds more than high water: from now on everything goes to the outbox."""
        if not self.closed:
            self.paused = True
            self._behind()

    def resume_writing(self) -> None:
        """The transport has drained."""
        self.paused = False
        self._urgent_bytes = 0
        self.reading.release(self)
        self.drain()

    def drain(self) -> None:
        """Send what the transport takes from the outbox; join the delivery classes again when it is empty."""
        outbox = self.outbox
        if outbox is None or self.paused or not self.lagging:
            return
        outbox.drain(self)
        if outbox.idle and self.bulk_open and not self.transport_full():
            outbox.clear()
            self.lagging = False
            self._tell_classes()

    def transport_full(self) -> bool:
        """Whether the transport holds more than high water: writing to it changes :attr:`paused` behind our back."""
        return self.paused

    def whole_of(self, patch: Patch) -> Newest | Gap | None:
        """Part of :class:`~gateway.connections.outbound.pending_snapshot.SnapshotReader`."""
        write = None if self.format.takes_chunks else partial(in_one_piece, self.format)
        return patch.whole_for(write, self.drain)

    def write_runs(self, runs: list[Run]) -> None:
        """Part of :class:`~gateway.connections.outbound.outbox.Receiver`."""
        for run in runs:
            self.ledger.messages(run.source.id, run.first, run.count)
        self.transport.writelines(self.format.runs(runs))

    def write_head(self, message: LargeMessage) -> None:
        """Part of :class:`~gateway.connections.outbound.outbox.Receiver`."""
        self.transport.write(self.format.head(message))

    def write_chunk(self, message: LargeMessage, chunk: StoredChunk, index: int) -> None:
        """Part of :class:`~gateway.connections.outbound.outbox.Receiver`."""
        self.write_bulk(self.format.chunk(message, chunk, index), len(chunk.data))

    def write_end(self, message: LargeMessage) -> None:
        """Part of :class:`~gateway.connections.outbound.outbox.Receiver`."""
        if message.offset is not None:
            self.ledger.messages(message.source.id, message.offset, 1)
        self.transport.write(self.format.end(message))

    # Bulk: chunks of large messages, of which no more are sent than the peer keeps up with.

    @property
    def bulk_open(self) -> bool:
        """Part of :class:`~gateway.connections.outbound.outbox.Receiver`."""
        return self.link is None or self.link.open

    def write_bulk(self, buffers: Sequence[Buffer], size: int) -> None:
        """Send a framed chunk of ``size`` bytes; what follows goes to the outbox if the link takes no more."""
        if not self.format.answers_pings:
            self.transport.writelines(buffers)
            return
        link = self.link
        if link is None:
            link = self.link = Link()
        now_ns = self._clock.time_ns()
        if link.sent(size, now_ns):
            buffers = [*buffers, self.format.signal(Ping(now_ns))]
        self.transport.writelines(buffers)
        if not link.open:
            self._behind()

    def answered(self, pong: Pong) -> None:
        """The peer has read everything up to a PING of ours."""
        if self.link is not None:
            self.link.answered(pong, self._clock.time_ns())
            self.drain()

    def _behind(self) -> Outbox:
        if self.outbox is None:
            self.outbox = Outbox(self.settings.outbox_limit_bytes)
        if not self.lagging:
            self.lagging = True
            self._tell_classes()
        return self.outbox

    def settle(self) -> None:
        """Bring into the ledger what delivery classes have written so far."""
        for membership in self.memberships.values():
            membership.settle(self)

    def _book(self, signal: Gap | Replay) -> None:
        self.settle()
        if isinstance(signal, Gap):
            self.ledger.gap(signal)
        else:
            self.ledger.replay(signal)

    def _tell_classes(self) -> None:
        for membership in self.memberships.values():
            membership.settle(self)
            membership.stale = True
