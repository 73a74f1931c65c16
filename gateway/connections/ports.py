"""Ports: every seam of the gateway's core, on one page. Adapters live above and are wired in ``app.py``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from gateway.connections.receiver_profile import ReceiverProfile
from gateway.connections.socket_counts import SocketCounts
from gateway.ids import ClientId, StreamName
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.encoding import Chain, Encoding
from gateway.protocol.messages import ClientType
from gateway.protocol.names import Pattern
from gateway.protocol.wire import Buffer
from gateway.streams.history import EntriesRead, Entry
from gateway.streams.large import LargeMessage, TransferNumbers
from gateway.streams.producers import Producers
from gateway.streams.progress import Mark, Unsettled
from gateway.streams.run import Origin
from gateway.streams.store_health import StoreHealth
from gateway.streams.stream import Stream
from gateway.streams.stream_registry import StreamRegistry

T = TypeVar("T")

Steps: TypeAlias = Generator[Callable[[], object] | None, Any, T]
"""Work on the loop's thread, cut into steps of some hundred microseconds, and its result.

It yields ``None`` where it may be interrupted, or a function that is to run in a thread, and gets the result of that.
"""


class Transport(Protocol):
    """The way out to one peer: a socket, or memory.

    Writing never blocks. :meth:`write` and :meth:`writelines` never raise: bytes for a peer that has gone are dropped.
    When more than a high water mark is waiting, the transport tells its connection to pause, and again to go on when it
    has drained.
    """

    def write(self, data: Buffer) -> None:
        """Send bytes that are framed already. The buffer must not change any more."""

    def raw_write(self, data: Buffer, /) -> object:
        """Send bytes as :meth:`write` does, for loops over many transports: a socket offers the write of its loop.

        Raises:
            RuntimeError: the peer is being lost; the caller ignores the error. A transport whose write can raise it for
                another reason logs it instead.
        """

    def writelines(self, buffers: Sequence[Buffer]) -> None:
        """Send several buffers one after another, without joining them."""

    def ping(self, payload: bytes) -> None:
        """Make the peer's transport show a sign of life: it returns the payload, at most 125 bytes."""

    def pause_reading(self) -> None:
        """Take nothing from the peer until :meth:`resume_reading`."""

    def resume_reading(self) -> None:
        """Take bytes from the peer again."""

    def close(self, code: int, reason: str) -> None:
        """Send the bytes that wait, then close with this WebSocket code. May be called twice."""

    def waiting_bytes(self) -> int:
        """Return the bytes that were written and not yet taken by the operating system."""

    def socket_counts(self) -> SocketCounts:
        """Return the counts of the socket; costs some microseconds."""

    def peer_address(self) -> str:
        """Return the address of the peer, for people; empty if it has none."""


class Clock(Protocol):
    """Time, and callbacks that run later on the same thread."""

    def time_ns(self) -> int:
        """Return Unix time in ns, for deadlines and stamps. Does not jump when the machine's clock is set."""

    @property
    def ahead_ns(self) -> int:
        """Nanoseconds by which the machine's clock, which may be set, is ahead of :meth:`time_ns`."""

    def follow(self) -> None:
        """Follow the machine's clock, slowly and not over large differences; called about once a second."""

    def monotonic_s(self) -> float:
        """Return seconds since some fixed moment, for ages and waits. Stands still while the machine is suspended."""

    def call_soon(self, callback: Callable[[], object]) -> None:
        """Call back at the end of the present turn."""

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> None:
        """Call back after ``delay_s``. Cannot be cancelled: the callback checks whether it still matters."""


class Threads(Protocol):
    """Threads for work that would block the loop, and that releases the GIL, as encoding does.

    Work that holds the GIL is none for a thread: the loop would wait for it, again behind each event.
    """

    def submit(self, work: Callable[[], T], done: Callable[[T | BaseException], None]) -> None:
        """Run ``work`` in a thread; then call ``done`` with its result or exception on the loop's thread."""


class Memory(Protocol):
    """Memory of the process, as the system tells it."""

    def resident_bytes(self) -> int:
        """Return the resident memory; 0 if the system does not tell it."""

    def available_bytes(self) -> float:
        """Return the memory that the process may have beside others; infinite if the system does not tell it."""


class Workers(Protocol):
    """Threads, and the time between events of the loop, for work that takes long."""

    def submit(self, work: Callable[[], T] | Steps[T], done: Callable[[T | BaseException], None]) -> None:
        """Run ``work`` in a thread, or take its steps; then call ``done`` with its result or exception on the loop's
        thread.
        """


class PastReader(Protocol):
    """Reader of the past of streams. Called on the loop's thread; never blocks."""

    def read(self, stream: Stream, first: int, last: int, max_bytes: int, done: EntriesRead) -> None:
        """Read the messages ``first .. last`` of a stream, oldest first, for receivers that missed them.

        As :meth:`~gateway.streams.history.History.read`: at least one entry, no more than ``max_bytes`` otherwise.
        Entries before :attr:`~gateway.streams.stream.Stream.first_offset` are left out, so the first one may begin
        behind ``first``; an empty result says that nothing of it is held any more.

        Args:
            done: called with the entries, or with why they cannot be read: on the loop's thread, before this returns
                if they are in memory.
        """


