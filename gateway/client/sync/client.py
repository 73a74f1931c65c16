"""Blocking client, for programs without asyncio: the names and the behaviour of the async one.

``with connect("ws://127.0.0.1:8765") as client: client.publish("wf-42/weights", array)``. The connection lives on a
loop in a background thread; callbacks (``progress``, ``on_error``, ``on_gap``) are called there. A client may be used
by several threads.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, Unpack

from gateway.client import client
from gateway.client.client_state import ClientState
from gateway.client.options import ConnectKeywords, Options
from gateway.client.owner import OneProcess, Owner
from gateway.client.report import keeping
from gateway.client.sending.batcher import LockedBatcher
from gateway.client.sending.content import Headers
from gateway.client.sync.blocking import blocking, blocking_for, wrapping
from gateway.client.sync.loop_thread import LoopThread
from gateway.client.sync.message import blocking_message
from gateway.client.sync.presence import Presence
from gateway.client.sync.requests import Inbox, ReplyStream
from gateway.client.sync.subscription import Subscription
from gateway.client.time_limit import TIMEOUT_S
from gateway.protocol.arguments import check_type, wrong
from gateway.protocol.link_quality import LinkQuality
from gateway.protocol.messages import Counts


class Client(OneProcess):
    """A connection to a gateway, opened again after losses. Made by :func:`connect`."""

    def __init__(
        self, options: Options, loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    ) -> None:
        """Connect.

        Raises:
            See :func:`connect`.
        """
        self._thread = LoopThread(loop_factory)
        try:
            self._source = self._thread.run(_open(self._thread, options))
        except BaseException:
            self._thread.stop()
            raise
        self._core = self._source._core
        self._batcher = self._source._batcher
        self._thread.lent = self._batcher.lock

    def close(self) -> None:
        """Send the messages that wait, within ``close_timeout_s``, and close. Iterators end. May be called twice.

        A client that the program drops without closing it, or leaves open when it ends, is closed by itself. In a
        forked process the call does nothing: the connection is that of the parent.

        Raises:
            UsageError: called by a callback of the client.
        """
        if self._thread.forked:
            return
        self._thread.run_unless_closed(self._source.close(), lambda error: None)
        self._thread.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with keeping(error):
            self.close()

    @property
    def client_id(self) -> str:
        """Name of this client: the one asked for, or the one that the gateway chose."""
        return self._source.client_id

    @property
    def state(self) -> ClientState:
        """State of the connection now."""
        return self._source.state

    @property
    def rtt_s(self) -> float | None:
        """Smallest round trip of the present connection in seconds; None before one was measured."""
        return self._source.rtt_s

    @property
    def link(self) -> LinkQuality:
        """Measured values of the present connection; see :attr:`gateway.client.client.Client.link`."""
        return self._thread.run_unless_closed(self._link(), lambda error: self._source.link)

    async def _link(self) -> LinkQuality:
        """Return the link, of which only the loop's thread may read the buffers."""
        return self._source.link

    @property
    def clock_offset_s(self) -> float:
        """Seconds to add to this machine's clock for the gateway's, by which timestamps are given."""
        return self._source.clock_offset_s

    publish = blocking(client.Client.publish)

    def publish_nowait(self, stream: str, value: object, *, kind: str | None = None, headers: Headers = None) -> None:
        """Publish without waiting, and without a hop between threads.

        See :meth:`gateway.client.client.Client.publish_nowait`.
        """
        self._batcher.add(stream, value, kind, headers)

    drain = blocking(client.Client.drain)

    subscribe = wrapping(client.Client.subscribe, Subscription)

    def account(self, subscription: Subscription, *, timeout_s: float | None = TIMEOUT_S) -> Mapping[str, Counts]:
        """Return the gateway's account of a subscription; see :meth:`gateway.client.client.Client.account`."""
        check_type("subscription", subscription, Subscription, "it must be a subscription of this client")
        return self._thread.run(self._source.account(subscription.source, timeout_s=timeout_s))

    request = blocking_for(client.Client.request, blocking_message)

    request_stream = wrapping(client.Client.request_stream, ReplyStream)

    inbox = wrapping(client.Client.inbox, Inbox)

    presence = wrapping(client.Client.presence, Presence)

    authenticate = blocking(client.Client.authenticate)

    delete = blocking(client.Client.delete)


class _ThreadedClient(client.Client):
    """Async client whose ``publish_nowait`` is called by other threads.

    The blocking client and all that it gives hold this client, by what the async client gives.
    """

    _batcher: LockedBatcher

    def __init__(self, options: Options, thread: LoopThread) -> None:
        self._thread = thread
        super().__init__(options)

    def _new_owner(self) -> Owner:
        return self._thread.owner

    def _close_by_itself(self) -> None:
        """Have the client closed, and its loop stopped, when the program drops the client, or ends."""
        self._thread.close_with(self._core.close, self._core.options.close_timeout_s)
        weakref.finalize(self, self._thread.drop).atexit = False

    def _new_batcher(self, max_pending_bytes: int) -> LockedBatcher:
        flush, call_soon = self._core.publisher.flush, self._thread.call_soon
        return LockedBatcher(
            max_pending_bytes=max_pending_bytes,
            now_ns=self._core.now_ns,
            check=self._core.publisher.check,
            first=lambda: call_soon(flush),
            full=lambda: None,  # the loop was woken by the first record and takes all that wait
        )


async def _open(thread: LoopThread, options: Options) -> _ThreadedClient:
    return await _ThreadedClient(options, thread).open()


def connect(
    url: str,
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
    **settings: Unpack[ConnectKeywords],
) -> Client:
    """Connect to a gateway: ``with connect("ws://127.0.0.1:8765") as client``.

    Args:
        url: ``ws://host:port``, or ``wss://`` for TLS.
        loop_factory: makes the background loop, e.g. ``uvloop.new_event_loop``.
        settings: see :class:`gateway.client.options.Options`, which has the defaults.

    Raises:
        InvalidArgument: a URL or setting that cannot be used.
        ConnectionClosed: the gateway refused, and would again: a wrong token, a bad name, no version in common.
        ConnectionFailed: nothing answers, or no gateway does; the text says what to check.
    """
    if not callable(loop_factory):
        raise wrong("loop_factory", loop_factory, "it must be a function that makes an event loop")
    return Client(Options.of(url, settings), loop_factory)
