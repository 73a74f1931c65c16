"""Local connection: code in the gateway's own process publishes as a client does, without a socket.

A local connection hands frames of ``frys.v1`` to the core and reads the core's answers from memory, so that there is
no second way into a stream. It publishes and deletes only, and knows no event loop: a callback on the loop's thread
tells the outcome of a message.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from gateway.connections.outbound.formats import BinaryFormat, Format
from gateway.connections.ports import Clock, Transport
from gateway.connections.sessions.publication import OpenAlias, Publication, PublishOutcome, PublishReceipt
from gateway.connections.sessions.session import Session
from gateway.connections.socket_counts import NO_SOCKET_COUNTS, SocketCounts
from gateway.errors import Code, ConnectionClosed, RequestRefused
from gateway.ids import ClientId, Epoch, Offset, PeerId, StreamName
from gateway.protocol.durability import Durability
from gateway.protocol.frames import body_of, iter_frames
from gateway.protocol.messages import ClientType, Delete, Deleted, Error, Hello, Kind, Open, StreamInfo, Welcome
from gateway.protocol.meta import write_meta
from gateway.protocol.names import check_stream_name
from gateway.protocol.session_body import parse_session, write_session
from gateway.protocol.signals import Ack
from gateway.protocol.tensors import TensorSpec, payload_layout
from gateway.protocol.wire import JSON_OPCODES, VERSION, Buffer, Opcode

logger = logging.getLogger(__name__)

MANY_ALIASES = 1024
"""Aliases of one connection from which on an unused one is given to the next stream (spec section 4.1)."""

_Wanted = tuple[StreamName, Kind | None, Durability | None]
"""Stream, and the kind and durability that it must have."""

DeleteOutcome = Deleted | RequestRefused | ConnectionClosed
"""Outcome of a deletion."""

_FORMAT = BinaryFormat("local", lambda size: b"", answers_pings=False)


class GatewayEntry(Protocol):
    """Entry of connections into the gateway: its core."""

    @property
    def clock(self) -> Clock:
        """Time, and the end of the turn."""

    def connect(self, transport: Transport, form: Format) -> Session:
        """Add a connection and return its session, whose messages go to :meth:`receive`."""

    def receive(self, session: Session, data: bytes) -> None:
        """Handle one binary message of a connection."""

    def disconnect(self, session: Session) -> None:
        """Remove a connection whose transport is gone."""


class LocalConnection:
    """A client in the gateway's own process. To be used on the loop's thread, and to be closed.

    Args:
        core: the gateway.
        client_type: type of the client.
        client_id: id of the client; the gateway makes one up if it is absent.
        agent: name and version of the software, for people.
        buries: whether it publishes dead letters, and nothing else.

    Attributes:
        client_id: id by which the gateway knows the client.
        peer: number of the connection, in the ``publisher`` field of its messages.
        chunk_bytes: size of the chunks of large messages.
        max_frame_bytes: size of the largest frame.
        paused: whether the gateway takes nothing at present; see :meth:`when_ready`.

    Raises:
        ConnectionClosed: the gateway does not take the connection; the code says why.
    """

    def __init__(
        self,
        core: GatewayEntry,
        *,
        client_type: ClientType,
        client_id: ClientId | None = None,
        agent: str = "local",
        buries: bool = False,
    ) -> None:
        self._core = core
        self._closed: ConnectionClosed | None = None
        self._last_error: Error | None = None
        self._welcome: Welcome | None = None
        self._aliases: list[OpenAlias] = []
        self._opened: dict[OpenAlias, _Wanted] = {}
        """Aliases in the order of their OPEN, each with what it was opened for."""
        self._by_stream: dict[_Wanted, list[OpenAlias]] = {}
        self._last_transfer = 0
        self._last_request = 0
        self._deletions: dict[int, Callable[[DeleteOutcome], object]] = {}
        self._waiting: list[Callable[[], object]] = []
        self.paused = False
        self._session = core.connect(_MemoryTransport(self), _FORMAT)
        self._session.local, self._session.buries = True, buries
        welcome = self._greet(Hello((VERSION,), client_type, client_id, agent=agent))
        self.client_id = welcome.client_id
        self.peer = PeerId(welcome.peer)
        self.chunk_bytes = welcome.limits.chunk_bytes
        self.max_frame_bytes = welcome.limits.max_frame_bytes

    @property
    def closed(self) -> bool:
        """Whether the connection is over."""
        return self._closed is not None

    def begin(
        self,
        stream: str,
        specs: Sequence[TensorSpec],
        done: Callable[[PublishOutcome], object],
        *,
        kind: Kind | None = None,
        headers: Mapping[str, Any] | None = None,
        durability: Durability | None = None,
    ) -> Publication:
        """Begin a message whose payload comes later, in the layout of spec section 5.1.

        Args:
            stream: name of the stream.
            specs: descriptors of the tensors.
            done: called once with the outcome, perhaps before this method returns.
            kind: kind that the stream must have; ``None``: any kind, and ``state`` if the stream is new.
            headers: JSON values.
            durability: durability that the message asks for; ``None``: that of the stream.

        Raises:
            ConnectionClosed: the connection is closed.
            RequestRefused: ``INVALID_NAME``.
            UsageError: tensors or headers that cannot travel.
        """
        if self._closed is not None:
            raise self._closed
        name = check_stream_name(stream)
        meta = write_meta(specs, headers)
        wanted = name, kind, durability
        opened = self._by_stream.get(wanted, ())
        alias = next((alias for alias in opened if alias.publication is None and not alias.refused), None)
        if alias is not None:
            publication = Publication(self, alias, meta, payload_layout(specs)[1], done)
        else:
            alias = self._add_alias(wanted)
            publication = Publication(self, alias, meta, payload_layout(specs)[1], done)
            self.send(write_session(Open(alias.number, name, kind, durability=durability)))
        publication.begin()
        return publication

    def publish(
        self,
        stream: str,
        specs: Sequence[TensorSpec],
        payload: Sequence[Buffer],
        done: Callable[[PublishOutcome], object],
        *,
        kind: Kind | None = None,
        headers: Mapping[str, Any] | None = None,
        durability: Durability | None = None,
    ) -> None:
        """Publish a message whose payload is complete; otherwise as :meth:`begin`.

        Args:
            stream: as for :meth:`begin`, like all arguments that are not named here.
            payload: buffers, copied, so that they may change afterwards.
        """
        publication = self.begin(stream, specs, done, kind=kind, headers=headers, durability=durability)
        for buffer in payload:
            publication.write(buffer)
        publication.end()

    def when_ready(self, callback: Callable[[], object]) -> None:
        """Call back when the gateway takes more: at once unless the connection is :attr:`paused`."""
        if self.paused:
            self._waiting.append(callback)
        else:
            callback()

    def close(self) -> None:
        """Close the connection and abort unfinished messages. A second call does nothing."""
        if self._closed is None:
            self._end(ConnectionClosed(Code.NORMAL, "closed on this side"))
            self._core.disconnect(self._session)

    def delete(self, stream: str, done: Callable[[DeleteOutcome], object]) -> None:
        """Delete a stream.

        Args:
            stream: name of the stream.
            done: called once with the answer, perhaps before this method returns.

        Raises:
            ConnectionClosed: the connection is closed.
        """
        if self._closed is not None:
            raise self._closed
        self._last_request += 1
        self._deletions[self._last_request] = done
        self.send(write_session(Delete(self._last_request, stream)))

    # The PublicationTarget of its publications.

    def send(self, frames: bytes) -> None:
        """Hand frames to the gateway; drop them once the connection is closed."""
        if self._closed is None:
            self._core.receive(self._session, frames)

    def time_ns(self) -> int:
        """Return the gateway's Unix time in ns."""
        return self._core.clock.time_ns()

    def next_transfer(self) -> int:
        """Return a number for a large message."""
        self._last_transfer += 1
        return self._last_transfer

    # Called by its transport.

    def received(self, data: Buffer) -> None:
        """Handle the gateway's answers; skip frames that do not concern a publisher."""
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
                    case Deleted() as answer:
                        self._answered(answer.request, answer)
                    case Error(request=int(request)) as error:
                        self._answered(request, RequestRefused(error.code, error.message))
                    case Error() as error:
                        self._refused(error)
                    case _:
                        pass

    def closed_by_gateway(self, code: int, reason: str) -> None:
        """Settle all messages: the gateway has closed the connection."""
        if self._closed is None:
            error = self._last_error
            self._end(ConnectionClosed(code, reason if error is None else error.message))
            # Later, because the gateway may be handling this very session.
            self._core.clock.call_soon(lambda: self._core.disconnect(self._session))

    def resume(self) -> None:
        """Call back everyone who waits for the gateway to take more."""
        self.paused = False
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()

    def show_life(self) -> None:
        """Answer a ping of the heartbeat: code in the same process is alive, however long it sends nothing."""
        self._session.heard = True
        self._session.asked_ns = 0

    def _add_alias(self, wanted: _Wanted) -> OpenAlias:
        """Add an alias for a stream: a new one, or one of many that was opened earlier and is not in use."""
        number = len(self._aliases)
        earlier = None
        if number >= MANY_ALIASES:
            earlier = next((alias for alias in self._opened if alias.publication is None), None)
        if earlier is None:
            alias = OpenAlias(number)
            self._aliases.append(alias)
        else:
            alias = self._aliases[earlier.number] = OpenAlias(earlier.number)
            self._forget(earlier)
        self._opened[alias] = wanted
        self._by_stream.setdefault(wanted, []).append(alias)
        return alias

    def _forget(self, alias: OpenAlias) -> None:
        wanted = self._opened.pop(alias)
        aliases = self._by_stream[wanted]
        aliases.remove(alias)
        if not aliases:
            del self._by_stream[wanted]

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
        for request in list(self._deletions):
            self._answered(request, closed)
        self.resume()

    def _answered(self, request: int, outcome: DeleteOutcome) -> None:
        done = self._deletions.pop(request, None)
        if done is not None:
            done(outcome)

    def _acknowledged(self, ack: Ack) -> None:
        alias = self._aliases[ack.alias]
        info = alias.info
        if alias.publication is not None and info is not None and info.kind is not None and info.epoch is not None:
            stream, epoch, offset = StreamName(info.stream), Epoch(info.epoch), Offset(ack.offset)
            alias.publication.settle(PublishReceipt(stream, info.kind, epoch, offset, ack.durability))

    def _refused(self, error: Error) -> None:
        if error.alias is None:
            self._last_error = error
            return
        alias = self._aliases[error.alias]
        alias.refused = error.sequence is None or error.code == Code.STREAM_ENDED
        if alias.publication is not None:
            alias.publication.settle(RequestRefused(error.code, error.message))


