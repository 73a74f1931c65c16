"""A connection without a socket: code in the gateway's own process joins through the same door as every client.

It hands frames of ``frys.v1`` to the core and reads the core's answers from memory, so there is no second way into a
stream. Publishes only. Knows no event loop: what becomes of a message is told by a callback on the loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from gateway.connections.outbound.formats import BinaryFormat, Format
from gateway.connections.ports import Clock, Transport
from gateway.connections.sessions.publication import OpenAlias, Outcome, Publication, PublishReceipt
from gateway.connections.sessions.session import Session
from gateway.errors import Code, ConnectionClosed, RequestRefused
from gateway.ids import ClientId, Epoch, Offset, PeerId, StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.frames import body_of, iter_frames
from gateway.protocol.messages import ClientType, Error, Hello, Kind, Open, StreamInfo, Welcome
from gateway.protocol.meta import write_meta
from gateway.protocol.names import check_stream_name
from gateway.protocol.session_body import parse_session, write_session
from gateway.protocol.signals import Ack
from gateway.protocol.tensors import TensorSpec, payload_layout
from gateway.protocol.wire import JSON_OPCODES, VERSION, Buffer, Opcode

_FORMAT = BinaryFormat("local", lambda size: b"", answers_pings=False)


class GatewayEntry(Protocol):
    """Where connections come in; the gateway's core."""

    @property
    def clock(self) -> Clock:
        """Time, and the end of the turn."""

    def connect(self, transport: Transport, form: Format) -> Session:
        """Take in a connection; what it sends goes to :meth:`receive`."""

    def receive(self, session: Session, data: Buffer) -> None:
        """Handle one binary message of a connection; ``data`` must not change afterwards."""

    def disconnect(self, session: Session) -> None:
        """The transport is gone."""


