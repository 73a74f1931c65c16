"""The blocking client, for programs without asyncio: the same names, the same behaviour.

``with connect("ws://127.0.0.1:8765") as client: client.publish("wf-42/weights", array)``. The connection lives on a
loop in a background thread; callbacks (``progress``, ``on_error``, ``on_gap``) are called there. A client may be used
by several threads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, Unpack

from gateway.client.client import BUFFER_BYTES, TIMEOUT_S
from gateway.client.core import ClientState, Core
from gateway.client.messages.message import Message
from gateway.client.options import Options, Progress, Report, Settings
from gateway.client.sending.batcher import LockedBatcher
from gateway.client.sending.codec_choice import AUTO
from gateway.client.sending.content import Headers
from gateway.client.sending.declaration import SchemaLike
from gateway.client.sending.result import TransmissionResult
from gateway.client.subscribing.subscription import Start, StreamProgress
from gateway.client.subscribing.subscription_position import Gap
from gateway.client.sync.loop_thread import LoopThread
from gateway.client.sync.requests import Inbox, ReplyStream
from gateway.client.sync.subscription import Subscription
from gateway.protocol.messages import Counts, Credits
from gateway.protocol.views import View


class Client:
    """A connection to a gateway, kept up over losses. Made by :func:`connect`."""

    def __init__(
        self, options: Options, loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    ) -> None:
        """Connect.

        Raises:
            See :func:`connect`.
        """
        self._thread = LoopThread(loop_factory)
        try:
            self._core = self._thread.run(self._open(options))
        except BaseException:
            self._thread.stop()
            raise

    async def _open(self, options: Options) -> Core:
        core = Core(options)
        self._batcher = LockedBatcher(
            max_pending_bytes=options.max_pending_bytes,
            now_ns=core.now_ns,
            first=lambda: self._thread.call_soon(core.publisher.flush),
            full=lambda: None,  # the loop was woken by the first record and takes what there is
        )
        await core.open(self._batcher)
        return core

    def close(self) -> None:
        """Send what is waiting, within ``close_timeout_s``, and close. Iterators end. May be called twice."""
        if self._thread.alive:
            self._thread.run(self._core.close())
            self._thread.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def client_id(self) -> str:
        """Who this client is: as asked for, or as the gateway made up."""
        return self._core.client_id

    @property
    def state(self) -> ClientState:
        """Where the connection stands now."""
        return self._core.state

    def publish(
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
        """Publish one message and wait until the gateway has taken it; see :meth:`gateway.client.Client.publish`."""
        return self._thread.run(
            self._core.publisher.publish(
                stream,
                value,
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
        )

    def publish_nowait(self, stream: str, value: object, *, kind: str | None = None, headers: Headers = None) -> None:
        """Publish without waiting; see :meth:`gateway.client.Client.publish_nowait`. Cheap: no hop between threads."""
        self._batcher.add(stream, value, kind, headers)

    def drain(self) -> None:
        """Wait until everything that was published is written; see :meth:`gateway.client.Client.drain`."""
        self._thread.run(self._core.drain())

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
        """Receive the streams that match a pattern; see :meth:`gateway.client.Client.subscribe`."""
        source = self._core.subscribe(
            pattern,
            since=since,
            view=view,
            buffer_bytes=buffer_bytes,
            auto_ack=auto_ack,
            credits=credits,
            on_error=on_error,
            on_gap=on_gap,
            progress=progress,
        )
        return Subscription(self._thread, source)

    def account(self, subscription: Subscription) -> Mapping[str, Counts]:
        """What the gateway says became of a subscription's messages; see :meth:`gateway.client.Client.account`."""
        return self._thread.run(self._core.subscriptions.account(subscription.source))

    def request(
        self,
        address: str,
        value: object = None,
        *,
        headers: Headers = None,
        codec: str = AUTO,
        timeout_s: float | None = TIMEOUT_S,
        expires_in_s: float | None = None,
    ) -> Message:
        """Send a request and wait for its reply; see :meth:`gateway.client.Client.request`."""
        return self._thread.run(
            self._core.requests.request(
                address, value, headers=headers, codec=codec, timeout_s=timeout_s, expires_in_s=expires_in_s
            )
        )

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
        """Send a request and get its replies as they come; see :meth:`gateway.client.Client.request_stream`."""
        source = self._core.requests.stream(
            address,
            value,
            headers=headers,
            codec=codec,
            timeout_s=timeout_s,
            expires_in_s=expires_in_s,
            buffer_bytes=buffer_bytes,
        )
        return ReplyStream(self._thread, source)

    def inbox(self, *, group: str | None = None, buffer_bytes: int = BUFFER_BYTES) -> Inbox:
        """Take the requests that others send to this client, or to a group; see :meth:`gateway.client.Client.inbox`."""
        return Inbox(self._thread, self._core.answering.open_inbox(group, buffer_bytes))

    def authenticate(self, token: str) -> float | None:
        """Replace the token; see :meth:`gateway.client.Client.authenticate`."""
        return self._thread.run(self._core.authenticate(token))


def connect(
    url: str,
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
    **settings: Unpack[Settings],
) -> Client:
    """Connect to a gateway: ``with connect("ws://127.0.0.1:8765") as client``.

    Args:
        url: ``ws://host:port``, or ``wss://`` for TLS.
        loop_factory: makes the background loop, e.g. ``uvloop.new_event_loop``.
        settings: see :class:`gateway.client.options.Options`, which has the defaults.

    Raises:
        InvalidArgument: a URL or setting that cannot be used.
        ConnectionClosed: the gateway refused, and would again: a wrong token, a bad name, no version in common.
        ConnectionFailed: nobody answers, or no gateway; says what to check.
    """
    return Client(Options(url, **settings), loop_factory)
