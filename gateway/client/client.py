"""Async client: the public face of the SDK (``spec/client.md``)."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Final, Self

from gateway.client.client_core import ClientCore
from gateway.client.client_state import ClientState
from gateway.client.exit_hook import EXIT_HOOK
from gateway.client.link import link_quality
from gateway.client.messages.message import Message
from gateway.client.options import Options, Progress
from gateway.client.owner import Owner
from gateway.client.presence_calls import PresenceCalls
from gateway.client.report import Report, keeping
from gateway.client.requests.inbox import Inbox
from gateway.client.requests.reply_stream import ReplyStream
from gateway.client.requests.requester import RequestOptions
from gateway.client.sending.batcher import Batcher
from gateway.client.sending.codec_choice import AUTO
from gateway.client.sending.content import Headers
from gateway.client.sending.declaration import SchemaLike
from gateway.client.sending.prepared_publish import PublishOptions
from gateway.client.stream_control import StreamControl
from gateway.client.subscribing.subscription import Subscription
from gateway.client.subscribing.subscription_core import Start, StreamProgress, SubscriptionOptions
from gateway.client.subscribing.subscription_position import Gap, StreamEnded
from gateway.client.time_limit import TIMEOUT_S
from gateway.client.transmission_result import TransmissionResult
from gateway.protocol.link_quality import LinkQuality
from gateway.protocol.messages import Counts, Credits
from gateway.protocol.views import View

BUFFER_BYTES: Final = 64 * 1024 * 1024
"""Bytes that may wait between the socket and the application, for each subscription."""


class Client(StreamControl, PresenceCalls):
    """A connection to a gateway, opened again after losses. Made by ``connect``, and used on the loop that made it."""

    def __init__(self, options: Options) -> None:
        self._owner = self._new_owner()
        self._core = ClientCore(options, self._owner)
        self._batcher = self._new_batcher(options.max_pending_bytes)

    def _new_owner(self) -> Owner:
        return Owner(asyncio.get_running_loop())

    def _new_batcher(self, max_pending_bytes: int) -> Batcher:
        owner, flush = self._owner, self._core.publisher.flush

        def flush_at_once() -> None:
            if not owner.interrupted(Client.publish_nowait.__code__):  # otherwise the loop does it next
                flush()

        return Batcher(
            max_pending_bytes=max_pending_bytes,
            now_ns=self._core.now_ns,
            check=self._core.publisher.check,
            first=partial(owner.call_next, flush),
            full=flush_at_once,
        )

    async def open(self) -> Self:
        """Connect, once; called by :class:`~gateway.client.connecting.Connecting`.

        Raises:
            ConnectionFailed: the gateway cannot be reached, or refused.
        """
        await self._core.open(self._batcher)
        self._close_by_itself()
        return self

    def _close_by_itself(self) -> None:
        """Have the client closed when the program drops it, or ends, without closing it."""
        EXIT_HOOK.add(self._core)
        weakref.finalize(self, self._core.drop).atexit = False

    async def close(self) -> None:
        """Send the messages that wait, within ``close_timeout_s``, and close. Iterators end. May be called twice."""
        await self._core.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with keeping(error):
            await self.close()

    # State.

    @property
    def client_id(self) -> str:
        """Name of this client: the one asked for, or the one that the gateway chose."""
        return self._core.client_id

    @property
    def state(self) -> ClientState:
        """State of the connection now."""
        return self._core.state

    @property
    def rtt_s(self) -> float | None:
        """Smallest round trip of the present connection in seconds; None before one was measured."""
        session = self._core.session
        rtt_ns = None if session is None else session.clock.rtt_ns
        return None if rtt_ns is None else rtt_ns / 1e9

    @property
    def link(self) -> LinkQuality:
        """Measured values of the present connection; ``link.score`` is their quality, 0 to 1 (spec section 15)."""
        return link_quality(self._core.context, self._core.subscriptions.load)

    @property
    def clock_offset_s(self) -> float:
        """Seconds to add to this machine's clock for the gateway's, by which timestamps are given."""
        session = self._core.session
        return 0.0 if session is None else session.clock.offset_ns / 1e9

    # Publishing.

    async def publish(
        self,
        stream: str,
        value: object,
        *,
        kind: str | None = None,
        durability: str | None = None,
        headers: Headers = None,
        codec: str = AUTO,
        progress: Progress | None = None,
        timeout_s: float | None = TIMEOUT_S,
        region: object = None,
        tensor: str | None = None,
        schema: SchemaLike = None,
        expires_in_s: float | None = None,
    ) -> TransmissionResult:
        """Publish one message and wait until the gateway has acknowledged it.

        Messages of one stream keep the order of the calls, also those of :meth:`publish_nowait`. Payloads may be of any
        size: a large one is cut into chunks, between which messages of other streams pass.

        Args:
            stream: ``<workflow>/<name>``.
            value: an array-like: ndarray, number, list, anything with ``__dlpack__`` in CPU memory or
                ``__array_interface__``; or a mapping of names to array-likes; or None, for headers only. A C-contiguous
                array is not copied: do not change it before the call returns.
            kind: ``state``, ``event``, ``collaboration`` or ``control``. None: the kind of the stream, or ``state`` for
                a new one.
            durability: failure that the message survives once it is acknowledged: ``memory`` none, ``os`` of the
                gateway, ``fsync`` of the machine. None: the durability of the stream, or ``memory`` for a new one. It
                belongs to the stream, and needs a gateway with a store.
            headers: JSON values by name, up to 64 KiB. JSON has no NaN and no infinities: they arrive as None.
            codec: ``auto`` samples; or a chain such as ``none``, ``lz4``, ``zstd:3``, ``shuffle+zstd:3``, ``pco:4``.
            progress: called with (bytes sent, bytes in all), before compression, for payloads that travel in chunks.
            timeout_s: longest time without progress, waiting for a connection included. None: no limit.
            region: of a ``state``: ``value`` replaces this part of it, a key such as ``np.s_[0:64, :]`` of integers,
                slices and ``...``. Negative and open bounds are counted in the keyframe that this client published last
                to the stream, or else in its schema. ``value`` has the shape of the part, and the state's dtype.
            tensor: with ``region``, the name of the tensor of the state.
            schema: dtypes and shapes of the state, ``{"dtype": "float32", "shape": [64, None]}`` or ``{"tensors":
                {name: ...}}``, None for a dimension of any size. Once declared, it holds for all clients.
            expires_in_s: of streams of kind ``collaboration`` and ``control``: a receiver that the message could not be
                given within this time does not get it any more, and ``on_notice`` is called. None: it waits.

        Returns:
            Position of the message in its stream, and cost and quality of its transmission.

        Raises:
            UsageError: the value, headers, kind, durability, codec, region or schema cannot be used; or a large array
                was changed before the call returned.
            RequestRefused: the gateway refused the message; ``code`` is the reason. A message that is refused for now,
                e.g. with ``QUEUE_FULL``, is sent again until ``timeout_s`` is over.
            RequestTimeout: see ``timeout_s``. The gateway may have taken the message or not.
            ConnectionFailed: the connection was lost after the message was sent and before its acknowledgement; or it
                is not opened again.
        """
        # By position: keywords take twice as long.
        options = PublishOptions(
            kind, durability, headers, codec, progress, timeout_s, region, tensor, schema, expires_in_s
        )
        return await self._core.publisher.publish(stream, value, options)

    def publish_nowait(self, stream: str, value: object, *, kind: str | None = None, headers: Headers = None) -> None:
        """Publish without waiting: the message is copied, and sent with others as soon as the loop runs.

        Arrays of the same dtype and shape without headers are packed into record batches. Receivers of
        ``collaboration`` and ``control`` streams answer a batch as one, and if they refuse a record, all come again: so
        publish tasks by :meth:`publish`, unless a batch is to be one task. Messages that are refused later are reported
        to ``on_error``. Messages that are under way when the connection is lost may be lost with it; those that wait
        are sent after reconnecting. Messages under way when their stream ends are lost, and reported.

        Args:
            stream: ``<workflow>/<name>``.
            value: as in :meth:`publish`; may be changed when the call returns.
            kind: as in :meth:`publish`.
            headers: as in :meth:`publish`.

        Raises:
            UsageError: the value, headers or kind cannot be used.
            RequestRefused: ``INVALID_NAME``; ``FORBIDDEN``, of dead letters; ``MESSAGE_TOO_BIG``, ``KIND_MISMATCH`` or
                ``SCHEMA_MISMATCH``, if the client knows it: the stream is open on the present connection.
            CapacityError: more than ``max_pending_bytes`` wait to be sent. Wait with ``await client.drain()``.
            ConnectionFailed: the connection is gone and not opened again.
        """
        self._batcher.add(stream, value, kind, headers)

    async def drain(self) -> None:
        """Wait until all published messages are handed to the operating system, up to the low water mark.

        A program that publishes without pause with :meth:`publish_nowait` calls this now and then. While the client
        reconnects, it waits for the next connection if messages wait, without a time limit.

        Raises:
            ConnectionFailed: the connection is gone and not opened again.
        """
        await self._core.drain()

    # Receiving.

    def subscribe(
        self,
        pattern: str,
        *,
        since: Start | None = None,
        view: View | None = None,
        lower_view: View | None = None,
        buffer_bytes: int = BUFFER_BYTES,
        conflate: bool = True,
        auto_ack: bool = True,
        credits: Credits | None = None,
        observe: bool | None = None,
        on_error: Report | None = None,
        on_gap: Callable[[Gap], None] | None = None,
        on_ended: Callable[[StreamEnded], None] | None = None,
        progress: StreamProgress | None = None,
    ) -> Subscription:
        """Receive the streams that match a pattern: ``async with client.subscribe("wf-42/*") as messages``.

        It begins with ``async with``, or else when the first message is asked for. Both wait for a connection without a
        time limit while the client reconnects, as iterating does.

        Args:
            pattern: a stream's name, in which a segment may be ``*`` (any), or the last one ``**`` (the rest), also
                with an ending: ``**.dead`` matches all streams of dead letters.
            since: start in ``event`` and observed streams: ``"beginning"``, all messages that are kept; an offset; or
                (epoch, offset) of a received message, plus 1. Messages that are not kept any more are reported to
                ``on_gap``. An offset beyond the end, or another epoch, is as ``"beginning"``. None: messages published
                from now on. Reconnecting keeps the position.
            view: wanted part of each ``state`` or ``event`` message: ``View(slice=np.s_[::4, ::4], max_rate_hz=10)``. A
                message that the view does not fit is reported to ``on_error``, once until one fits again.
            lower_view: view that may come while the connection cannot take ``view``, or all; ``on_notice`` is told.
            buffer_bytes: bytes that may wait for the application; then only ``state`` streams are read further.
            conflate: only the newest version of each ``state`` waits. False: all do, until ``buffer_bytes`` wait.
            auto_ack: a message of kind ``collaboration`` or ``control`` is processed when the program asks for the
                next one, or leaves ``async with`` without an exception. False: when it awaits ``ack()`` or ``nack()``.
                The gateway keeps such messages for a client that is away; after its own restart it does so in streams
                that there were before.
            credits: bound on messages and bytes in hand of ``collaboration`` streams, with ``credit_all_kinds`` of all.
            observe: True takes messages of these streams as they are published, and acknowledges none. None: False
                with ``auto_ack=False`` or ``credits``, or for a ``workflow`` or ``agent`` that named itself.
            on_error: called for messages that could not be decoded; None: the client's ``on_error``.
            on_gap: called for messages that will not come.
            on_ended: called when a stream has ended; the iterator goes on with the next stream of the name, if any.
            progress: called with (stream, received bytes, total bytes) while a large message comes in.

        Raises:
            RequestRefused: ``INVALID_NAME``. When it starts: ``INVALID_VIEW``, with the dtype and shape that it met.
            InvalidArgument: a number below 1; no position as ``since``; an address; ``observe=True`` and ``credits``.
            ConnectionFailed: the connection is gone and not opened again.
        """
        options = SubscriptionOptions(
            since=since,
            view=view,
            lower_view=lower_view,
            buffer_bytes=buffer_bytes,
            conflate=conflate,
            auto_ack=auto_ack,
            credits=credits,
            observe=observe,
            on_error=on_error,
            on_gap=on_gap,
            on_ended=on_ended,
            progress=progress,
        )
        return self._core.subscribe(pattern, options, self)

    async def account(self, subscription: Subscription, *, timeout_s: float | None = TIMEOUT_S) -> Mapping[str, Counts]:
        """Return the gateway's account of a subscription by stream: messages delivered, conflated, dropped and so on.

        :attr:`~gateway.client.subscribing.subscription.Subscription.account` is the account of this side. Both are the
        same when no message is under way, also of streams that have ended. The counts of very many streams are those of
        several moments, since the gateway sends them in parts. If the connection is lost, the next one is asked.

        Args:
            subscription: one of this client.
            timeout_s: longest time for the answer, waiting for a connection included. None: no limit.

        Raises:
            UsageError: the subscription has not been started, or is closed.
            RequestTimeout: no answer in time.
            ConnectionFailed: the connection is gone and not opened again.
        """
        self._owner.check()
        with self._core.context.within(timeout_s, "the account"):
            return await self._core.subscriptions.account(subscription)

    # Requests.

    async def request(
        self,
        address: str,
        value: object = None,
        *,
        headers: Headers = None,
        codec: str = AUTO,
        timeout_s: float | None = TIMEOUT_S,
        expires_in_s: float | None = None,
    ) -> Message:
        """Send a request to another client and wait for its reply.

        If the call is cancelled or times out, the client that works on the request is told to stop. If the reply comes
        in parts, the last one is returned: :meth:`request_stream` yields all.

        Args:
            address: ``agent:<client_id>``, or ``group:<name>`` for the least loaded member of a group; ``publisher`` of
                the reply tells which connection answered.
            value: as in :meth:`publish`.
            headers: as in :meth:`publish`.
            codec: as in :meth:`publish`.
            timeout_s: longest time without progress of a large request or reply, or between the parts of a reply. None:
                no limit.
            expires_in_s: time after which nobody needs the reply any more: the gateway does not deliver the request
                then, or cancels it. None: never.

        Raises:
            UsageError: the value, headers, codec or ``expires_in_s`` cannot be used.
            RequestFailed: the other client answered that it failed.
            RequestRefused: ``NO_SUCH_PEER`` if nobody holds the address's inbox, ``PEER_GONE`` if the other client left
                before it had replied and no other could take over, ``EXPIRED`` after ``expires_in_s``, ``QUEUE_FULL``
                if there was no room for the request until ``timeout_s`` was over; or another refusal of the gateway.
            RequestTimeout: no reply in time.
            ConnectionFailed: the connection was lost after the request was sent; it may have been processed or not.
        """
        options = RequestOptions(headers=headers, codec=codec, timeout_s=timeout_s, expires_in_s=expires_in_s)
        return await self._core.requester.request(address, value, options)

    def request_stream(
        self,
        address: str,
        value: object = None,
        *,
        headers: Headers = None,
        codec: str = AUTO,
        timeout_s: float | None = TIMEOUT_S,
        expires_in_s: float | None = None,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> ReplyStream:
        """Send a request and yield its replies as they come: ``async for part in client.request_stream(...)``.

        The request is sent when the iteration begins, which ends behind the last reply. To end it before that, by
        ``break`` or :meth:`~gateway.client.requests.reply_stream.ReplyStream.close`, tells the client that works on the
        request to stop. Iterating raises the errors of :meth:`request`, behind the parts that came.

        Args:
            address: as in :meth:`request`.
            value: as in :meth:`publish`; do not change it before the first part.
            headers: as in :meth:`publish`.
            codec: as in :meth:`publish`.
            timeout_s: as in :meth:`request`.
            expires_in_s: as in :meth:`request`, for the last reply.
            buffer_bytes: bytes that may wait for the application before the connection is not read further.

        Raises:
            InvalidArgument: ``buffer_bytes`` below 1.
        """
        options = RequestOptions(headers=headers, codec=codec, timeout_s=timeout_s, expires_in_s=expires_in_s)
        self._owner.check()
        return self._core.requester.stream(address, value, options, buffer_bytes, self)

    def inbox(self, *, group: str | None = None, buffer_bytes: int = BUFFER_BYTES) -> Inbox:
        """Take the requests that others send to ``agent:<client_id>``: ``async with client.inbox() as requests``.

        Args:
            group: take the requests to ``group:<group>`` instead, each of which goes to one member. The client's own
                inbox and those of several groups may be open at a time.
            buffer_bytes: bytes that may wait for the application before the connection is not read further.

        Raises:
            UsageError: the inbox is open already.
            RequestRefused: ``INVALID_NAME``.
        """
        return self._core.responder.open_inbox(group, buffer_bytes, self)
