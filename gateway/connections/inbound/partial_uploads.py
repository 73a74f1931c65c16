"""Partial uploads: large messages that are not complete, under way or waiting for their producer to reconnect.

Bounds their number, their bytes and the time without progress, and ends the ones that will not be completed (spec
section 6.6). :class:`~gateway.connections.inbound.chunked_uploads.ChunkedUploads` receives their chunks.
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
from gateway.streams.stream import Stream


class PartialUploads:
    """Incomplete uploads of all connections.

    Args:
        limits: bounds on the uploads of one connection, and on the bytes of those of one client and of all clients; a
            single upload may be larger.
        clock: measures the time since their last chunk.
        timeout_s: time without a chunk after which an upload ends, whether its connection is open or lost.
        gate: stores the chunks of uploads to durable streams.
    """

    def __init__(self, limits: Limits, clock: Clock, timeout_s: float, gate: CommitGate) -> None:
        self._limits = limits
        self._clock = clock
        self._timeout_s = timeout_s
        self._sweeping = False
        self._gate = gate
        self._all: dict[Upload, None] = {}
        self._bytes: dict[ClientId, int] = {}
        self.received_bytes = 0
        """Bytes that have been received of all uploads."""
        self._by_window: dict[Window, Upload] = {}
        """At most one upload per producer and stream."""

    # Begin and continue.

    def make_room(self, session: Session, plan: ChunkPlan) -> None:
        """Make room for a new upload: uploads that its client has left behind are abandoned, the oldest first.

        Args:
            session: begins the upload.
            plan: its chunk plan.

        Raises:
            RequestRefused: ``LIMIT_EXCEEDED``, if uploads under way leave no room; ``BROKEN_TRANSFER``, if its number
                is the number of another one.
        """
        self._check_transfer(session, plan)
        client_id = session.peer.client_id
        for upload in self._in_the_way(client_id, plan.payload_bytes):
            self.abandon(upload, Code.LIMIT_EXCEEDED)

    def _in_the_way(self, client_id: ClientId, size: int) -> list[Upload]:
        """Return the uploads of a client that have to be abandoned so that ``size`` more bytes fit."""
        held_bytes = self._bytes.get(client_id, 0)
        max_bytes = self._limits.max_unfinished_bytes
        if not held_bytes or held_bytes + size <= max_bytes:
            return []
        abandoned = []
        for upload in self._all:
            if upload.client_id == client_id and upload.session is None:
                abandoned.append(upload)
                held_bytes -= upload.message.plan.payload_bytes
                if not held_bytes or held_bytes + size <= max_bytes:
                    return abandoned
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

    def add(self, session: Session, upload: Upload) -> None:
        """Add an upload that a session has begun."""
        session.add_transfer(upload)
        self.touch(upload)
        self._all[upload] = None
        client_id = upload.client_id
        self._bytes[client_id] = self._bytes.get(client_id, 0) + upload.message.plan.payload_bytes
        if upload.window is not None:
            self._by_window[upload.window] = upload
        self._sweep_later()

    def resume(self, session: Session, window: Window, head: DataFrame) -> Upload | None:
        """Return the upload that a producer continues by sending its head again; any other one of it is abandoned.

        Args:
            session: continues it.
            window: the producer's window on the stream.
            head: the head, with a chunk plan that has a new transfer number.

        Returns:
            the upload; ``None`` if the head begins a new one.

        Raises:
            RequestRefused: as :meth:`make_room`.
        """
        upload = self._by_window.get(window)
        if upload is None:
            return None
        if head.plan is None or not _continues(upload, session, head):
            self.abandon(upload, Code.TRANSFER_ABORTED)
            return None
        self._check_transfer(session, head.plan)
        upload.session, upload.transfer = session, head.plan.transfer
        session.add_transfer(upload)
        self.touch(upload)
        return upload

    def receive(self, upload: Upload, nbytes: int) -> None:
        """Note a chunk of an upload, which is progress; uploads that were left behind make room for it.

        Raises:
            RequestRefused: ``QUEUE_FULL``, too much has come of all uploads together.
        """
        self.touch(upload)
        max_bytes = self._limits.max_all_unfinished_bytes
        if self.received_bytes + nbytes > max_bytes and self.received_bytes > upload.received_bytes:
            for other in [other for other in self._all if other.session is None and other is not upload]:
                self.abandon(other, Code.LIMIT_EXCEEDED)
                if self.received_bytes + nbytes <= max_bytes:
                    break
            if self.received_bytes + nbytes > max_bytes and self.received_bytes > upload.received_bytes:
                problem = f"{self.received_bytes} bytes of large messages that are not finished have come"
                limit = f"{nbytes} more exceed max_all_unfinished_bytes={max_bytes}"
                raise RequestRefused(Code.QUEUE_FULL, f"{problem}, {limit}: try again later")
        upload.received_bytes += nbytes
        self.received_bytes += nbytes

    def touch(self, upload: Upload) -> None:
        """Note progress of an upload."""
        upload.moved_s = self._clock.monotonic_s()

    # End or wait.

    def close(self, upload: Upload) -> None:
        """Remove an upload that is complete or abandoned."""
        del self._all[upload]
        self.received_bytes -= upload.received_bytes
        left = self._bytes.pop(upload.client_id) - upload.message.plan.payload_bytes
        if left:
            self._bytes[upload.client_id] = left
        if upload.window is not None:
            del self._by_window[upload.window]
        if upload.session is not None:
            _detach(upload.session, upload)

    def abandon(self, upload: Upload, code: int) -> None:
        """End an upload that will not be completed: its receivers are told the code, its sender is not."""
        self.close(upload)
        if upload.window is not None and upload.session is not None:
            upload.window.refuse(upload.sequence, 1, code)
        upload.sink.abort(code)
        self._gate.discard(upload.message)
        if upload.undo is not None:
            upload.undo()

    def refuse(self, upload: Upload, refusal: RequestRefused) -> None:
        """End an upload that will not be completed; its sender, if connected, is told as well."""
        self.abandon(upload, refusal.code)
        if upload.session is not None:
            upload.session.refuse(
                refusal,
                transfer=upload.transfer,
                alias=None if upload.binding is None else upload.binding.alias,
                sequence=upload.sequence or None,
                count=None if upload.binding is None else 1,
                correlation=upload.correlation,
                peer=upload.asker_peer,
            )

    def end(self, stream: Stream, refusal: RequestRefused) -> None:
        """End the uploads to a stream that has ended, also those that wait for their producer."""
        for upload in [upload for upload in self._all if upload.message.source is stream]:
            self.refuse(upload, refusal)

    def drop(self, session: Session) -> None:
        """End the uploads of a lost connection; those of producers wait for them to reconnect."""
        for upload in list(session.transfers.values()):
            if upload.window is None:
                self.abandon(upload, Code.TRANSFER_ABORTED)
            else:
                self._leave(upload)

    def take_over(self, window: Window, sequence: int) -> None:
        """Take over the upload of a producer that has opened its stream (again): it waits, or is abandoned.

        Args:
            window: the producer's window on the stream.
            sequence: the next one that it will send.
        """
        upload = self._by_window.get(window)
        if upload is None:
            return
        self._leave(upload)
        if upload.sequence < sequence:
            self.abandon(upload, Code.TRANSFER_ABORTED)

    def abandon_waiting(self, window: Window) -> None:
        """Abandon the upload that waits for a producer, which has published another message instead."""
        upload = self._by_window.get(window)
        if upload is not None and upload.session is None:
            self.abandon(upload, Code.TRANSFER_ABORTED)

    def _leave(self, upload: Upload) -> None:
        """Detach an upload from its connection, which is lost or superseded."""
        if upload.session is not None:
            _detach(upload.session, upload)
            upload.session = None
            self.touch(upload)

    # Time out.

    def _sweep_later(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            self._clock.call_later(self._timeout_s / 4, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = False
        for upload in self._overdue():
            problem = f"no chunk of transfer {upload.transfer} came after chunk {len(upload.message.chunks)}"
            self.refuse(upload, RequestRefused(Code.TRANSFER_TIMEOUT, problem))
        if self._all:
            self._sweep_later()

    def _overdue(self) -> list[Upload]:
        """Return the uploads without progress for too long, except those that the gateway itself does not read."""
        since_s = self._clock.monotonic_s() - self._timeout_s
        found = []
        for upload in self._all:
            if upload.session is not None and upload.session.connection.reading.held:
                self.touch(upload)
            elif upload.moved_s <= since_s:
                found.append(upload)
        return found


def _detach(session: Session, upload: Upload) -> None:
    del session.transfers[upload.transfer]
    if upload.binding is not None:
        upload.binding.transfer = None


def _continues(left: Upload, session: Session, head: DataFrame) -> bool:
    """Return whether a head is that of an upload that was begun, so that its chunks continue it."""
    plan, begun = head.plan, left.message
    return (
        plan is not None
        and head.resuming
        and left.sequence == head.offset
        and left.codecs == session.connection.profile.codecs
        and begun.meta == head.meta
        and begun.timestamp_ns == head.timestamp_ns
        and (begun.plan.chunk_bytes, begun.plan.payload_bytes) == (plan.chunk_bytes, plan.payload_bytes)
    )