class DurableStore(PastReader, Protocol):
    """Store of the streams that outlive the process. Called on the loop's thread.

    Only :meth:`restore`, :meth:`unsettled` and :meth:`close` block. Streams of durability ``memory`` have their history
    alone, and come here only to be read.
    """

    @property
    def waiting_bytes(self) -> int:
        """Bytes that were appended and are not stored yet."""

    @property
    def health(self) -> StoreHealth:
        """Whether messages are stored now, and the counts of failures, which the store logs."""

    def restore(self, streams: StreamRegistry, transfers: TransferNumbers, producers: Producers) -> None:
        """Put the streams that are kept into the registry, each with its newest state; called once, before all else.

        Args:
            streams: the registry.
            transfers: numbers for large messages that are read.
            producers: told who published the messages that are kept, where producers count.
        """

    def unsettled(self, stream: Stream) -> Unsettled:
        """Return the messages of a durable stream that its consumers had still to acknowledge when the gateway ended.

        Called for each restored stream of a kind that is acknowledged, after :meth:`restore` and before anything else
        of the stream. The entries are read as they are taken.
        """

    def advance(self, stream: Stream, client_id: ClientId, mark: Mark | None) -> None:
        """Keep the progress of a client in a durable stream that it acknowledges, with the messages it has open.

        Stored a moment later: after a kill the store may know of less progress. But a client that was a consumer of the
        stream before a message was appended is one when the message is stored.

        Args:
            stream: the stream.
            client_id: the consumer.
            mark: its progress; ``None``: it no longer receives the stream.
        """

    def append(
        self, stream: Stream, entry: Entry, done: Callable[[Exception | None], object], origin: Origin | None = None
    ) -> None:
        """Store the next messages of a durable stream, which have their offsets.

        Args:
            stream: the stream.
            entry: a run, or a large message whose chunks have all been staged. Must not change any more.
            done: called on the loop's thread, later than this returns and in the order of the calls: with ``None`` when
                the messages are as safe as the stream's durability says; else with the error, and everything of the
                stream that was appended behind them and before this call fails too.
            origin: the producer of the messages and its sequences, where producers count.
        """

    def stage(self, message: LargeMessage, index: int, done: Callable[[Exception | None], object]) -> None:
        """Store a chunk of a large message to a durable stream; it cannot be read before the message is appended.

        Args:
            message: the message.
            index: index of the chunk.
            done: called on the loop's thread, later than this returns, when the chunk does not wait any more.
        """

    def discard(self, message: LargeMessage) -> None:
        """Remove the staged chunks of a large message that will not be appended."""

    def forget(self, stream: Stream, done: Callable[[Exception | None], object]) -> None:
        """Delete a stream that has ended, with its messages and the progress of its clients.

        No message of the stream is appended or staged afterwards. Messages that were appended before, and are not
        stored yet, need not be stored any more: their outcomes are errors.

        Args:
            stream: the stream.
            done: called on the loop's thread, later than this returns: with ``None`` when the deletion is as safe as
                the stream's durability says; else with the error. Then the deletion is stored as soon as the store
                works again, but is lost if the gateway ends before.
        """

    def close(self) -> None:
        """Store everything that waits, and release all resources. Takes as long as the disk does; for any thread.

        Raises:
            StoreFailed: something could not be stored, which the message names; everything is released all the same.
        """


MAX_SAMPLE_BYTES: Final = 8 * 1024 * 1024
"""Largest payload that is decoded to learn from it, as large as a plain one in a usual frame. A message of 130 KB may
declare gigabytes, and nobody else in the gateway may need to decode it."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A payload, or the first chunk of one, from which a policy learns. Its buffers do not change."""

    payload: Buffer
    """Bytes as they came from the publisher."""
    element: DTypeLike
    """Dtype of the elements."""
    encoding: Encoding | None = None
    """Encoding of the payload; ``None``: it is plain."""
    integers: bool = False
    """Whether all elements are integers of the size of ``element``."""
    base: Callable[[], Buffer] | None = None
    """Function that returns the same bytes of the previous version of a ``state`` stream, decoded; ``None`` if there is
    no version of the same dtype and shape. Slow, and raises ``RequestRefused``: to be called in a thread."""
    meta: Buffer = b""
    """Meta block of the message, which was checked before."""

    @property
    def is_readable(self) -> bool:
        """Whether the payload is plain, or decodes to so little that it may be decoded to learn from it."""
        return self.encoding is None or self.encoding.decoded_bytes <= MAX_SAMPLE_BYTES


@dataclass(frozen=True, slots=True)
class EncodingOutcome:
    """Outcome of a decision of a policy: one message that was encoded by the chain that the policy gave."""

    chain: Chain
    """Chain that the policy gave."""
    published_bytes: int
    """Size of the payload as it was published, without header and meta block; for a delta it may be encoded."""
    sent_bytes: int
    """Size of the payload that is sent; ``published_bytes`` if encoding did not make it smaller."""
    seconds: float
    """CPU time that encoding took."""

    def __add__(self, other: EncodingOutcome) -> EncodingOutcome:
        """Return the outcome of two parts of one message."""
        sent_bytes = self.sent_bytes + other.sent_bytes
        published_bytes = self.published_bytes + other.published_bytes
        return EncodingOutcome(self.chain, published_bytes, sent_bytes, self.seconds + other.seconds)