class LocalConnection:
    """A client in the gateway's own process. To be used on the loop's thread, and closed.

    Args:
        core: the gateway.
        client_type: what it is.
        client_id: who it is; the gateway makes one up if it is absent.
        token: proof of identity.
        agent: software, for people.

    Attributes:
        client_id: as the gateway knows it.
        peer: its number in the ``publisher`` field of what it publishes.
        chunk_bytes: size of the chunks of large messages.
        paused: the gateway takes nothing now; see :meth:`when_ready`.

    Raises:
        ConnectionClosed: the gateway does not take it; the code says why.
    """

    def __init__(
        self,
        core: GatewayEntry,
        *,
        client_type: ClientType,
        client_id: ClientId | None = None,
        token: str | None = None,
        agent: str = "local",
    ) -> None:
        self._core = core
        self._closed: ConnectionClosed | None = None
        self._last_error: Error | None = None
        self._welcome: Welcome | None = None
        self._aliases: list[OpenAlias] = []
        self._by_stream: dict[tuple[StreamName, Kind | None, Durability | None], list[OpenAlias]] = {}
        self._last_transfer = 0
        self._waiting: list[Callable[[], object]] = []
        self.paused = False
        self._session = core.connect(_MemoryTransport(self), _FORMAT)
        welcome = self._greet(Hello((VERSION,), client_type, client_id, token, agent))
        self.client_id = welcome.client_id
        self.peer = PeerId(welcome.peer)
        self.chunk_bytes = welcome.limits.chunk_bytes

    @property
    def closed(self) -> bool:
        """Whether the connection is over."""
        return self._closed is not None

    def begin(
        self,
        stream: str,
        specs: Sequence[TensorSpec],
        done: Callable[[Outcome], object],
        *,
        kind: Kind | None = None,
        headers: Mapping[str, Any] | None = None,
        durability: Durability | None = None,
    ) -> Publication:
        """Begin a message whose payload comes later, in the layout of spec section 5.1.

        Args:
            stream: its name.
            specs: its tensors.
            done: called once with the outcome, maybe before this returns.
            kind: what the stream is taken to be; ``None``: whatever it is, or ``state`` if it is new.
            headers: JSON values.
            durability: what the message is to outlive; ``None``: what the stream has, or is configured to have.

        Raises:
            ConnectionClosed: the connection is over.
            RequestRefused: ``INVALID_NAME``.
            UsageError: tensors or headers that cannot travel.
        """
        if self._closed is not None:
            raise self._closed
        name = check_stream_name(stream)
        meta = write_meta(specs, headers)
        opened = self._by_stream.setdefault((name, kind, durability), [])
        alias = next((alias for alias in opened if alias.publication is None and not alias.refused), None)
        if alias is not None:
            publication = Publication(self, alias, meta, payload_layout(specs)[1], done)
        else:
            alias = OpenAlias(len(self._aliases))
            self._aliases.append(alias)
            opened.append(alias)
            publication = Publication(self, alias, meta, payload_layout(specs)[1], done)
            self.send(write_session(Open(alias.number, name, kind, durability=durability)))
        publication.begin()
        return publication

    def publish(
        self,
        stream: str,
        specs: Sequence[TensorSpec],
        payload: Sequence[Buffer],
        done: Callable[[Outcome], object],
        *,
        kind: Kind | None = None,
        headers: Mapping[str, Any] | None = None,
        durability: Durability | None = None,
    ) -> None:
        """Publish a whole message; as :meth:`begin`. The payload is copied, so it may change afterwards."""
        publication = self.begin(stream, specs, done, kind=kind, headers=headers, durability=durability)
        for buffer in payload:
            publication.write(buffer)
        publication.end()

    def when_ready(self, callback: Callable[[], object]) -> None:
        """Call back when the gateway takes more: at once unless it is :attr:`paused`."""
        if self.paused:
            self._waiting.append(callback)
        else:
            callback()

    def close(self) -> None:
        """Leave; what is not finished is aborted. A second call does nothing."""
        if self._closed is None:
            self._end(ConnectionClosed(Code.NORMAL, "closed on this side"))
            self._core.disconnect(self._session)

    # What its publications need.

    def send(self, frames: bytes) -> None:
        """See :class:`~gateway.connections.sessions.publication.PublicationTarget`; nothing happens once the
        connection is over.
        """
        if self._closed is None:
            self._core.receive(self._session, frames)

    def time_ns(self) -> int:
        """See :class:`~gateway.connections.sessions.publication.PublicationTarget`."""
        return self._core.clock.time_ns()

    def next_transfer(self) -> int:
        """See :class:`~gateway.connections.sessions.publication.PublicationTarget`."""
        self._last_transfer += 1
        return self._last_transfer

    # What its transport brings.

    def received(self, data: Buffer) -> None:
        """The gateway's answers; what is none to a publisher is skipped."""
        view = memoryview(data)
        for frame in iter_frames(view):
            if frame.opcode == Opcode.ACK:
                self._acknowledged(Ack.parse(view, frame))
            elif frame.opcode in JSON_OPCODES:
                match parse_session(frame.opcode, body_of(view, frame)):
                    case Welcome() as welcome:
                        self._welcome = welcome
                    case StreamInfo(alias=int(number)) as info:
                        self._aliases[number].info = info
                    case Error() as error:
                        self._refused(error)
                    case _:
                        pass

    def closed_by_gateway(self, code: int, reason: str) -> None:
        """The gateway has closed the connection."""
        if self._closed is None:
            error = self._last_error
            self._end(ConnectionClosed(code, reason if error is None else error.message))
            # Later, because the gateway may be in the middle of something with this very session.
            self._core.clock.call_soon(lambda: self._core.disconnect(self._session))

    def resume(self) -> None:
        """The gateway takes more."""
        self.paused = False
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()

    def show_life(self) -> None:
        """Code in the same process is there, however long its source is silent."""
        self._session.connection.heard = True

    def _greet(self, hello: Hello) -> Welcome:
        self.send(write_session(hello))
        if self._closed is not None:
            raise self._closed
        assert self._welcome is not None, "HELLO is answered before the next frame is taken (spec section 3)"
        return self._welcome

    def _end(self, closed: ConnectionClosed) -> None:
        self._closed = closed
        for alias in self._aliases:
            if alias.publication is not None:
                alias.publication.settle(closed)
        self.resume()

    def _acknowledged(self, ack: Ack) -> None:
        alias = self._aliases[ack.alias]
        info = alias.info
        if alias.publication is not None and info is not None and info.kind is not None and info.epoch is not None:
            receipt = PublishReceipt(StreamName(info.stream), info.kind, Epoch(info.epoch), Offset(ack.offset))
            alias.publication.settle(receipt)

    def _refused(self, error: Error) -> None:
        if error.alias is None:
            self._last_error = error
            return
        alias = self._aliases[error.alias]
        alias.refused = error.sequence is None
        if alias.publication is not None:
            alias.publication.settle(RequestRefused(error.code, error.message))


class _MemoryTransport:
    """The :class:`~gateway.connections.ports.Transport` of a local connection: it takes everything at once."""

    __slots__ = ("_connection",)

    def __init__(self, connection: LocalConnection) -> None:
        self._connection = connection

    def write(self, data: Buffer) -> None:
        """See the port."""
        self._connection.received(data)

    def writelines(self, buffers: Sequence[Buffer]) -> None:
        """See the port."""
        self._connection.received(b"".join(buffers))

    def ping(self) -> None:
        """See the port."""
        self._connection.show_life()

    def pause_reading(self) -> None:
        """See the port."""
        self._connection.paused = True

    def resume_reading(self) -> None:
        """See the port."""
        self._connection.resume()

    def close(self, code: int, reason: str) -> None:
        """See the port."""
        self._connection.closed_by_gateway(code, reason)

    def waiting_bytes(self) -> int:
        """See the port."""
        return 0
