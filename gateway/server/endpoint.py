"""Endpoint: the gateway as an accepted socket sees it, and the socket as the gateway sees it."""

from __future__ import annotations

from typing import Protocol

from gateway.connections.input_budget import InputBudget
from gateway.connections.ports import Transport
from gateway.connections.sessions.session import Session
from gateway.connections.slices import Slices
from gateway.server.door import Door
from gateway.server.receivers import Receivers
from gateway.websocket.read_memory import ReadMemory


class AcceptedSocket(Transport, Protocol):
    """Socket of a client, with or without a WebSocket on it."""

    def descriptor(self) -> int:
        """Return the number of the socket's file descriptor; -1 if there is none."""

    def refuse(self, answer: bytes) -> None:
        """Close the socket behind an HTTP answer, which stands in the place of a handshake."""

    def end(self) -> None:
        """Close the socket behind what waits for its peer, which sends no more."""

    def abort(self) -> None:
        """Drop the socket at once, with everything that waits for its peer."""


class Endpoint(Protocol):
    """The gateway, as a WebSocket sees it."""

    max_frame_bytes: int
    slices: Slices
    """Long work of all connections."""
    input_budget: InputBudget
    """Time of a turn for fresh input."""
    read_memory: ReadMemory
    """Memory that all connections of an event loop read into."""
    door: Door
    """Decision whether a socket that asks for a WebSocket gets one now."""

    def accepted(self, websocket: AcceptedSocket) -> None:
        """Note an accepted socket; its handshake is to come."""

    def waits(self, websocket: AcceptedSocket) -> None:
        """Note that a socket has sent something of its handshake, which waits for its turn until :meth:`goes_on`."""

    def goes_on(self, websocket: AcceptedSocket) -> None:
        """Note that it is the turn of a socket that has waited; it may be gone."""

    def opened(self, websocket: AcceptedSocket, subprotocol: str) -> tuple[Session, Receivers]:
        """Return the session of a socket whose handshake is done, and the receivers of its messages."""

    def ponged(self, session: Session, payload: bytes) -> None:
        """Take the answer of a peer's transport to a ping."""

    def ended(self, websocket: AcceptedSocket) -> None:
        """Close a socket whose peer sends no more, in its turn."""

    def closed(self, websocket: AcceptedSocket, session: Session | None) -> None:
        """Forget a socket that is gone."""
