"""Chunked uploads: receives large messages chunk by chunk and passes each chunk on at once (spec section 6).

:class:`~gateway.connections.inbound.partial_uploads.PartialUploads` bounds uploads, and ends the ones that will not be
completed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from gateway.connections.fanout.fanout import ChunkSink, Fanout
from gateway.connections.fanout.patch_merger import PatchMerger
from gateway.connections.inbound.commit_gate import CommitGate
from gateway.connections.inbound.partial_uploads import PartialUploads
from gateway.connections.inbound.payload import check_encoding, check_size
from gateway.connections.sessions.session import AliasBinding, Session, Upload
from gateway.errors import Code, RequestRefused
from gateway.protocol.data import DataFrame
from gateway.protocol.dtypes import BYTE, DTypeLike
from gateway.protocol.extensions import Extensions, Identity
from gateway.protocol.frames import Frame, check_table
from gateway.protocol.limits import Limits
from gateway.protocol.meta import Meta, parse_meta
from gateway.protocol.regions import Region
from gateway.protocol.signals import Abort, End, Resume
from gateway.protocol.transfers import Chunk, parse_chunk
from gateway.protocol.wire import CHUNK_HEADER, FLAG_ACK, FLAG_FAILED, FLAG_MORE, Opcode
from gateway.streams.expansion import Expansion
from gateway.streams.large import LargeMessage, StoredChunk, TransferNumbers
from gateway.streams.producers import Window
from gateway.streams.state import LargePatch
from gateway.streams.stream import Stream


class ChunkedUploads:
    """All large messages on their way into the gateway.

    Args:
        limits: bounds of the gateway.
        partial_uploads: keeps the uploads that are not complete.
        gate: commits messages to their streams.
        transfers: the gateway's numbers for large messages.
        merger: checks and makes patches.
        expansion: bound on encoded states.
    """

    def __init__(
        self,
        limits: Limits,
        partial_uploads: PartialUploads,
        gate: CommitGate,
        transfers: TransferNumbers,
        merger: PatchMerger,
        expansion: Expansion,
    ) -> None:
        self._expansion = expansion
        self._limits = limits
        self._partial_uploads = partial_uploads
        self._gate = gate
        self._transfers = transfers
        self._merger = merger

    def begin_publish(self, session: Session, parsed: DataFrame, meta: Meta, binding: AliasBinding) -> None:
        """Begin a large MESSAGE with its head; with RESUMING the missing chunks are asked for.

        Args:
            session: publishes it.
            parsed: the head, with a chunk plan.
            meta: its meta block.
            binding: its alias.

        Raises:
            RequestRefused: the message is not accepted; its chunks will be skipped.
        """
        assert binding.fanout is not None
        assert parsed.plan is not None
        upload = None if binding.window is None else self._partial_uploads.resume(session, binding.window, parsed)
        if upload is None:
            upload = self._begin(session, parsed, meta, binding.fanout, window=binding.window)
        upload.binding = binding
        upload.sequence = parsed.offset
        upload.ack = bool(parsed.flags & FLAG_ACK)
        binding.begin_transfer(parsed.plan.transfer)
        if parsed.resuming:
            session.connection.send(Resume(upload.transfer, len(upload.message.chunks)))

    def begin_direct(
        self,
        session: Session,
        parsed: DataFrame,
        meta: Meta,
        mailbox: Fanout,
        *,
        done: Callable[[], object],
        undo: Callable[[], object],
    ) -> LargeMessage:
        """Begin a large REQUEST or REPLY with its head, and return the message; with RESUMING its chunks are asked for.

        Args:
            session: sends it.
            parsed: the head, with a chunk plan.
            meta: its meta block.
            mailbox: delivers it.
            done: called when it is complete.
            undo: called if it will not be completed.

        Raises:
            RequestRefused: the message is not accepted.
        """
        upload = self._begin(session, parsed, meta, mailbox, correlation=parsed.offset)
        upload.done, upload.undo = done, undo
        upload.asker_peer = parsed.stream if parsed.opcode == Opcode.REPLY else None
        if parsed.resuming:
            session.connection.send(Resume(upload.transfer, 0))
        return upload.message

    def redirect(self, session: Session, transfer: int, mailbox: Fanout) -> LargeMessage:
        """Send a large REQUEST under way to another mailbox, from its first chunk on; returns the new message."""
        upload = session.transfers[transfer]
        upload.sink.abort(Code.TRANSFER_ABORTED)
        upload.message, upload.sink = self._begin_again(session, upload.message, mailbox, upload.element)
        return upload.message

    def repeat(self, session: Session, message: LargeMessage, mailbox: Fanout) -> LargeMessage:
        """Send a complete large REQUEST of a session to another mailbox; returns the new message."""
        again, sink = self._begin_again(session, message, mailbox, BYTE)
        sink.commit()
        return again

    def _begin_again(
        self, session: Session, message: LargeMessage, mailbox: Fanout, element: DTypeLike
    ) -> tuple[LargeMessage, ChunkSink]:
        """Begin a large REQUEST once more, with all chunks that it has so far."""
        plan = replace(message.plan, transfer=self._transfers.next())
        again = replace(message, source=mailbox.source, plan=plan, chunks=[], variants={})
        sink = mailbox.begin(again, session.connection.profile.codecs, element)
        for chunk in message.chunks:
            sink.chunk(chunk)
        return again, sink

    def stop(self, session: Session, transfer: int, code: int) -> None:
        """Stop a large REQUEST or REPLY; its receiver is told by ABORT with ``code``."""
        upload = session.transfers[transfer]
        self._partial_uploads.close(upload)
        upload.sink.abort(code)

    def chunk(self, session: Session, message: memoryview, frame: Frame) -> None:
        """Receive a CHUNK; a chunk of a transfer that is not open is skipped."""
        check_table(frame, CHUNK_HEADER.size)
        transfer = CHUNK_HEADER.unpack_from(message, frame.start)[4]
        upload = session.transfers.get(transfer)
        if upload is None:
            return
        try:
            chunk = parse_chunk(message, frame)
            _check_chunk(upload, chunk)
            self._partial_uploads.receive(upload, len(chunk.data))
        except RequestRefused as refusal:
            self._partial_uploads.refuse(upload, refusal)
            return
        index = len(upload.message.chunks)
        upload.sink.chunk(StoredChunk(chunk.encoding, chunk.data))
        upload.sink.hold_back(session.connection.reading)
        self._gate.stage(session.connection, upload.message, index)

    def end(self, session: Session, end: End) -> None:
        """Receive an END: commit the message."""
        upload = session.transfers.get(end.transfer)
        if upload is None:
            return
        message = upload.message
        if not message.complete:
            problem = f"END of transfer {end.transfer} after {len(message.chunks)} of {message.plan.chunk_count} chunks"
            self._partial_uploads.refuse(upload, RequestRefused(Code.BROKEN_TRANSFER, problem))
            return
        if isinstance(message.source, Stream):
            try:
                self._check_again(message.source, message)
                if not isinstance(message, LargePatch):
                    self._expansion.replace(message.source, upload.received_bytes, message.plan.payload_bytes)
            except RequestRefused as refusal:
                self._partial_uploads.refuse(upload, refusal)
                return
        self._partial_uploads.close(upload)
        message.end_timestamp_ns = end.timestamp_ns
        message.checksum = end.checksum
        stream = message.source
        if not isinstance(stream, Stream):
            upload.sink.commit()
        else:
            assert upload.binding is not None
            self._gate.commit(
                session,
                upload.binding,
                message,
                upload.sequence,
                upload.sink.commit,
                ack=upload.ack,
                abort=upload.sink.abort,
            )
        if upload.done is not None:
            upload.done()

    def abort(self, session: Session, abort: Abort) -> None:
        """Receive an ABORT: the message will not be completed."""
        upload = session.transfers.get(abort.transfer)
        if upload is not None:
            self._partial_uploads.abandon(upload, abort.code)

    def _begin(
        self,
        session: Session,
        parsed: DataFrame,
        meta: Meta,
        fanout: Fanout,
        *,
        correlation: int | None = None,
        window: Window | None = None,
    ) -> Upload:
        plan = parsed.plan
        assert plan is not None
        if plan.payload_bytes != meta.payload_bytes:
            problem = f"chunk plan of {plan.payload_bytes} bytes, dtype and shape say {meta.payload_bytes}"
            raise RequestRefused(Code.SIZE_MISMATCH, problem)
        check_size(plan.payload_bytes, self._limits)
        self._partial_uploads.make_room(session, plan)
        region = None if correlation is not None or parsed.extensions is None else parsed.extensions.region
        new_message = LargeMessage if region is None else partial(LargePatch, region=Region(region))
        message: LargeMessage = new_message(
            fanout.source,
            parsed.opcode,
            session.peer.id,
            parsed.timestamp_ns,
            parsed.flags & (FLAG_FAILED | FLAG_MORE),
            bytes(parsed.meta),
            replace(plan, transfer=self._transfers.next()),
            offset=correlation,
        )
        if isinstance(fanout.source, Stream) and fanout.source.kind.acknowledged:
            message.deadline_ns = None if parsed.extensions is None else parsed.extensions.deadline_ns
            if window is not None:
                message.extensions = Extensions(identity=Identity(window.producer, parsed.offset))
        element = meta.element
        sink = fanout.begin(message, session.connection.profile.codecs, element)
        upload = Upload(
            session=session,
            transfer=plan.transfer,
            client_id=session.peer.client_id,
            codecs=session.connection.profile.codecs,
            message=message,
            sink=sink,
            element=element,
            correlation=correlation,
            window=window,
        )
        self._partial_uploads.add(session, upload)
        return upload

    def _check_again(self, stream: Stream, message: LargeMessage) -> None:
        """Check a message once more at its end: the state or its schema may have changed since the head, or ended."""
        stream.check_open()
        if isinstance(message, LargePatch):
            self._merger.take_large(stream, message)
        elif stream.schema is not None:
            stream.schema.check(parse_meta(message.meta).specs, stream.name)


def _check_chunk(upload: Upload, chunk: Chunk) -> None:
    plan = upload.message.plan
    expected = len(upload.message.chunks)
    size = plan.chunk_size(expected)
    if chunk.index != expected or not size:
        problem = f"chunk {chunk.index} of transfer {chunk.transfer}; of {plan.chunk_count} the next is {expected}"
        raise RequestRefused(Code.BROKEN_TRANSFER, problem)
    if chunk.encoding is not None:
        check_encoding(chunk.encoding, chunk.data, size, upload.codecs, Code.BROKEN_TRANSFER)
    elif len(chunk.data) != size:
        problem = f"chunk {chunk.index} of transfer {chunk.transfer} has {len(chunk.data)} bytes, not {size}"
        raise RequestRefused(Code.BROKEN_TRANSFER, problem)
