"""Session with a gateway, from HELLO to the close (spec sections 3 and 9).

A session knows its protocol state, the answers to its requests and the gateway's clock. It hands data frames to
handlers and must not know what the handlers do. A session ends with its connection: the client then opens another.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from gateway.client.session.answers import Answer, Answers, Asked
from gateway.client.session.chunk_sizes import ChunkSizes
from gateway.client.session.gateway_clock import GatewayClock
from gateway.client.session.heartbeat import Heartbeat
from gateway.client.session.outgoing_frames import CORKED_BYTES, OutgoingFrames
from gateway.client.session.refusal import refusal
from gateway.client.session.socket import ABNORMAL, Lost, Socket
from gateway.client.session.tcp_progress import TcpProgress
from gateway.errors import Code, ConnectionFailed, ProtocolViolation, RequestRefused
from gateway.protocol.frames import Frame, body_of, only_frame
from gateway.protocol.json_size import MAX_BODY_BYTES
from gateway.protocol.messages import Error, GoAway, Hello, SessionMessage, Welcome
from gateway.protocol.runs import FrameRun, iter_runs
from gateway.protocol.session_body import parse_session, write_session
from gateway.protocol.signals import Ping, Pong
from gateway.protocol.state import Event, Role, State, advance
from gateway.protocol.transfers import FRAME_ROOM_BYTES
from gateway.protocol.wire import (
    JSON_OPCODES,
    MIN_CHUNK_BYTES,
    Buffer,
    Opcode,
)
from gateway.websocket.frame_reader import Place, Placement

logger: Final = logging.getLogger("gateway.client")

Handler = Callable[[memoryview, Frame], None]
"""Handler of one frame of a WebSocket message. ``RequestRefused`` skips the frame, ``ProtocolViolation`` ends the
session."""
RunHandler = Callable[[FrameRun], None]
"""Handler of a run of MESSAGE frames that are alike, all at once; raises nothing."""


class Handlers(NamedTuple):
    """Handlers of frames that arrive."""

    frames: Mapping[int, Handler]
    """Handlers by opcode; the session itself handles other opcodes."""
    run: RunHandler | None
    """Handler of runs of MESSAGE frames; ``None``: the session handles them as well."""
    place: Place | None = None
    """Function that places large messages which are on their way; ``None``: the session's socket takes them."""


class SessionEvents(Protocol):
    """Callbacks of a session to the client, on the loop."""

    def welcomed(self, session: Session) -> Handlers:
        """Return the handlers of the frames that arrive from now on: WELCOME has come."""

    def refused(self, error: Error) -> None:
        """Take an ERROR that answers none of the session's own requests."""

    def reported(self, error: Exception) -> None:
        """Take an error that no caller waits for."""

    def beating(self) -> None:
        """Send the reports that go with each PING of this side."""

    def probed(self) -> None:
        """Send the report for which a PING of the gateway asks, before the answer to it."""

    def writing_resumed(self) -> None:
        """Go on writing: there is room again."""

    def session_lost(self, session: Session, lost: Lost) -> None:
        """Learn that a session has ended. Not called for a session that was never welcomed."""