class DeliveryPolicy(Protocol):
    """Choice of the encoding of a stream's payloads for a set of receivers."""

    def chain_for(self, stream: Stream, profile: ReceiverProfile) -> Chain:
        """Return the chain for plain payloads of ``stream`` to receivers of a profile, who know its codecs. A look-up:
        called for every large enough message."""

    def delta_for(self, stream: Stream, profile: ReceiverProfile) -> Chain:
        """Return the chain for deltas to the previous version (distance 1); plain if deltas do not pay. A look-up."""

    def anew_for(self, stream: Stream, profile: ReceiverProfile) -> Chain | None:
        """Return the chain by which payloads that their publisher has encoded are encoded anew; ``None``: they go to
        these receivers as they were published. A look-up."""

    def tells_apart(self, stream: Stream) -> bool:
        """Return whether it pays to tell receivers of a stream with the same codecs apart by link tier and SDK. If not,
        they get the same bytes, by the chain for the profile of most of them. A look-up."""

    def wants_sample(self, stream: Stream, *, based: bool) -> bool:
        """Return whether the next payload of a stream is to be given to :meth:`observe`; called once for each.

        Args:
            based: whether there is a previous version to compare the payload with.
        """

    def observe(self, stream: Stream, sample: Sample) -> None:
        """Learn from a payload. May keep a reference to its buffers for a while; must return at once."""

    def report(self, stream: Stream, outcome: EncodingOutcome) -> None:
        """Learn how a chain did. Called on the loop's thread for each message that was encoded; must return at once."""

    def take_changed(self) -> Collection[Stream]:
        """Return streams whose chains have changed since the last call, of very many some."""

    def in_use(self, stream: Stream, profile: ReceiverProfile) -> Mapping[Chain, float | None]:
        """Return the chains by which payloads go to such receivers now, each with its ratio, sent over published, as
        known; empty: as published. For monitoring: changes nothing."""

    def forget(self, stream: Stream) -> None:
        """Drop everything about a stream that has ended; its id is not used again."""


class Grant(Protocol):
    """Permissions of one client, as its token states them. Immutable: a new token replaces the grant as one value."""

    @property
    def expires_at_s(self) -> float | None:
        """Time of :meth:`Clock.monotonic_s` at which the token expires; ``None``: it does not expire."""

    @property
    def subject(self) -> ClientId | None:
        """Name that the token gives to its client; ``None``: it names none."""

    def may_publish(self, stream: StreamName) -> bool:
        """Return whether the client may publish to the stream."""

    def may_subscribe(self, pattern: str) -> bool:
        """Return whether the client may subscribe to the pattern."""

    def may_acknowledge(self, pattern: str) -> bool:
        """Return whether publishers may wait for its acknowledgements; to observe needs :meth:`may_subscribe`."""

    def may_attend(self, pattern: str) -> bool:
        """Return whether the client may watch the members of all streams that match, and be one."""

    def may_replay(self, pattern: str) -> bool:
        """Return whether the client may read the past of the streams that match."""

    def may_request(self, address: str) -> bool:
        """Return whether the client may send requests to the address."""

    def may_control(self, pattern: str) -> bool:
        """Return whether the client may end the streams that match the pattern."""


class Authorizer(Protocol):
    """Authentication of clients, by the token of HELLO and of AUTHENTICATE."""

    def authenticate(
        self, client_id: ClientId | None, client_type: ClientType, token: str | None, now_s: float
    ) -> Grant:
        """Return the permissions of a client, whose token counts from ``now_s`` on, by :meth:`Clock.monotonic_s`.

        Raises:
            RequestRefused: the token is not accepted.
        """


class SubscriptionListener(Protocol):
    """Listener to subscriptions to streams: the hub calls it when a client begins or ceases to receive a pattern.

    It is told patterns rather than streams: a subscription with a wildcard is one event, however many streams match
    now or later. It is not told of views, inboxes and groups. It is called on the loop's thread, in order, when the
    hub's own tables have changed already, but for a lost connection; it must not subscribe or unsubscribe anybody
    before it returns.
    """

    def joined(self, client_id: ClientId, pattern: Pattern, *, observing: bool) -> None:
        """Note that a connection of the client has subscribed to the pattern.

        Args:
            client_id: the client.
            pattern: pattern of the subscription.
            observing: the subscription takes acknowledged streams without acknowledging.
        """

    def left(self, client_id: ClientId, patterns: Sequence[Pattern], *, returning: bool) -> None:
        """Note that subscriptions of one connection of the client have ended; other connections may hold equal ones.

        Args:
            client_id: the client.
            patterns: the pattern of each subscription that ended; empty if a connection is lost that had none.
            returning: the client is expected back, since its connection is lost or it asked to be waited for;
                otherwise it has unsubscribed, or its subscriptions have observed only.
        """
