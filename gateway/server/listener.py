"""Listener: accepts WebSockets for the core, and stops gracefully."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from http import HTTPStatus

from gateway.connections.core import Core
from gateway.connections.draining import TELLING_PART
from gateway.connections.outbound.formats import BinaryFormat, Format
from gateway.connections.sessions.session import Session
from gateway.connections.sweeps import Sweep
from gateway.connections.text.renderer import TextRenderer
from gateway.connections.text.session import TextSession
from gateway.errors import Code
from gateway.protocol.wire import SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON, Buffer
from gateway.server.descriptors import DescriptorReserve, descriptor_limit
from gateway.server.door import Door, http_answer
from gateway.server.endpoint import AcceptedSocket
from gateway.server.loop import sleep
from gateway.server.loop_lag import watch_loop
from gateway.server.receivers import Receivers
from gateway.server.stopping import stop_times
from gateway.server.taken_over import TakenOverConnection
from gateway.server.websocket import WebSocketConnection
from gateway.server.write_limits import FIRST, bound_unsent
from gateway.websocket.headers import binary_header, text_header
from gateway.websocket.read_memory import ReadMemory

logger = logging.getLogger(__name__)

BACKLOG = 4096
DRAIN_POLL_S = 0.02
CLOSED_A_TURN = 16
"""Sockets that are closed in one turn because their peers send no more: some hundred microseconds. A program that ends
has thousands of them closed at the same time."""
MAX_HALF_OPEN = 8192
"""Accepted sockets that have not asked for a WebSocket: beyond them the oldest is dropped."""
WATCH_INTERVAL_S = 1.0
"""Longest interval at which late handshakes are dropped, and the clock follows the machine's."""
FAILED_PAUSE_S = 1.0
"""Pause behind recurring work that has failed: then it is tried again."""