class _MemoryTransport:
    """The :class:`~gateway.connections.ports.Transport` of a local connection, which takes everything at once."""

    __slots__ = ("_connection",)

    def __init__(self, connection: LocalConnection) -> None:
        self._connection = connection

    def write(self, data: Buffer) -> None:
        """Hand bytes to the connection."""
        self._connection.received(data)

    def raw_write(self, data: Buffer, /) -> None:
        """Hand bytes to the connection, and log a ``RuntimeError``: the caller would take it for a lost peer."""
        try:
            self._connection.received(data)
        except RuntimeError:
            logger.exception("a connection within the gateway failed: it misses what it was sent")

    def writelines(self, buffers: Sequence[Buffer]) -> None:
        """Hand buffers to the connection as one message."""
        self._connection.received(b"".join(buffers))

    def ping(self, payload: bytes) -> None:
        """Show life at once."""
        self._connection.show_life()

    def pause_reading(self) -> None:
        """Note that the gateway takes nothing for now."""
        self._connection.paused = True

    def resume_reading(self) -> None:
        """Let the connection go on."""
        self._connection.resume()

    def close(self, code: int, reason: str) -> None:
        """Tell the connection that the gateway has closed it."""
        self._connection.closed_by_gateway(code, reason)

    def peer_address(self) -> str:
        return ""

    def waiting_bytes(self) -> int:
        """Return 0: memory takes everything at once."""
        return 0

    def socket_counts(self) -> SocketCounts:
        """Return nothing: there is no socket."""
        return NO_SOCKET_COUNTS
