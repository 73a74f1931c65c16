"""The large messages that are not whole: those under way, and those that wait for their producer to come back.

Knows how much they may hold, how long nothing may come of one, and how one ends that will not be whole (spec section
6.6). What comes of them, chunk by chunk, is taken in by
:class:`~gateway.connections.inbound.chunked_uploads.ChunkedUploads`.
"""

from __future__ import annotations

from gateway.connections.inbound.commit_gate import CommitGate
from gateway.connections.ports import Clock
from gateway.connections.sessions.session import Session, Upload
from gateway.errors import Code, RequestRefused
from gateway.ids import ClientId
from gateway.protocol.data import DataFrame
from gateway.protocol.limits import Limits
from gateway.protocol.transfers import ChunkPlan
from gateway.streams.producers import Window


class PartialUploads:
    """Large messages on their way in, of all connections.

    Args:
        limits: how many one connection may have under way, and how many bytes those of one client may be together; one
            alone may be larger.
        clock: for the time since their last chunk.
        timeout_s: how long nothing may come of one, whether its connection stands or is lost.
        gate: has stored the chunks of those that go to durable streams.
    """

    def __init__(self, limits: Limits, clock: Clock, timeout_s: float, gate: CommitGate) -> None:
        self._limits = limits
        self._clock = clock
        self._timeout_s = timeout_s
        self._sweeping = False
        self._gate = gate
        self._all: dict[Upload, None] = {}
        self._bytes: dict[ClientId, int] = {}
        self._by_window: dict[Window, Upload] = {}
        """The large message of a producer to a stream, of which there is one at a time."""

    # How one begins and goes on.

    def make_room(self, session: Session, plan: ChunkPlan) -> None:
        """A large message is to begin: what its client has left behind is given up, the oldest first, until it fits.

        Raises:
            RequestRefused: ``LIMIT_EXCEEDED``, if what is under way leaves no room; ``BROKEN_TRANSFER``, if its number
                is that of another one.
        """
        self._check_transfer(session, plan)
        client_id = session.peer.client_id
        for inbound in self._in_the_way(client_id, plan.payload_bytes):
            self.abandon(inbound, Code.LIMIT_EXCEEDED)

    def _in_the_way(self, client_id: ClientId, size: int) -> list[Upload]:
        """What of a client's has to be given up so that ``size`` more bytes fit."""
        held_bytes = self._bytes.get(client_id, 0)
        max_bytes = self._limits.max_unfinished_bytes
        if not held_bytes or held_bytes + size <= max_bytes:
            return []
        given_up = []
        for inbound in self._all:
            if inbound.client_id == client_id and inbound.session is None:
                given_up.append(inbound)
                held_bytes -= inbound.message.plan.payload_bytes
                if not held_bytes or held_bytes + size <= max_bytes:
                    return given_up
        raise RequestRefused(
            Code.LIMIT_EXCEEDED,
            f"{held_bytes} bytes of {client_id} are under way; with {size} more they exceed "
            f"max_unfinished_bytes={max_bytes}: finish some first",
        )

    def _check_transfer(self, session: Session, plan: ChunkPlan) -> None:
        if plan.transfer in session.transfers:
            raise RequestRefused(Code.BROKEN_TRANSFER, f"transfer {plan.transfer} is under way already")
        if len(session.transfers) >= self._limits.max_transfers:
            problem = f"the connection has max_transfers={self._limits.max_transfers} under way"
            raise RequestRefused(Code.LIMIT_EXCEEDED, problem)

    def add(self, session: Session, inbound: Upload) -> None:
        """A large message of a session has begun."""
        session.transfers[inbound.transfer] = inbound
        self.touch(inbound)
        self._all[inbound] = None
        client_id = inbound.client_id
        self._bytes[client_id] = self._bytes.get(client_id, 0) + inbound.message.plan.payload_bytes
        if inbound.window is not None:
            self._by_window[inbound.window] = inbound
        self._sweep_later()

    def resume(self, session: Session, window: Window, head: DataFrame) -> Upload | None:
        """What a producer goes on with, of which the head has come once more; anything else of it is given up.

        Args:
            head: has a chunk plan, of which the transfer is new.

        Raises:
            RequestRefused: as :meth:`make_room`.
        """
        inbound = self._by_window.get(window)
        if inbound is None:
            return None
        if head.plan is None or not _continues(inbound, session, head):
            self.abandon(inbound, Code.TRANSFER_ABORTED)
            return None
        self._check_transfer(session, head.plan)
        inbound.session, inbound.transfer = session, head.plan.transfer
        session.transfers[inbound.transfer] = inbound
        self.touch(inbound)
        return inbound

    def touch(self, inbound: Upload) -> None:
        """Something has come of it."""
        inbound.moved_s = self._clock.monotonic_s()

    # How one ends, or waits.

    def close(self, inbound: Upload) -> None:
        """Nothing more comes of it: it is whole, or given up."""
        del self._all[inbound]
        left = self._bytes.pop(inbound.client_id) - inbound.message.plan.payload_bytes
        if left:
            self._bytes[inbound.client_id] = left
        if inbound.window is not None:
            del self._by_window[inbound.window]
        if inbound.session is not None:
            _detach(inbound.session, inbound)

    def abandon(self, inbound: Upload, code: int) -> None:
        """It will not be whole: its receivers are told why, its sender is not."""
        self.close(inbound)
        if inbound.window is not None and inbound.session is not None:
            inbound.window.refuse(inbound.sequence, 1, code)
        inbound.sink.abort(code)
        self._gate.discard(inbound.message)
        if inbound.undo is not None:
            inbound.undo()

    def refuse(self, inbound: Upload, refusal: RequestRefused) -> None:
        """It will not be whole, and its sender, if there, is told as well."""
        self.abandon(inbound, refusal.code)
        if inbound.session is not None:
            inbound.session.refuse(
                refusal,
                transfer=inbound.transfer,
                alias=None if inbound.route is None else inbound.route.alias,
                sequence=inbound.sequence or None,
                count=None if inbound.route is None else 1,
                correlation=inbound.correlation,
                peer=inbound.asker_peer,
            )

    def drop(self, session: Session) -> None:
        """The connection is gone: what a producer has not finished waits for it, everything else is over."""
        for inbound in list(session.transfers.values()):
            if inbound.window is None:
                self.abandon(inbound, Code.TRANSFER_ABORTED)
            else:
                self._leave(inbound)

    def take_over(self, window: Window, sequence: int) -> None:
        """A producer has come (back) to a stream: what it has under way there waits for it, or is over.

        Args:
            sequence: the next that it will send.
        """
        inbound = self._by_window.get(window)
        if inbound is None:
            return
        self._leave(inbound)
        if inbound.sequence < sequence:
            self.abandon(inbound, Code.TRANSFER_ABORTED)

    def abandon_waiting(self, window: Window) -> None:
        """A producer sends another message than the one that waits for it: that one will not come."""
        inbound = self._by_window.get(window)
        if inbound is not None and inbound.session is None:
            self.abandon(inbound, Code.TRANSFER_ABORTED)

    def _leave(self, inbound: Upload) -> None:
        """Its connection is gone, or has nothing to say about it any more."""
        if inbound.session is not None:
            _detach(inbound.session, inbound)
            inbound.session = None
            self.touch(inbound)

    # What stands still.

    def _sweep_later(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            self._clock.call_later(self._timeout_s / 4, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = False
        for inbound in self._overdue():
            problem = f"nothing came of transfer {inbound.transfer} after chunk {len(inbound.message.chunks)}"
            self.refuse(inbound, RequestRefused(Code.TRANSFER_TIMEOUT, problem))
        if self._all:
            self._sweep_later()

    def _overdue(self) -> list[Upload]:
        """Those of which nothing has come for too long, but for what the gateway itself does not read."""
        since_s = self._clock.monotonic_s() - self._timeout_s
        found = []
        for inbound in self._all:
            if inbound.session is not None and inbound.session.connection.reading.held:
                self.touch(inbound)
            elif inbound.moved_s <= since_s:
                found.append(inbound)
        return found


def _detach(session: Session, inbound: Upload) -> None:
    del session.transfers[inbound.transfer]
    if inbound.route is not None:
        inbound.route.transfer = None


def _continues(left: Upload, session: Session, head: DataFrame) -> bool:
    """Whether a head is that of a message that was begun, so that its chunks go together."""
    plan, begun = head.plan, left.message
    return (
        plan is not None
        and head.resuming
        and left.sequence == head.offset
        and left.codecs == session.connection.codecs
        and begun.meta == head.meta
        and begun.timestamp_ns == head.timestamp_ns
        and (begun.plan.chunk_bytes, begun.plan.payload_bytes) == (plan.chunk_bytes, plan.payload_bytes)
    )
