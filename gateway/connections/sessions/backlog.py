"""Backlog: input of one connection that has been read and not handled yet, handled bit by bit, in its order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

from gateway.connections.outbound.connection import Connection
from gateway.connections.slices import Slices, Step
from gateway.errors import Code, PeerError, RequestRefused

logger = logging.getLogger(__name__)


class BacklogOwner(Protocol):
    """The session of the connection, as its backlog sees it."""

    connection: Connection
    heard: bool
    pending: Backlog | None
    """The backlog, as long as it has anything to do."""

    def fail(self, error: PeerError) -> None:
        """Close the connection."""


class Backlog:
    """Input of one connection that is handled in later turns, before anything else is read from the peer.

    Made when there is something to do, and gone when all is done. While somebody else holds the reading of the peer,
    because it does not read its answers or a store is behind, the backlog waits as well.

    Args:
        owner: the session.
        slices: takes the steps.

    Attributes:
        waiting_bytes: input that waits.
    """

    __slots__ = ("_at", "_gone", "_owner", "_running", "_slices", "_work", "waiting_bytes")

    def __init__(self, owner: BacklogOwner, slices: Slices) -> None:
        self._owner = owner
        self._slices = slices
        self._work: deque[tuple[Step, int, bool]] = deque()
        """Pieces of work in their order, each with the bytes that it holds, and whether it is for the peer only."""
        self._at = 0
        """Place of the next piece that arises from the step which is being taken."""
        self._running = False
        self._gone: Callable[[], object] | None = None
        self.waiting_bytes = 0

    @property
    def blocks(self) -> bool:
        """Whether input that comes now has to wait behind the backlog; false for what is being handled out of it."""
        return not self._running or self._at > 0

    @property
    def lost(self) -> bool:
        """Whether the transport is lost: what only the peer would have of its input is left out."""
        return self._gone is not None

    def add(self, step: Step, nbytes: int = 0, *, for_peer: bool = False) -> None:
        """Finish a piece of work before anything is handled that the peer has sent later.

        Called while a frame is handled: the next frame of the connection waits until ``step`` has returned False.
        Called twice for one frame: the pieces are done in the order of the calls.

        Args:
            step: takes the next step (:data:`~gateway.connections.slices.Step`); not called any more once the
                connection is closed. An exception closes the connection.
            nbytes: bytes of input that the work holds.
            for_peer: whether nobody but the peer has anything of the work: it is given up when the transport is lost.
        """
        self.waiting_bytes += nbytes
        if self._running:
            self._work.insert(self._at, (step, nbytes, for_peer))
            self._at += 1
            return
        self._work.append((step, nbytes, for_peer))
        if len(self._work) == 1:
            self._owner.connection.reading.hold(self)
            self._slices.add(self._step)

    def lose(self, gone: Callable[[], object]) -> None:
        """Handle what the peer sent before its transport was lost, and then call ``gone``.

        Not to be called by a step. Work that is for the peer only is given up.
        """
        self._gone = gone
        self._work = deque(piece for piece in self._work if not piece[2])
        self._owner.connection.lose()
        self._slices.add(self._step)

    def drop(self) -> None:
        """Handle nothing more. Not to be called by a step."""
        self._slices.drop(self._step)
        self._end()

    def _step(self) -> bool:
        owner = self._owner
        connection = owner.connection
        if connection.closed:
            self._end()
            return False
        if connection.reading.wait_for_others(self, self._go_on):
            return False
        owner.heard = True
        if not self._work:
            self._end()
            return False
        step, nbytes, for_peer = self._work.popleft()
        self._running = True
        try:
            more = step()
        except Exception:
            logger.exception("work for %s failed", connection.peer.client_id or "a new client")
            owner.fail(RequestRefused(Code.INTERNAL, "the gateway failed; its log says more"))
            more = False
        self._running = False
        if more:
            self._work.insert(self._at, (step, nbytes, for_peer))
        else:
            self.waiting_bytes -= nbytes
        self._at = 0
        if self._work:
            return True
        self._end()
        return False

    def _go_on(self) -> None:
        self._slices.add(self._step)

    def _end(self) -> None:
        owner, gone = self._owner, self._gone
        self._gone = None
        self._work.clear()
        self.waiting_bytes = 0
        if owner.pending is self:
            # First, because input may come at once when reading goes on.
            owner.pending = None
        owner.connection.reading.release(self)
        if gone is not None:
            gone()
