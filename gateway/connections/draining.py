"""Draining: clients are told that the gateway closes, and closed, one after the other, so that they return one by one.

The schedule is pure: how many are due follows from the time that has passed.
"""

from __future__ import annotations

import logging
import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from gateway.connections.ports import Clock
from gateway.connections.sessions.session import Session
from gateway.errors import Code
from gateway.protocol.messages import GoAway
from gateway.protocol.state import Role, State, advance
from gateway.protocol.wire import Opcode

logger = logging.getLogger(__name__)

CLIENTS_PER_S: Final = 1000.0
"""Clients that are told, or closed, in a second, if the time is long enough for all of them."""

TELLING_PART: Final = 0.3
"""Part of the time for delivery in which all clients are told, at the latest."""

RETURNS_PER_S: Final = 500.0
"""Clients in a second that are to connect again, to this gateway's successor or to another one."""

TOLD_TOGETHER: Final = 64
"""Clients that are told, or closed, in one turn of the loop at most, some milliseconds, if there is a time for all."""


def spread_s(count: int, longest_s: float) -> float:
    """Return the time over which so many clients are spread.

    Args:
        count: number of clients.
        longest_s: longest time that there is.
    """
    return min(count / CLIENTS_PER_S, max(longest_s, 0.0))


def due(count: int, elapsed_s: float, seconds: float) -> int:
    """Return how many of ``count`` clients are due when ``elapsed_s`` of ``seconds`` have passed; at last all are."""
    return count if elapsed_s >= seconds else min(count, 1 + int(count * elapsed_s / seconds))


class Round:
    """One round over all clients, spread over a time.

    Args:
        sessions: the clients, in their order.
        seconds: time of the round; 0: all are due at once.
        act: called with each client that is due.
        clock: measures the time of the round, which begins now.
    """

    def __init__(
        self, sessions: Iterable[Session], seconds: float, act: Callable[[Session], object], clock: Clock
    ) -> None:
        self._left = deque(sessions)
        self._count = len(self._left)
        self._seconds = seconds
        self._act = act
        self._clock = clock
        self._begun_s = clock.monotonic_s()

    @property
    def left(self) -> int:
        """Clients whose time has not come."""
        return len(self._left)

    @property
    def overdue(self) -> int:
        """Clients whose time has come, and that one turn had no time for: :meth:`go_on` is to be called in the next."""
        elapsed_s = self._clock.monotonic_s() - self._begun_s
        return due(self._count, elapsed_s, self._seconds) - (self._count - len(self._left))

    def go_on(self) -> bool:
        """Act on the clients that are due, in one turn not on very many; return whether others are left."""
        for _ in range(min(self.overdue, TOLD_TOGETHER) if self._seconds else len(self._left)):
            session = self._left.popleft()
            try:
                self._act(session)
            except Exception:
                # One client must not keep the others from being told, nor the gateway from stopping.
                logger.exception("%s could not be told that the gateway stops", session.peer.client_id or "a client")
        return bool(self._left)


def telling(
    sessions: Iterable[Session],
    reason: str,
    deadline_s: float,
    seconds: float,
    clock: Clock,
    draw: Callable[[], float] = random.random,
    address: str | None = None,
) -> Round:
    """Return the round in which all clients get GO_AWAY (spec section 3.3), in an order of chance.

    Args:
        sessions: all clients.
        reason: reason, for people.
        deadline_s: time from now within which all connections are closed.
        seconds: time of the round.
        clock: measures it.
        draw: returns random numbers from 0 up to 1.
        address: URL of the gateway to which the clients are to go; ``None``: they come back to this one.
    """
    shuffled = sorted(sessions, key=lambda _: draw())
    returning_s, ends_s = len(shuffled) / RETURNS_PER_S, clock.monotonic_s() + deadline_s

    def tell(session: Session) -> None:
        connection = session.connection
        if session.state is State.GREETING:
            connection.close(Code.GOING_AWAY, reason)
        elif session.state is State.OPEN:
            left_s = round(max(ends_s - clock.monotonic_s(), 0.0), 3)
            connection.send(GoAway(Code.GOING_AWAY, reason, left_s, round(draw() * returning_s, 3), address))
            session.state = advance(Role.SERVER, session.state, Opcode.GO_AWAY)

    return Round(shuffled, seconds, tell, clock)


def closing(sessions: Iterable[Session], code: int, reason: str, seconds: float, clock: Clock) -> Round:
    """Return the round in which all connections are closed.

    Until its turn nothing is read from a client: what it publishes would be acknowledged, and those who are closed
    before it do not get it.

    Args:
        sessions: all clients.
        code: close code.
        reason: reason, for people.
        seconds: time of the round.
        clock: measures it.
    """

    def close(session: Session) -> None:
        session.connection.close(code, reason)

    every = list(sessions)
    for session in every:
        session.connection.reading.hold(close)
    return Round(every, seconds, close, clock)
