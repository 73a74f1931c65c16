"""Takes in large messages, chunk by chunk, and passes each chunk on at once (spec section 6).

How those end that will not be whole is the business of
:class:`~gateway.connections.inbound.partial_uploads.PartialUploads`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from gateway.connections.fanout.fanout import ChunkSink, Fanout
from gateway.connections.fanout.patch_merger import PatchMerger
from gateway.connections.inbound.commit_gate import CommitGate
from gateway.connections.inbound.partial_uploads import PartialUploads
from gateway.connections.inbound.payload import check_encoding, check_size, element_bytes
from gateway.connections.sessions.session import AliasBinding, Session, Upload
from gateway.errors import Code, RequestRefused
from gateway.protocol.data import DataFrame
from gateway.protocol.extensions import Extensions, Identity
from gateway.protocol.frames import Frame, check_table
from gateway.protocol.limits import Limits
from gateway.protocol.meta import Meta, parse_meta
from gateway.protocol.regions import Region
from gateway.protocol.signals import Abort, End, Resume
from gateway.protocol.transfers import Chunk, parse_chunk
from gateway.protocol.wire import CHUNK_HEADER, FLAG_ACK, FLAG_FAILED, FLAG_MORE, Opcode
from gateway.streams.large import LargeMessage, StoredChunk, TransferNumbers
from gateway.streams.producers import Window
from gateway.streams.state import LargePatch
from gateway.streams.stream import Stream


class ChunkedUploads:
    """All large messages on their way into the gateway.

    Args:
        limits: what the gateway accepts.
        unfinished: keeps those that are not whole.
        gate: where what is published to durable streams goes.
        transfers: the gateway's numbers for large messages.
        patching: takes patches.
    """

    def __init__(
        self,
        limits: Limits,
        unfinished: PartialUploads,
        gate: CommitGate,
        transfers: TransferNumbers,
        patching: PatchMerger,
    ) -> None:
        self._limits = limits
        self._unfinished = unfinished
        self._gate = gate
        self._transfers = transfers
        self._patching = patching

    def begin_publish(self, session: Session, parsed: DataFrame, meta: Meta, route: AliasBinding) -> None:
        """The head of a large MESSAGE; with RESUMING the chunks that it lacks are asked for.

        Raises:
            RequestRefused: it will not be taken; its chunks will be skipped.
        """
        assert route.fanout is not None
        assert parsed.plan is not None
        inbound = None if route.window is None else self._unfinished.resume(session, route.window, parsed)
        if inbound is None:
            inbound = self._begin(session, parsed, meta, route.fanout, window=route.window)
        inbound.route = route
        inbound.sequence = parsed.offset
        inbound.ack = bool(parsed.flags & FLAG_ACK)
        route.transfer = parsed.plan.transfer
        if parsed.resuming:
            session.connection.send(Resume(inbound.transfer, len(inbound.message.chunks)))

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
        """The head of a large REQUEST or REPLY: ``done`` is called when it is complete, ``undo`` if it will not be.

        Raises:
            RequestRefused: it will not be taken.
        """
        inbound = self._begin(session, parsed, meta, mailbox, correlation=parsed.offset)
        inbound.done, inbound.undo = done, undo
        inbound.asker_peer = parsed.stream if parsed.opcode == Opcode.REPLY else None
        return inbound.message

    def redirect(self, session: Session, transfer: int, mailbox: Fanout) -> LargeMessage:
        """Send a large REQUEST under way to another mailbox, from its first chunk on; returns the new message."""
        inbound = session.transfers[transfer]
        inbound.sink.abort(Code.TRANSFER_ABORTED)
        inbound.message, inbound.sink = self._begin_again(session, inbound.message, mailbox, inbound.itemsize)
        inbound.fanout = mailbox
        return inbound.message

    def repeat(self, session: Session, message: LargeMessage, mailbox: Fanout) -> LargeMessage:
        """Send a complete large REQUEST of a session to another mailbox; returns the new message."""
        again, sink = self._begin_again(session, message, mailbox, 1)
        sink.commit()
        return again

    def _begin_again(
        self, session: Session, message: LargeMessage, mailbox: Fanout, itemsize: int
    ) -> tuple[LargeMessage, ChunkSink]:
        """Begin a large REQUEST once more, with all chunks that it has so far."""
        plan = replace(message.plan, transfer=self._transfers.next())
        again = replace(message, source=mailbox.source, plan=plan, chunks=[], variants={})
        sink = mailbox.begin(again, session.connection.codecs, itemsize)
        for chunk in message.chunks:
            sink.chunk(chunk)
        return again, sink

    def stop(self, session: Session, transfer: int, code: int) -> None:
        """Take no more of a large REQUEST or REPLY, of which its receiver is told by ABORT."""
        inbound = session.transfers[transfer]
        self._unfinished.close(inbound)
        inbound.sink.abort(code)

    def chunk(self, session: Session, message: memoryview, frame: Frame) -> None:
        """A CHUNK. One of a transfer that is not open is skipped."""
        check_table(frame, CHUNK_HEADER.size)
        transfer = CHUNK_HEADER.unpack_from(message, frame.start)[4]
        inbound = session.transfers.get(transfer)
        if inbound is None:
            return
        try:
            chunk = parse_chunk(message, frame)
            _check_chunk(inbound, chunk)
        except RequestRefused as refusal:
            self._unfinished.refuse(inbound, refusal)
            return
        self._unfinished.touch(inbound)
        index = len(inbound.message.chunks)
        inbound.sink.chunk(StoredChunk(chunk.encoding, chunk.data))
        self._gate.stage(session.connection, inbound.message, index)

    def end(self, session: Session, end: End) -> None:
        """END: the message gets its offset."""
        inbound = session.transfers.get(end.transfer)
        if inbound is None:
            return
        message = inbound.message
        if not message.complete:
            problem = f"END of transfer {end.transfer} after {len(message.chunks)} of {message.plan.chunk_count} chunks"
            self._unfinished.refuse(inbound, RequestRefused(Code.BROKEN_TRANSFER, problem))
            return
        if isinstance(message.source, Stream):
            try:
                self._check_again(message.source, message)
            except RequestRefused as refusal:
                self._unfinished.refuse(inbound, refusal)
                return
        self._unfinished.close(inbound)
        message.end_timestamp_ns = end.timestamp_ns
        message.checksum = end.checksum
        stream = message.source
        if not isinstance(stream, Stream):
            inbound.sink.commit()
        else:
            assert inbound.route is not None
            self._gate.commit(
                session,
                inbound.route,
                message,
                inbound.sequence,
                inbound.sink.commit,
                ack=inbound.ack,
                abort=inbound.sink.abort,
            )
        if inbound.done is not None:
            inbound.done()

    def abort(self, session: Session, abort: Abort) -> None:
        """ABORT: the message will not come."""
        inbound = session.transfers.get(abort.transfer)
        if inbound is not None:
            self._unfinished.abandon(inbound, abort.code)

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
        self._unfinished.make_room(session, plan)
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
        itemsize = element_bytes(meta)
        sink = fanout.begin(message, session.connection.codecs, itemsize)
        inbound = Upload(session, plan.transfer, message, fanout, sink, itemsize)
        inbound.correlation = correlation
        inbound.window = window
        self._unfinished.add(session, inbound)
        return inbound

    def _check_again(self, stream: Stream, message: LargeMessage) -> None:
        """What the state was, or was declared to be, may have changed since the head came."""
        if isinstance(message, LargePatch):
            self._patching.take_large(stream, message)
        elif stream.schema is not None:
            stream.schema.check(parse_meta(message.meta).specs, stream.name)


def _check_chunk(inbound: Upload, chunk: Chunk) -> None:
    plan = inbound.message.plan
    expected = len(inbound.message.chunks)
    size = plan.chunk_size(expected)
    if chunk.index != expected or not size:
        problem = f"chunk {chunk.index} of transfer {chunk.transfer}; of {plan.chunk_count} the next is {expected}"
        raise RequestRefused(Code.BROKEN_TRANSFER, problem)
    if chunk.encoding is not None:
        check_encoding(chunk.encoding, chunk.data, size, inbound.codecs, Code.BROKEN_TRANSFER)
    elif len(chunk.data) != size:
        problem = f"chunk {chunk.index} of transfer {chunk.transfer} has {len(chunk.data)} bytes, not {size}"
        raise RequestRefused(Code.BROKEN_TRANSFER, problem)