class Listener:
    """Sockets of the server; the :class:`~gateway.server.endpoint.Endpoint` of all its WebSockets.

    Args:
        core: takes in the connections.

    Attributes:
        addresses: addresses, of numbers, that the returned port is bound to.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._renderer = TextRenderer(text_header, core.pool, core.settings.limits.max_frame_bytes)
        self._binary: Format = BinaryFormat(SUBPROTOCOL_BINARY, binary_header)
        self._binary_receivers = Receivers(core.dispatcher.receive, _refuse_text)
        self._server: asyncio.Server | None = None
        self.addresses: Sequence[str] = ()
        self._recurring: list[asyncio.Task[None]] = []
        self._open: set[AcceptedSocket] = set()
        self._all_closed = asyncio.Event()
        self._all_closed.set()
        # The first of a dict is found behind all that were first before.
        self._handshaking: OrderedDict[AcceptedSocket, float] = OrderedDict()
        """Sockets that have not asked for a WebSocket yet, and do not wait for their turn to ask, by the time since
        which that is so; oldest first."""
        self._ended: deque[AcceptedSocket] = deque()
        """Sockets whose peers send no more."""
        self._lost: deque[Session] = deque()
        """Sessions whose sockets are gone, and that are to be disconnected."""
        self._reserve = DescriptorReserve(descriptor_limit())
        self.door = Door(core.admission, core.clock)
        self.read_memory = ReadMemory()
        self.max_frame_bytes = core.settings.limits.max_frame_bytes
        self.slices = core.slices
        self.input_budget = core.input_budget
        self.ponged = core.heartbeat.answered

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port, which the system chooses if ``port`` is 0.

        Raises:
            OSError: the address cannot be bound.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: WebSocketConnection(self, loop), host, port, backlog=BACKLOG, reuse_address=True
        )
        for listening in self._server.sockets:
            bound_unsent(listening, FIRST.unsent_bytes)  # those that are accepted inherit it
        pause_s = min(WATCH_INTERVAL_S, self._core.settings.hello_timeout_s / 2)
        sweeps = Sweep(lambda: pause_s, self.watch), *self._core.sweeps
        work = [watch_loop(self._core.overload.loop_lag.observe), *[repeat(sweep) for sweep in sweeps]]
        self._recurring = [loop.create_task(each) for each in work]
        bound = [listening.getsockname()[:2] for listening in self._server.sockets]
        port = int(bound[0][1])
        # The system chooses another port for each of several addresses.
        self.addresses = [str(address) for address, number in bound if number == port]
        return port

    def take_over(self, transport: asyncio.Transport, data: bytes) -> None:
        """Take a socket that another server has accepted, as if it had come to the listener's own port.

        Args:
            transport: transport of the socket, which is not read now, and whose writing is not paused.
            data: all bytes of its client so far.
        """
        TakenOverConnection(self, asyncio.get_running_loop()).take_over(transport, data)

    async def stop(self, reason: str, deadline_s: float) -> None:
        """Stop gracefully: accept no connection, send GO_AWAY, deliver queued messages, close.

        Args:
            reason: told to clients.
            deadline_s: time that clients are told; all connections are closed a little earlier.
        """
        if self._server is None:
            return
        loop = asyncio.get_running_loop()
        times = stop_times(loop.time(), deadline_s)
        told = self._core.go_away(reason, deadline_s, TELLING_PART * (times.drained_s - loop.time()))
        try:
            async with asyncio.timeout_at(times.drained_s):
                # A poll, because transports do not tell when they are empty.
                while told.go_on() or not self._core.drained:  # noqa: ASYNC110
                    await asyncio.sleep(0 if told.overdue else DRAIN_POLL_S)
        except TimeoutError:
            if not self._core.drained:  # otherwise some clients are told that the gateway stops as they are closed
                logger.warning(
                    "the drain deadline of %g s is near: messages that are still queued for clients are lost"
                    " (raise drain_deadline_s to wait longer)",
                    deadline_s,
                )
        self._server.close()
        for websocket in list(self._handshaking):
            websocket.abort()
        # Half of the time is for the answers to the close.
        closed = self._core.close_all(Code.GOING_AWAY, reason, (times.closed_s - loop.time()) / 2)
        while closed.go_on():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0 if closed.overdue else DRAIN_POLL_S)
        try:
            async with asyncio.timeout_at(times.closed_s):
                await self._all_closed.wait()
        except TimeoutError:
            for websocket in list(self._open):
                websocket.abort()
        while self._lost:
            self._disconnect_lost()
        for task in self._recurring:
            task.cancel()
        await asyncio.gather(*self._recurring, return_exceptions=True)

    # Called by the WebSockets: the Endpoint.

    def accepted(self, websocket: AcceptedSocket) -> None:
        """Note an accepted socket, whose handshake is to come; refuse it if file descriptors run short."""
        self._open.add(websocket)
        self._all_closed.clear()
        if self._server is not None and not self._server.is_serving():
            websocket.abort()  # the loop had accepted it before the stop, and tells of it now
            return
        if not self._reserve.admits(websocket.descriptor()):
            self._refuse_socket(websocket)
            return
        if not self.door.enters(websocket, websocket.peer_address()):
            websocket.abort()
            return
        self._handshaking[websocket] = self._core.clock.monotonic_s()
        if len(self._handshaking) > MAX_HALF_OPEN:
            # A client asks for its WebSocket at once: the one that has been silent for longest is the least likely to.
            self._drop_oldest()

    def waits(self, websocket: AcceptedSocket) -> None:
        """Note that a socket has sent something of its handshake, which waits for its turn until :meth:`goes_on`."""
        self._handshaking.pop(websocket, None)
        self._core.admission.waiting += 1

    def goes_on(self, websocket: AcceptedSocket) -> None:
        """Note that it is the turn of a socket that has waited; it may be gone."""
        self._core.admission.waiting -= 1
        if websocket in self._open:
            self._handshaking[websocket] = self._core.clock.monotonic_s()

    def opened(self, websocket: AcceptedSocket, subprotocol: str) -> tuple[Session, Receivers]:
        """Connect a socket whose handshake is done; return its session and the receivers of its messages."""
        self._handshaking.pop(websocket, None)
        if subprotocol != SUBPROTOCOL_JSON:
            return self._core.connect(websocket, self._binary), self._binary_receivers
        core = self._core
        form = TextSession(self._renderer, core.dispatcher, core.clock, core.settings.limits)
        return core.connect(websocket, form), Receivers(_refuse_binary, form.receive)

    def ended(self, websocket: AcceptedSocket) -> None:
        """Close a socket whose peer sends no more, a few of them in each turn."""
        if not self._ended:
            self._core.clock.call_soon(self._close_ended)
        self._ended.append(websocket)

    def closed(self, websocket: AcceptedSocket, session: Session | None) -> None:
        """Forget a socket that is gone, and disconnect its session if it had one."""
        self._open.discard(websocket)
        if not self._open:
            self._all_closed.set()
        self._handshaking.pop(websocket, None)
        self.door.left(websocket)
        if session is not None:
            # Thousands of connections may be lost in one turn, and others have messages to send.
            self._lost.append(session)
            self.slices.begin(self._disconnect_lost)

    def _disconnect_lost(self) -> bool:
        """Disconnect the next session whose socket is gone."""
        if not self._lost:
            return False
        session = self._lost.popleft()
        if self._lost:
            # Before: the others are disconnected also behind one that fails.
            self.slices.add(self._disconnect_lost)
        self._core.disconnect(session)
        return False

    def _close_ended(self) -> None:
        try:
            for _ in range(min(CLOSED_A_TURN, len(self._ended))):
                self._ended.popleft().end()
        finally:
            # Also behind a socket that fails: nobody else closes those that wait.
            if self._ended:
                self._core.clock.call_soon(self._close_ended)

    def _refuse_socket(self, websocket: AcceptedSocket) -> None:
        problem = "the gateway is short of file descriptors: try again later\n"
        websocket.refuse(http_answer(HTTPStatus.SERVICE_UNAVAILABLE, problem))
        self._core.refused_sockets = self._reserve.refused
        line = self._reserve.report(self._core.clock.monotonic_s())
        if line is not None:
            logger.error(line)

    def watch(self) -> Iterator[None]:
        """Have the clock follow the machine's, and drop late handshakes, a few of them in each turn."""
        self._core.clock.follow()
        latest_s = self._core.clock.monotonic_s() - self._core.settings.hello_timeout_s
        dropped = 0
        while self._handshaking and next(iter(self._handshaking.values())) <= latest_s:
            self._drop_oldest()
            dropped += 1
            if not dropped % CLOSED_A_TURN:
                yield

    def _drop_oldest(self) -> None:
        websocket, _ = self._handshaking.popitem(last=False)
        websocket.abort()


async def repeat(sweep: Sweep) -> None:
    """Do work that recurs until cancelled; work that fails is tried again."""
    while True:
        try:
            await sleep(sweep.pause_s())
            for _ in sweep.work() or ():
                await asyncio.sleep(0)
        except Exception:
            # Nobody else closes silent clients, takes measures against overload, or trims histories.
            logger.exception("work that recurs has failed; it is tried again in %g s", FAILED_PAUSE_S)
            await asyncio.sleep(FAILED_PAUSE_S)


async def check_port(host: str, port: int) -> None:
    """Find out whether a port can be bound, on all addresses of the host, and accept nothing.

    Raises:
        OSError: it cannot.
    """
    loop = asyncio.get_running_loop()
    # As create_server does: an empty name is that of all addresses.
    for family, _, _, _, address in await loop.getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    ):
        socket.create_server(address, family=family).close()


def _refuse_binary(session: Session, data: Buffer) -> None:
    session.connection.close(Code.UNSUPPORTED_DATA, f"{SUBPROTOCOL_JSON} takes text messages")


def _refuse_text(session: Session, data: Buffer) -> None:
    session.connection.close(Code.UNSUPPORTED_DATA, f"{SUBPROTOCOL_BINARY} takes binary messages")
