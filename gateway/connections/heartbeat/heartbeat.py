"""Heartbeat: asks connections for signs of life, measures their round trips, and closes silent ones (spec section 9).

The gateway pings by WebSocket pings: the network layer of a browser answers them, also for a page whose timers are
throttled, and every WebSocket library does, whatever its subprotocol. A look at a connection costs 1 us, a ping and its
answer 20 us; only connections that are due are looked at.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Callable, Collection, Iterator
from typing import Final

from gateway.connections.heartbeat.deaf_watch import DeafWatch
from gateway.connections.heartbeat.outflow_watch import OutflowWatch
from gateway.connections.heartbeat.pace import CALM, HeartbeatSettings, calm_after, less_calm, ping_interval_s
from gateway.connections.heartbeat.stats import HeartbeatStats
from gateway.connections.heartbeat.timer_wheel import TimerWheel
from gateway.connections.heartbeat.vanish_watch import VanishWatch
from gateway.connections.ports import Clock
from gateway.connections.sessions.pool import Pool
from gateway.connections.sessions.session import Session
from gateway.errors import Code, ProtocolViolation
from gateway.ids import PeerId
from gateway.protocol.messages import ClientType
from gateway.protocol.state import State

logger = logging.getLogger(__name__)

PATIENCE: Final = 2.5
"""Heartbeat intervals of silence after which a connection is closed (spec section 9)."""
ASK_AFTER: Final = 1.25
"""Heartbeat intervals of silence after which a client is asked: one that pings by itself has done so before."""
LOOKS: Final = 2
"""Looks at a connection in an interval, at least: so a silent one is closed within another half of it."""
FIRST_LOOK_S: Final = 5.0
"""Time within which a new connection is looked at, and its round trip measured once it has said HELLO."""

TICK_S: Final = 0.1
TICKS_A_TIME: Final = 16
"""Ticks in the shortest time of the settings, at least."""
SHORTEST_TICK_S: Final = 0.005
WHEEL_TICKS: Final = 1024
MAX_TICKS_A_SWEEP: Final = 5
"""Ticks that pass in one sweep, at most. One that comes later finds a gateway that was held up or suspended, and heard
nobody meanwhile."""
LOOKS_A_STEP: Final = 32
"""Looks after which the loop has a chance: half a millisecond if all of them ping."""
CLOSED_COST: Final = 8
"""Looks that take as long as closing a connection."""

_PAYLOAD = struct.Struct("!q")


class Heartbeat:
    """Looks at all connections, each in its turn.

    Args:
        pool: the connections.
        clock: time.
        interval_s: time between two pings of a client.
        hello_timeout_s: time within which a connection must send HELLO.
        settings: bounds on the time between two pings of the gateway.
        lost: called with a session whose client is given up: its transport may wait long for an answer to the close.

    Attributes:
        awaited: connections whose clients others wait for: they are asked as often as the settings allow.
        tick: number of ticks that have passed; none pass while the gateway is held up.
        tick_s: length of a tick, and time between two sweeps.
    """

    def __init__(
        self,
        pool: Pool,
        clock: Clock,
        interval_s: float,
        hello_timeout_s: float,
        settings: HeartbeatSettings,
        lost: Callable[[Session], object],
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._lost = lost
        shortest_s = min(interval_s, hello_timeout_s, settings.min_ping_interval_s)
        self.tick_s = max(min(TICK_S, shortest_s / TICKS_A_TIME), SHORTEST_TICK_S)
        self._patience = round(PATIENCE * interval_s / self.tick_s)
        self._ask_after = round(ASK_AFTER * interval_s / self.tick_s)
        self._greeting = round(hello_timeout_s / self.tick_s) + 1
        self._longest_look = max(1, min(round(interval_s / LOOKS / self.tick_s), WHEEL_TICKS - 1))
        self._first_look = min(round(FIRST_LOOK_S / self.tick_s), self._longest_look, self._greeting)
        self._intervals = {
            (client_type, calm): max(1, round(ping_interval_s(client_type, calm, interval_s, settings) / self.tick_s))
            for client_type in ClientType
            for calm in CALM
        }
        """Most ticks between two pings of one connection, by type and calm."""
        self.awaited: Collection[PeerId] = frozenset()
        self._awaited_interval = max(1, round(min(interval_s, settings.min_ping_interval_s) / self.tick_s))
        self._vanished = VanishWatch(round(PATIENCE * self._awaited_interval))
        self._deaf = DeafWatch(self._patience)
        self._outflow = OutflowWatch()
        self._wheel: TimerWheel[PeerId] = TimerWheel(WHEEL_TICKS)
        self.tick = 0
        self._pings = self._silent = self._deaf_ones = self._vanished_ones = 0
        self._swept_s = clock.monotonic_s()
        self._swept_ns = self._woken_ns = clock.time_ns()
        """Times of the last sweep, and of the last one that came very late."""
        self._due_s = 0.0
        """Time that has passed and is not of a tick yet."""
        self._askers: dict[PeerId, list[Callable[[float], object]]] = {}
        """Callbacks that wait for the answers of some connections."""

    def __len__(self) -> int:
        """Return the number of connections that are still to be looked at, with those that are gone since."""
        return len(self._wheel)

    def stats(self) -> HeartbeatStats:
        """Return the numbers of now."""
        return HeartbeatStats(self._pings, self._silent, self._deaf_ones, self._vanished_ones)

    def add(self, session: Session) -> None:
        """Look at a new connection from now on."""
        session.alive_tick = self.tick
        self._wheel.add(session.peer.id, 1, self._first_look)

    def ask(self, session: Session, answered: Callable[[float], object]) -> None:
        """Ping a client now, and tell the round trip in seconds; nothing is told if no answer comes.

        With a ping under way its answer is told: a second one would only stand behind it.
        """
        self._askers.setdefault(session.peer.id, []).append(answered)
        if not session.asked_ns:
            self._ask(session)

    def withdraw(self, session: Session, answered: Callable[[float], object]) -> None:
        """Tell a callback of :meth:`ask` nothing any more."""
        waiting = [each for each in self._askers.pop(session.peer.id, ()) if each != answered]
        if waiting:
            self._askers[session.peer.id] = waiting

    def sweep(self) -> Iterator[None]:
        """Look at the connections that are due; to be called every :attr:`tick_s`. Yields now and then, for the loop.

        A sweep that comes very late lets less time pass: the gateway has heard nobody meanwhile.
        """
        now_s = self._clock.monotonic_s()
        self._due_s += min(now_s - self._swept_s, MAX_TICKS_A_SWEEP * self.tick_s)
        self._swept_s = now_s
        if self._is_held_up(now_ns := self._clock.time_ns()):
            self._woken_ns = now_ns
        self._swept_ns = now_ns
        looks = 0
        while self._due_s >= self.tick_s:
            self._due_s -= self.tick_s
            self.tick += 1
            for peer in self._wheel.turn():
                session = self._pool.get(peer)
                if session is None or session.connection.closed:
                    self._forget(peer)
                else:
                    try:
                        self._look(session)
                    except Exception:
                        # One connection must not cost the others their look, nor its own next one.
                        logger.exception("the look at %s failed", session.peer.client_id or "a new client")
                        self._wheel.add(peer, 1, self._longest_look)
                    looks += CLOSED_COST * session.connection.closed
                looks += 1
                if looks >= LOOKS_A_STEP:
                    looks = 0
                    yield

    def answered(self, session: Session, payload: bytes) -> None:
        """Take the answer of a client's transport to a ping; one that answers none of the gateway's is ignored.

        The round trip is the time from writing the ping to handling its answer. It contains what the systems of both
        sides have queued, and delays of the gateway's own loop. A ping that had bytes of the gateway's own in front of
        it measures none, nor does one during which the gateway was held up, or its machine suspended.
        """
        asked_ns = session.asked_ns
        if not asked_ns or payload != _PAYLOAD.pack(asked_ns):
            return
        session.asked_ns = 0
        now_ns = self._clock.time_ns()
        for tell in self._askers.pop(session.peer.id, ()):
            tell((now_ns - abs(asked_ns)) / 1e9)
        if asked_ns > self._woken_ns and not self._is_held_up(now_ns):
            connection = session.connection
            round_trip_ns = now_ns - asked_ns
            session.calm = calm_after(session.calm, round_trip_ns / 1e9, connection.round_trip)
            connection.sample_round_trip(round_trip_ns)

    def _is_held_up(self, now_ns: int) -> bool:
        """Return whether the next sweep is very late."""
        return now_ns - self._swept_ns > MAX_TICKS_A_SWEEP * self.tick_s * 1e9

    def _look(self, session: Session) -> None:
        """Look at a connection: close it, ask it, or leave it alone, and look again later."""
        tick = self.tick
        if session.state is State.GREETING:
            left = self._greeting - (tick - session.alive_tick)
            if left <= 0 and session.pending is not None:
                left = 1  # its HELLO has come, and waits for its turn
            if left <= 0:
                session.fail(ProtocolViolation(Code.HANDSHAKE_TIMEOUT, "no HELLO in time"))
            else:
                latest = min(left, self._first_look)  # its HELLO may come at once
                self._wheel.add(session.peer.id, (latest + 1) // 2, latest)
            return
        if session.heard:
            session.heard = False
            session.alive_tick = tick
            self._outflow.forget(session.peer.id)
            self._vanished.forget(session.peer.id)
        elif _is_unheard(session) or (session.asked_ns and self._outflow.moves(session)):
            session.alive_tick = tick
        silent = tick - session.alive_tick
        if silent >= self._patience:
            self._silent += 1
            self._give_up(session, f"nothing was received for {PATIENCE} heartbeat intervals")
            return
        if self._deaf.is_deaf(session, tick):
            self._deaf_ones += 1
            self._give_up(session, f"PINGs that were read have not been answered for {PATIENCE} heartbeat intervals")
            return
        interval = self._intervals[session.peer.client_type, session.calm]
        awaited = session.peer.id in self.awaited
        if awaited:
            interval = min(interval, self._awaited_interval)
        next_look = min(self._longest_look, interval)
        if session.asked_ns:
            session.calm = less_calm(session.calm)
            vanishes_in = self._vanished.ticks_left(session, tick) if awaited else None
            if vanishes_in == 0:
                self._vanished_ones += 1
                self._give_up(session, "its system acknowledges nothing any more, and others wait for it")
                return
            if vanishes_in is not None:
                next_look = min(next_look, vanishes_in)
        elif (
            silent >= self._ask_after
            or tick + next_look > session.asked_tick + interval
            or self._deaf.wants_ping(session)
        ):
            self._ask(session)
            if awaited:
                self._vanished.asked(session, tick)
        latest = min(next_look, self._patience - silent)
        self._wheel.add(session.peer.id, (latest + 1) // 2, latest)

    def _ask(self, session: Session) -> None:
        self._pings += 1
        transport = session.connection.transport
        now_ns = self._clock.time_ns()
        session.asked_tick = self.tick
        session.asked_ns = -now_ns if transport.waiting_bytes() else now_ns
        transport.ping(_PAYLOAD.pack(session.asked_ns))
        self._deaf.asked(session)

    def _give_up(self, session: Session, problem: str) -> None:
        session.fail(ProtocolViolation(Code.HEARTBEAT_TIMEOUT, problem))
        self._forget(session.peer.id)
        self._lost(session)

    def _forget(self, peer: PeerId) -> None:
        self._askers.pop(peer, None)
        self._deaf.forget(peer)
        self._outflow.forget(peer)
        self._vanished.forget(peer)


def _is_unheard(session: Session) -> bool:
    """Return whether the gateway reads nothing from a client for a reason of its own: e.g. its store is behind."""
    connection = session.connection
    return not connection.paused and connection.reading.held_but_for(connection, session.pending)
