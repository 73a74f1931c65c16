"""The async client: what a program sees of the SDK (``spec/client.md``)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Self

from gateway.client.client_core import ClientCore, ClientState
from gateway.client.messages.message import Message
from gateway.client.options import Options, Progress, Report
from gateway.client.requests.inbox import Inbox
from gateway.client.requests.reply_stream import ReplyStream
from gateway.client.requests.requester import RequestOptions
from gateway.client.sending.batcher import Batcher
from gateway.client.sending.codec_choice import AUTO
from gateway.client.sending.content import Headers
from gateway.client.sending.declaration import SchemaLike
from gateway.client.sending.publisher import PublishOptions
from gateway.client.sending.transmission_result import TransmissionResult
from gateway.client.subscribing.subscription import Start, StreamProgress, Subscription, SubscriptionOptions
from gateway.client.subscribing.subscription_position import Gap
from gateway.protocol.messages import Counts, Credits
from gateway.protocol.views import View

TIMEOUT_S: Final = 30.0
"""How long an answer may take before ``RequestTimeout``, unless the caller says otherwise."""
BUFFER_BYTES: Final = 64 * 1024 * 1024
"""What may wait between the socket and the application, for each subscription."""


class Client:
    """A connection to a gateway, kept up over losses. Made by ``connect``; to be used on the loop that made it."""

    def __init__(self, options: Options) -> None:
        self._core = ClientCore(options)
        self._batcher = self._new_batcher(options.max_pending_bytes)

    def _new_batcher(self, max_pending_bytes: int) -> Batcher:
        loop = asyncio.get_running_loop()
        flush = self._core.publisher.flush
        return Batcher(
            max_pending_bytes=max_pending_bytes,
            now_ns=self._core.now_ns,
            first=lambda: loop.call_soon(flush),
            full=flush,
        )

    async def open(self) -> Self:
        """Connect, once; called by :class:`~gateway.client.connecting.Connecting`.

        Raises:
            ConnectionFailed: there is no connection.
        """
        await self._core.open(self._batcher)
        return self

    async def close(self) -> None:
        """Send what is waiting, within ``close_timeout_s``, and close. Iterators end. May be called twice."""
        await self._core.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    # What it is.

    @property
    def client_id(self) -> str:
        """Who this client is: as asked for, or as the gateway made up."""
        return self._core.client_id

    @property
    def state(self) -> ClientState:
        """Where the connection stands now."""
        return self._core.state

    @property
    def rtt_s(self) -> float | None:
        """The smallest round trip of the present connection; None before one was measured."""
        session = self._core.session
        rtt_ns = None if session is None else session.clock.rtt_ns
        return None if rtt_ns is None else rtt_ns / 1e9

    @property
    def clock_offset_s(self) -> float:
        """What is added to this machine's clock to get the gateway's, by which timestamps are given."""
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
        """Publish one message and wait until the gateway has taken it.

        Messages of one stream keep the order of the calls, also those of :meth:`publish_nowait`. Size is no matter: a
        large payload is cut into chunks, between which messages of other streams pass.

        Args:
            stream: ``<workflow>/<name>``.
            value: an array-like: ndarray, number, list, anything with ``__dlpack__`` in CPU memory or
                ``__array_interface__``; or a mapping of names to array-likes; or None, for headers only. A C-contiguous
                array is not copied: do not change it before this returns.
            kind: ``state``, ``event``, ``collaboration`` or ``control``. None: what the stream is, or ``state`` for a
                new one.
            durability: what the message is to outlive, once it is acknowledged: ``memory`` nothing, ``os`` the gateway,
                ``fsync`` the machine. None: what the stream has, or ``memory`` for a new one. It belongs to the stream,
                and needs a gateway with a store.
            headers: JSON values by name, up to 64 KiB.
            codec: ``auto`` samples what pays; or a chain such as ``none``, ``lz4``, ``zstd:3``, ``shuffle+zstd:3``.
            progress: called with (bytes sent, bytes in all), before compression, for payloads that travel in chunks.
            timeout_s: the longest time without progress, waiting for a connection included. None: forever.
            region: of a ``state``: ``value`` replaces this part of it, a key such as ``np.s_[0:64, :]`` of integers,
                slices and ``...``. Negative and open bounds are counted in what this client last published whole to
                the stream, or else in its schema; without either, name them. ``value`` has the shape of the part, and
                the state's dtype.
            tensor: with ``region``, which of a state's named tensors.
            schema: what the state holds, ``{"dtype": "float32", "shape": [64, None]}`` or ``{"tensors": {name: ...}}``,
                None for a dimension of any size. Declared once, it is kept to by everybody's publishes.
            expires_in_s: of streams of kind ``collaboration`` and ``control``: a receiver that could not be given the
                message within this time does not get it any more, and ``on_notice`` is told. None: it waits as long as
                it takes.

        Returns:
            Where the message stands in its stream, and how the transmission went.

        Raises:
            UsageError: the value, headers, kind, durability, codec, region or schema cannot be used.
            RequestRefused: the gateway refused the message; ``code`` says why.
            RequestTimeout: see ``timeout_s``. The message may have been taken or not.
            ConnectionFailed: the connection was lost after the message was sent and before its acknowledgement; or it
                is gone for good.
        """
        options = PublishOptions(
            kind=kind,
            durability=durability,
            headers=headers,
            codec=codec,
            progress=progress,
            timeout_s=timeout_s,
            region=region,
            tensor=tensor,
            schema=schema,
            expires_in_s=expires_in_s,
        )
        return await self._core.publisher.publish(stream, value, options)

    def publish_nowait(self, stream: str, value: object, *, kind: str | None = None, headers: Headers = None) -> None:
        """Publish without waiting: the message is copied, and sent with others as soon as the loop runs.

        Arrays of the same dtype and shape without headers are packed into record batches. What is refused later is told
        to ``on_error``. Messages that are under way when the connection is lost may be lost with it; those that wait
        are sent after reconnecting.

        Args:
            stream: ``<workflow>/<name>``.
            value: as in :meth:`publish`; may be changed when this returns.
            kind: as in :meth:`publish`.
            headers: as in :meth:`publish`.

        Raises:
            UsageError: the value, headers or kind cannot be used.
            RequestRefused: ``INVALID_NAME``.
            CapacityError: more than ``max_pending_bytes`` wait to be sent. Give way with ``await client.drain()``.
            ConnectionFailed: the connection is gone for good.
        """
        self._batcher.add(stream, value, kind, headers)

    async def drain(self) -> None:
        """Wait until everything that was published is written, but for what the operating system has not taken yet.

        A program that publishes without pause with :meth:`publish_nowait` awaits this now and then.

        Raises:
            ConnectionFailed: the connection is gone for good.
        """
        await self._core.drain()

    # Receiving.

    def subscribe(
        self,
        pattern: str,
        *,
        since: Start | None = None,
        view: View | None = None,
        buffer_bytes: int = BUFFER_BYTES,
        auto_ack: bool = True,
        credits: Credits | None = None,
        on_error: Report | None = None,
        on_gap: Callable[[Gap], None] | None = None,
        progress: StreamProgress | None = None,
    ) -> Subscription:
        """Receive the streams that match a pattern: ``async with client.subscribe("wf-42/*") as messages``.

        Args:
            pattern: a stream's name, in which a segment may be ``*`` (any one segment), or the last one ``**`` (the
                rest).
            since: of ``event`` streams, where to start: ``"beginning"``, everything that the gateway still has; an
                offset; or (epoch, offset) of a message that was received, plus 1. What the gateway does not have any
                more is told to ``on_gap``. None: what is published from now on. After a reconnect a subscription goes
                on where it was by itself.
            view: what is wanted of each message instead of the whole: ``View(slice=np.s_[::4, ::4], dtype="float16",
                max_rate_hz=10)``. The gateway computes it once for all who ask for the same. Of ``state`` and ``event``
                streams; a message that it does not fit is told to ``on_error``, once until one fits again.
            buffer_bytes: what may wait for the application. When it is full, of ``state`` streams only the newest
                message is kept, and for the other kinds the connection is not read further.
            auto_ack: of streams of kind ``collaboration`` and ``control``, a message is processed when the program asks
                for the next one, or leaves ``async with`` without an exception. False: when it awaits ``message.ack()``
                or ``message.nack()``.
            credits: how much of ``collaboration`` streams may be under way and in hand, unprocessed. None: what the
                gateway allows.
            on_error: told of messages that could not be decoded; None: the client's ``on_error``.
            on_gap: told of messages that will not come.
            progress: called with (stream, bytes received, bytes in all) while a large message comes in.

        Raises:
            RequestRefused: ``INVALID_NAME``. When it starts: ``INVALID_VIEW``, with the dtype and shape that it met.
            InvalidArgument: ``buffer_bytes`` or credits below 1; a ``since`` that names nothing.
            ConnectionFailed: the connection is gone for good.
        """
        options = SubscriptionOptions(
            since=since,
            view=view,
            buffer_bytes=buffer_bytes,
            auto_ack=auto_ack,
            credits=credits,
            on_error=on_error,
            on_gap=on_gap,
            progress=progress,
        )
        return self._core.subscribe(pattern, options)

    async def account(self, subscription: Subscription) -> Mapping[str, Counts]:
        """What the gateway says became of a subscription's messages, by stream: delivered, conflated, dropped …

        :attr:`Subscription.account` is what this side has counted. When nothing is under way both say the same.

        Raises:
            UsageError: it has not been started, or is closed.
            ConnectionFailed: the connection was lost.
        """
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

        If this is cancelled, or the time passes, whoever works on the request is told to stop. Of a reply that comes in
        parts it is the last one that is returned: :meth:`request_stream` gives all.

        Args:
            address: ``agent:<client_id>``, or ``group:<name>`` for the least loaded member of a group; ``publisher`` of
                the reply tells which connection answered.
            value: as in :meth:`publish`.
            headers: as in :meth:`publish`.
            codec: as in :meth:`publish`.
            timeout_s: the longest time without progress of a large request or reply, or between the parts of a reply.
                None: forever.
            expires_in_s: when nobody needs the reply any more: the gateway does not deliver the request after that, or
                calls it off. None: never.

        Raises:
            UsageError: the value, headers, codec or ``expires_in_s`` cannot be used.
            RequestFailed: the other client answered that it failed.
            RequestRefused: ``NO_SUCH_PEER`` if nobody holds the address's inbox, ``PEER_GONE`` if the other client left
                before it had replied and nobody else could take over, ``EXPIRED`` after ``expires_in_s``; or what else
                the gateway refuses.
            RequestTimeout: no reply in time.
            ConnectionFailed: the connection was lost after the request was sent; it may have been done or not.
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
        """Send a request and get its replies as they come: ``async for part in client.request_stream(...)``.

        The request is sent when the iteration begins, which ends behind the last reply. Ending it before that, by
        ``break`` or :meth:`ReplyStream.close`, tells whoever works on the request to stop. Iterating raises what
        :meth:`request` does, behind the parts that came.

        Args:
            address: as in :meth:`request`.
            value: as in :meth:`publish`; do not change it before the first part.
            headers: as in :meth:`publish`.
            codec: as in :meth:`publish`.
            timeout_s: as in :meth:`request`.
            expires_in_s: as in :meth:`request`, for the last reply.
            buffer_bytes: what may wait for the application before the connection is not read further.

        Raises:
            InvalidArgument: ``buffer_bytes`` below 1.
        """
        options = RequestOptions(headers=headers, codec=codec, timeout_s=timeout_s, expires_in_s=expires_in_s)
        return self._core.requester.stream(address, value, options, buffer_bytes)

    def inbox(self, *, group: str | None = None, buffer_bytes: int = BUFFER_BYTES) -> Inbox:
        """Take the requests that others send to ``agent:<client_id>``: ``async with client.inbox() as requests``.

        Args:
            group: take those to ``group:<group>`` instead, of which each goes to one member. The client's own inbox and
                those of several groups may be open at a time.
            buffer_bytes: what may wait for the application before the connection is not read further.

        Raises:
            UsageError: it is open already.
            RequestRefused: ``INVALID_NAME``.
        """
        return self._core.responder.open_inbox(group, buffer_bytes)

    # Access.

    async def authenticate(self, token: str) -> float | None:
        """Replace the token of the running session, and of those that follow.

        Returns:
            Seconds until it expires; None if it does not.

        Raises:
            RequestRefused: ``FORBIDDEN``.
            ConnectionFailed: the connection was lost.
        """
        return await self._core.authenticate(token)
