"""Heartbeat: finds connections whose peer is silent (spec section 9), by one sweep over all of them."""

from __future__ import annotations

from gateway.connections.sessions.pool import Pool
from gateway.errors import Code, ProtocolViolation
from gateway.protocol.state import State

SWEEPS_PER_INTERVAL = 2
PROBE_AFTER_SWEEPS = 2
"""After one silent interval the transport sends a WebSocket ping, so that a browser or wscat, which sends nothing
by itself, stays open."""
CLOSE_AFTER_SWEEPS = 5
"""Two and a half intervals (spec section 9)."""


class Heartbeat:
    """Sweep over all connections, twice an interval.

    Args:
        pool: the connections.
        interval_s: time between two pings of a client.
        hello_timeout_s: time within which a connection must send HELLO.
    """

    def __init__(self, pool: Pool, interval_s: float, hello_timeout_s: float) -> None:
        self._pool = pool
        self.sweep_interval_s = min(interval_s, hello_timeout_s) / SWEEPS_PER_INTERVAL
        self._greeting_sweeps = max(1, round(hello_timeout_s / self.sweep_interval_s))
        self._sweeps_per_heartbeat_sweep = max(1, round(interval_s / SWEEPS_PER_INTERVAL / self.sweep_interval_s))

    def sweep(self) -> None:
        """Close silent connections and probe doubtful ones; to be called every :attr:`sweep_interval_s`."""
        for session in self._pool:
            if session.state is State.GREETING:
                session.silent_sweeps += 1
                if session.silent_sweeps > self._greeting_sweeps:
                    session.fail(ProtocolViolation(Code.HANDSHAKE_TIMEOUT, "no HELLO in time"))
                continue
            if session.heard:
                session.heard = False
                session.silent_sweeps = 0
                continue
            session.silent_sweeps += 1
            silent, rest = divmod(session.silent_sweeps, self._sweeps_per_heartbeat_sweep)
            if silent >= CLOSE_AFTER_SWEEPS:
                problem = "nothing was received for 2.5 heartbeat intervals"
                session.fail(ProtocolViolation(Code.HEARTBEAT_TIMEOUT, problem))
            elif silent >= PROBE_AFTER_SWEEPS and not rest:
                session.connection.transport.ping()
