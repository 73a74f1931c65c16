"""The large messages that are not whole yet: those under way, and those that wait for their producer to come back.

Knows how much they hold and how long nothing has come of them (spec section 6.6); not what is done about it.
"""

from __future__ import annotations

from gateway.connections.ports import Clock
from gateway.connections.session import Inbound
from gateway.errors import Code, RequestRefused
from gateway.ids import ClientId
from gateway.streams.producers import Window


class Unfinished:
    """Large messages on their way in, of all connections.

    Args:
        clock: for the time since their last chunk.
        max_bytes: what those of one client may be together; one alone may be larger.
        timeout_s: how long one may stand still.
    """

    def __init__(self, clock: Clock, max_bytes: int, timeout_s: float) -> None:
        self._clock = clock
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._all: dict[Inbound, None] = {}
        self._bytes: dict[ClientId, int] = {}
        self._by_window: dict[Window, Inbound] = {}

    def __len__(self) -> int:
        return len(self._all)

    def of(self, window: Window) -> Inbound | None:
        """The large message of a producer to a stream, of which there is one at a time."""
        return self._by_window.get(window)

    def make_room(self, client_id: ClientId, size: int) -> list[Inbound]:
        """What has to be given up of what a client has left behind, the oldest first, so that ``size`` more bytes fit.

        Raises:
            RequestRefused: ``LIMIT_EXCEEDED``, if what is under way leaves no room.
        """
        held_bytes = self._bytes.get(client_id, 0)
        if not held_bytes or held_bytes + size <= self._max_bytes:
            return []
        given_up = []
        for inbound in self._all:
            if inbound.client_id == client_id and inbound.session is None:
                given_up.append(inbound)
                held_bytes -= inbound.message.plan.payload_bytes
                if not held_bytes or held_bytes + size <= self._max_bytes:
                    return given_up
        raise RequestRefused(
            Code.LIMIT_EXCEEDED,
            f"{held_bytes} bytes of {client_id} are under way; with {size} more they exceed "
            f"max_unfinished_bytes={self._max_bytes}: finish some first",
        )

    def add(self, inbound: Inbound) -> None:
        """A large message has begun."""
        self.touch(inbound)
        self._all[inbound] = None
        client_id = inbound.client_id
        self._bytes[client_id] = self._bytes.get(client_id, 0) + inbound.message.plan.payload_bytes
        if inbound.window is not None:
            self._by_window[inbound.window] = inbound

    def remove(self, inbound: Inbound) -> None:
        """It is whole, or given up."""
        del self._all[inbound]
        left = self._bytes.pop(inbound.client_id) - inbound.message.plan.payload_bytes
        if left:
            self._bytes[inbound.client_id] = left
        if inbound.window is not None:
            del self._by_window[inbound.window]

    def touch(self, inbound: Inbound) -> None:
        """Something has come of it."""
        inbound.moved_s = self._clock.monotonic_s()

    def overdue(self) -> list[Inbound]:
        """Those of which nothing has come for too long, but for what the gateway itself does not read."""
        since_s = self._clock.monotonic_s() - self._timeout_s
        found = []
        for inbound in self._all:
            if inbound.session is not None and inbound.session.connection.reading_paused:
                self.touch(inbound)
            elif inbound.moved_s <= since_s:
                found.append(inbound)
        return found
