"""Bytes to one client: messages in its format, straight to its transport, and booked in its accounts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gateway.connections.lagging.bulk import UNPACED
from gateway.connections.links.link import Link
from gateway.connections.outbound.bulk_window import BULK_WRITE_BYTES, BulkWindow
from gateway.connections.outbound.delivery_accounts import DeliveryAccounts
from gateway.connections.outbound.formats import Format, Sendable
from gateway.connections.outbound.null_transport import NULL_TRANSPORT
from gateway.connections.outbound.reading_holds import ReadingHolds
from gateway.connections.ports import Clock, Transport
from gateway.errors import Code
from gateway.protocol.round_trip import NO_ROUND_TRIP, RoundTrip, distance_of, read_round_trip, sampled
from gateway.protocol.signals import Ping
from gateway.protocol.wire import Buffer
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """Bounds on the bytes that the gateway holds for one connection that does not keep up."""

    outbox_limit_bytes: int = 64 * 1024 * 1024
    """Bytes that may wait in a connection's outbox before the policies of its streams' kinds act. Two large
    messages of each stream do not count: the one that is sent next, and one more; of only one stream if the receiver
    is slow."""
    urgent_limit_bytes: int = 4 * 1024 * 1024
    """Control messages and answers that may wait before the connection is closed with ``SLOW_CONSUMER`` when one more
    comes; a single one may be larger."""
    max_event_hold_s: float = 5.0
    """Time for which acknowledgements to publishers of ``event`` streams are held back for a receiver that is behind:
    more than half of ``outbox_limit_bytes`` waits for it. A receiver that takes less than that half in the time counts
    as slow, and is waited for again once it has caught up. 0: no acknowledgement is held back."""


class Announcements(Protocol):
    """Streams that a connection is about to receive, announced as its transport takes them."""

    first: bool
    """Whether the outbox has to wait for some of them."""

    def resume(self) -> None:
        """Go on: the transport has drained."""


class FrameWriter:
    """The transport of one client and the format of the frames that are written to it.

    Knows nothing of queues: whatever it is given it writes at once.

    Args:
        transport: takes the bytes.
        form: makes them.
        settings: bounds on urgent bytes.
        clock: stamps the PINGs that measure the link.
        accounts: counts what is sent.

    Attributes:
        announcements: streams that the client is about to receive; ``None``: there are none.
        answer_delay_ns: time that the answer to the newest PING took; 0 before the first.
        accounts: messages, gaps and replays that were sent, by stream and subscription.
        answered_ns: departure of the newest PING that the client has answered, by the clock of :meth:`probe`.
        bulk_window: flow control of bulk; made when the first chunk is sent.
        distance: doublings of a round trip of a millisecond that the smallest one to the client takes.
        link: values that are measured while it lags, or that it reports; ``None``: there are none.
        reading: back-pressure on the client.
        paused: the transport holds more than high water.
        closed: nothing goes to the client any more.
    """

    __slots__ = (
        "_clock",
        "_is_probed",
        "_probed_ns",
        "_round_trip",
        "_urgent_bytes",
        "accounts",
        "announcements",
        "answer_delay_ns",
        "answered_ns",
        "bulk_window",
        "closed",
        "distance",
        "format",
        "link",
        "paused",
        "reading",
        "settings",
        "transport",
    )

    def __init__(
        self,
        transport: Transport,
        form: Format,
        settings: DeliverySettings,
        clock: Clock,
        accounts: DeliveryAccounts,
    ) -> None:
        self.transport = transport
        self.format = form
        self.settings = settings
        self.accounts = accounts
        self.announcements: Announcements | None = None
        self.bulk_window: BulkWindow | None = None
        self.link: Link | None = None
        self.reading = ReadingHolds(transport)
        self.paused = False
        self.closed = False
        self.answered_ns = 0
        self._clock = clock
        self._probed_ns = 0
        """Departure of the newest probe."""
        self._is_probed = False
        """Whether it was sent in this turn of the loop."""
        self._urgent_bytes = self.answer_delay_ns = 0
        self._round_trip = NO_ROUND_TRIP
        self.distance = 0

    @property
    def round_trip(self) -> RoundTrip | None:
        """The round trip to the client; ``None`` before the first sample."""
        return read_round_trip(self._round_trip)

    def sample_round_trip(self, round_trip_ns: int) -> None:
        """Take a round trip to the client into account, without the time for which it says that it held the PING."""
        self._round_trip = sampled(self._round_trip, round_trip_ns, self._clock.monotonic_s())
        self.distance = distance_of(self._round_trip)

    def send(self, message: Sendable) -> None:
        """Send an answer or a signal; it passes the messages in the outbox."""
        if data := self.format.signal(message):
            self.send_urgent(data)

    def send_urgent(self, data: Buffer) -> None:
        """Send framed bytes past the outbox; a client that lets too many of them pile up is closed."""
        self.transport.write(data)
        if not self.paused:
            return
        waiting_bytes = self._urgent_bytes
        self._urgent_bytes += len(data)
        limit = self.settings.urgent_limit_bytes
        if waiting_bytes > limit:
            waiting = f"{waiting_bytes} bytes of answers and control messages are waiting"
            self.close(Code.SLOW_CONSUMER, f"{waiting}, more than urgent_limit_bytes={limit}: read faster")
        elif self._urgent_bytes > limit // 4:
            # A client that does not read its answers may not ask for more of them.
            self.reading.hold(self)

    @property
    def takes_urgent(self) -> bool:
        """Whether an announcement may be sent that could wait: few answers and control messages do."""
        return not self.paused or self._urgent_bytes <= self.settings.urgent_limit_bytes // 8

    @property
    def answers_wait(self) -> bool:
        """Whether answers or control messages wait for the transport to drain."""
        return self.paused and self._urgent_bytes > 0

    def close(self, code: int, reason: str) -> None:
        """Close the connection; a second call does nothing."""
        if not self.closed:
            self.transport.close(code, reason)
            self.detach()

    def detach(self) -> None:
        """Discard everything that is still written: the client is gone, or is being closed."""
        self.closed = True
        self.reading.end()
        self.transport = NULL_TRANSPORT
        self.paused = False

    def write_runs(self, runs: list[Run]) -> None:
        """Send runs, in one WebSocket message if the format joins messages."""
        for run in runs:
            self.accounts.messages(run.source.id, run.first, run.count)
        buffers, first = self.format.runs(runs), runs[0]
        bulk = UNPACED if self.bulk_window is None else self.bulk_window.bulk
        if len(runs) == 1 and bulk.holds(first):
            self.write_bulk(buffers, first.size)
        else:
            self.transport.writelines(buffers)

    def write_framed(self, buffers: Sequence[Buffer]) -> bool:
        """Send framed messages, as bulk if they are as large; return as :meth:`write_bulk`."""
        size = sum(map(len, buffers))
        if size > BULK_WRITE_BYTES:
            return self.write_bulk(buffers, size)
        self.transport.writelines(buffers)
        return True

    def write_head(self, message: LargeMessage) -> None:
        """Send the data frame of a large message."""
        form = self.format
        assert form.takes_chunks
        self.transport.write(form.head(message))

    def write_chunk(self, message: LargeMessage, chunk: StoredChunk, index: int) -> None:
        """Send one chunk of a large message."""
        form = self.format
        assert form.takes_chunks
        self.write_bulk(form.chunk(message, chunk, index), len(chunk.data))

    def write_end(self, message: LargeMessage) -> None:
        """Send the END of a large message."""
        form = self.format
        assert form.takes_chunks
        if message.offset is not None:
            self.accounts.messages(message.source.id, message.offset, 1)
        self.transport.write(form.end(message))

    def write_bulk(self, buffers: Sequence[Buffer], size: int) -> bool:
        """Send framed chunks or messages of ``size`` bytes, and a PING behind them where one is due.

        Returns:
            Whether the link takes more.
        """
        if not self.format.answers_pings:
            self.transport.writelines(buffers)
            return True
        window = self.bulk_window
        if window is None:
            window = self.bulk_window = BulkWindow()
        now_ns = self._clock.time_ns()
        if window.sent(size, now_ns):
            buffers = [*buffers, self.format.signal(Ping(now_ns))]
        self.transport.writelines(buffers)
        return window.open

    def probe(self) -> int:
        """Ask the client by PING for the messages that it still has.

        One PING serves all that ask in one turn of the loop: the client reports on all its streams each time.

        Returns:
            Time that :attr:`answered_ns` has reached when the client has answered.
        """
        if not self._is_probed:
            self._is_probed = True
            self._probed_ns = self._clock.time_ns()
            self._clock.call_soon(self._end_probe)
            if data := self.format.signal(Ping(self._probed_ns, report=True)):
                self.send_urgent(data)
        return self._probed_ns

    def _end_probe(self) -> None:
        self._is_probed = False

    @property
    def unanswered(self) -> bool:
        """Whether the client has still to answer a PING."""
        if not self.format.answers_pings:
            return False
        return self._probed_ns > self.answered_ns or (self.bulk_window is not None and self.bulk_window.unanswered)

    @property
    def paced(self) -> bool:
        """Whether states leave as the client reads them, through the outbox even if that is empty."""
        return self.bulk_window is not None and self.bulk_window.bulk.paced

    @property
    def bulk_open(self) -> bool:
        """Whether the link takes another chunk."""
        return self.bulk_window is None or self.bulk_window.open