class Session:
    """Protocol state of one connection; made by :func:`gateway.client.session.greeting.open_session`.

    Attributes:
        clock: the gateway's clock.
        now_ns: returns Unix time by it.
        draining: whether GO_AWAY was received: nothing new may be started.
        chunk_bytes: size of the chunks that payloads are cut into; known from WELCOME.
        chunk_sizes: the same, and other sizes that the gateway advises for some streams.
        frame_bytes: the largest payload and meta block that one frame may carry; known from WELCOME.
    """

    def __init__(self, events: SessionEvents) -> None:
        self._events = events
        self._loop = asyncio.get_running_loop()
        self._socket: Socket | None = None
        self._state = State.GREETING
        self._handlers: Mapping[int, Handler] = {}
        self._run_handler: RunHandler | None = None
        self._placing: Place | None = None
        self._welcome: asyncio.Future[Welcome] = self._loop.create_future()
        self._greeted: Welcome | None = None
        self._answers = Answers(self._send_request, self.drained)
        self._frames = OutgoingFrames(self._loop, self._write)
        self._drained: asyncio.Future[None] | None = None
        self.clock = GatewayClock()
        self.now_ns = self.clock.now_ns
        beat, probed = events.beating, events.probed
        self._heartbeat = Heartbeat(
            self._loop.call_later, self._ask, self.send, self._heard, self._give_up, beat, probed, self.clock
        )
        self._reading = True
        self._progress = TcpProgress()
        self._last_error: Error | None = None
        self._hello_ns = 0
        self.draining = False
        self._farewell: GoAway | None = None
        """Time and place of the next connection, as the gateway has named them."""
        self.chunk_bytes = self.frame_bytes = MIN_CHUNK_BYTES
        self.chunk_sizes = ChunkSizes()

    # Opening.

    async def greet(self, socket: Socket, hello: Hello) -> None:
        """Send HELLO and wait for WELCOME.

        Raises:
            ConnectionClosed: the gateway refused the client, and would refuse it again.
            ConnectionFailed: the gateway refused the client for now, or the connection was lost.
        """
        self._socket = socket
        self._hello_ns = self.clock.local_ns()
        self.send_session(hello)
        await self._welcome

    @property
    def welcome(self) -> Welcome:
        """The gateway's answer to HELLO; available once :meth:`greet` has returned."""
        assert self._greeted is not None
        return self._greeted

    @property
    def open(self) -> bool:
        """Whether frames can be sent: no side has closed yet."""
        return self._state is not State.CLOSED and self._socket is not None and self._socket.open

    # Sending.

    @property
    def unsent_bytes(self) -> int:
        """Bytes that were written and have not left this process."""
        return 0 if self._socket is None else self._socket.unsent_bytes + self._frames.waiting_bytes

    def congested(self) -> bool:
        """Return whether more is unsent than the high water mark."""
        return self._socket is not None and self._socket.write_paused

    def send(self, buffers: Sequence[Buffer], *, may_wait: bool = False) -> int:
        """Send complete frames as one WebSocket message; drop them if the session is over.

        Args:
            buffers: flat views of bytes, padded; may be reused when this method returns, unless corked.
            may_wait: see :meth:`~gateway.client.session.outgoing_frames.OutgoingFrames.send`.

        Returns:
            The bytes of all frames together.
        """
        return self._frames.send(buffers, may_wait=may_wait)

    def send_each(self, frames: Iterable[Buffer]) -> None:
        """Send complete frames, one in each buffer, in as few WebSocket messages as hold them."""
        self._frames.send_each(frames)

    def send_session(self, message: SessionMessage) -> None:
        """Send a message with a JSON body."""
        self.send((write_session(message),))

    def cork(self) -> None:
        """Collect sent frames until :meth:`uncork`, which must be called before the loop goes on."""
        self._frames.cork()

    def uncork(self) -> None:
        """Send the collected frames, in as few WebSocket messages as possible."""
        self._frames.uncork()

    def collect(self) -> None:
        """See :meth:`~gateway.client.session.outgoing_frames.OutgoingFrames.collect`."""
        self._frames.collect()

    def _write(self, buffers: Sequence[Buffer], size: int) -> None:
        if self._socket is not None:
            self._socket.send(buffers, size)

    async def drained(self) -> None:
        """Wait until there is room to write.

        Raises:
            ConnectionFailed: the session has ended.
        """
        while self.open and self.congested():
            if self._drained is None:
                self._drained = self._loop.create_future()
            await asyncio.shield(self._drained)
        if not self.open:
            raise ConnectionFailed("the connection was lost")

    async def ask(self, request: Callable[[int], Asked], answered: Callable[[Answer], object] | None = None) -> Answer:
        """Send a request, wait for its answer and return it; see :meth:`gateway.client.session.answers.Answers.ask`."""
        return await self._answers.ask(request, answered)

    def _send_request(self, request: SessionMessage) -> None:
        if not self.open:
            raise ConnectionFailed("the connection was lost")
        if len(frame := write_session(request)) > self.request_bytes:  # it would be refused, or end the connection
            raise RequestRefused(Code.MESSAGE_TOO_BIG, f"a request has {len(frame)} bytes: {self.request_bytes} fit")
        self.send((frame,))

    @property
    def request_bytes(self) -> int:
        """The largest frame of a request that the gateway takes; known from WELCOME."""
        return min(self.frame_bytes, MAX_BODY_BYTES)

    def read(self, reading: bool, /) -> None:
        """Read from the socket, or leave incoming bytes to the operating system."""
        self._reading = reading
        if self._socket is not None and reading:
            self._socket.received = True  # the client itself caused the silence so far
            self._socket.resume_reading()
        elif self._socket is not None:
            self._socket.pause_reading()

    # Ending.

    def close(self, code: int = Code.NORMAL, reason: str = "") -> None:
        """Send the bytes that wait, then a close frame."""
        self._frames.flush()
        if self._socket is not None:
            self._socket.close(code, reason)

    def abort(self, reason: str, code: int = ABNORMAL) -> None:
        """End the connection at once, so that the client opens another."""
        if self._socket is not None:
            self._socket.abort(Lost(code, reason))

    async def wait_closed(self, timeout_s: float) -> int:
        """Wait until the connection is gone; cut it off after ``timeout_s``, and return the bytes that were cut off."""
        return 0 if self._socket is None else await self._socket.wait_closed(timeout_s)

    def socket_lost(self, lost: Lost) -> None:
        """End the session: fail open requests and tell the client."""
        self._state = advance(Role.SERVER, self._state, Event.CLOSE)
        self._heartbeat.stop()
        if self._last_error is not None and self._last_error.code == lost.code:
            # Says more than a close frame has room for.
            lost = Lost(lost.code, self._last_error.message, self._last_error.retry_after_s)
        elif lost.retry_after_s is None and self._farewell is not None:
            lost = lost._replace(retry_after_s=self._farewell.reconnect_after_s)
        if self._farewell is not None:
            lost = lost._replace(address=self._farewell.address)
        self._answers.fail(ConnectionFailed(f"the connection was lost before the answer came ({lost.reason})"))
        self._release_writers()
        if self._welcome.done():
            self._events.session_lost(self, lost)
        else:
            self._welcome.set_exception(refusal(lost))
            self._welcome.exception()  # the opener may have given up: then no caller retrieves the exception

    # Receiving.

    def message_received(self, message: memoryview) -> None:
        """Split a WebSocket message into frames and runs, and hand each to its handler."""
        if self._state is State.CLOSED:  # by a violation: later frames are ignored
            return
        try:
            only = only_frame(message)
            for part in iter_runs(message) if only is None else (only,):
                try:
                    if isinstance(part, FrameRun):
                        self._run_received(part)
                    elif (handler := self._handlers.get(part.opcode)) is not None:
                        handler(message, part)
                    else:
                        self._frame_received(message, part)
                except RequestRefused as error:
                    self._events.reported(error)
        except ProtocolViolation as error:
            self.close(error.code, error.message)
            self._state = advance(Role.CLIENT, self._state, Event.CLOSE)

    def place(self, beginning: memoryview, size: int) -> Placement | None:
        """Return the memory for the end of a large WebSocket message, if its receiver is known."""
        return None if self._placing is None or self._state is State.CLOSED else self._placing(beginning, size)

    def _run_received(self, run: FrameRun) -> None:
        if self._run_handler is not None:
            self._run_handler(run)
        else:
            self._frame_received(run.message, next(run.frames()))

    def _frame_received(self, message: memoryview, frame: Frame) -> None:
        """Handle frames of the session itself, and frames that have no handler."""
        self._state = advance(Role.SERVER, self._state, frame.opcode)
        if frame.opcode in JSON_OPCODES:
            self._session_received(parse_session(frame.opcode, body_of(message, frame)))
        elif frame.opcode == Opcode.PING:
            self._heartbeat.ping_received(Ping.parse(message, frame), self.clock.local_ns())
        elif frame.opcode == Opcode.PONG:
            self._heartbeat.pong_received(Pong.parse(message, frame), self.clock.local_ns())

    def _session_received(self, message: SessionMessage) -> None:
        if isinstance(message, Error):
            self._error_received(message)
        elif isinstance(message, Answer):
            self._answers.received(message)
        elif isinstance(message, Welcome):
            self._welcomed(message)
        elif isinstance(message, GoAway):
            self.draining = True
            self._farewell = message
            logger.info("the gateway goes away within %.0f s: %s", message.deadline_s, message.reason)

    def _error_received(self, error: Error) -> None:
        if error.code < 5000:
            self._last_error = error  # the close frame follows
            return
        if not self._answers.refused(error):
            self._events.refused(error)

    def _welcomed(self, welcome: Welcome) -> None:
        if self._welcome.cancelled():  # the opener has given up
            return
        arrived_ns = self.clock.local_ns()
        self.frame_bytes = welcome.limits.max_frame_bytes - FRAME_ROOM_BYTES
        self._frames.max_bytes = min(CORKED_BYTES, self.frame_bytes)
        self.chunk_bytes = self.chunk_sizes.agree(welcome.limits.chunk_bytes, self.frame_bytes)
        # HELLO and WELCOME are a first, rough exchange of clocks, which better pings soon replace.
        self.clock.receive(Pong(self._hello_ns, welcome.time_ns, welcome.time_ns), arrived_ns)
        self._greeted = welcome
        try:
            self._handlers, self._run_handler, self._placing = self._events.welcomed(self)
        except Exception as error:
            # A boundary: the attempt to connect has failed, and the next may succeed.
            logger.warning("the connection could not be used", exc_info=error)
            failure = ConnectionFailed(f"the connection could not be used: {type(error).__name__}: {error}")
            self._welcome.set_exception(failure)
            self.abort(str(failure))
        else:
            self._welcome.set_result(welcome)
            self._heartbeat.start(welcome.heartbeat_interval_s)

    def _heard(self) -> bool:
        """Return whether there was a sign of life since the last call, or none could be seen.

        It is one that the other side takes bytes which stand before a PING.
        """
        socket = self._socket
        if socket is None or not self._reading:
            return True
        heard, socket.received = socket.received, False
        return self._progress.made(socket.tcp) or heard

    def _ask(self, buffers: Sequence[Buffer]) -> None:
        """Send a PING."""
        self.send(buffers)
        socket = self._socket
        if socket is not None:
            self._progress.asked(socket.tcp, socket.unsent_bytes)

    def _give_up(self, silent_s: float) -> None:
        self.abort(f"nothing was received for {silent_s:.0f} s", Code.HEARTBEAT_TIMEOUT)

    # Backpressure.

    def writing_paused(self) -> None:
        """Do nothing: writers ask :meth:`congested`."""

    def writing_resumed(self) -> None:
        """Wake the writers that wait in :meth:`drained`, and tell the client."""
        self._release_writers()
        self._events.writing_resumed()

    def _release_writers(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None
