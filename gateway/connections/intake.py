"""Takes in large messages, chunk by chunk, and passes each chunk on at once (spec section 6)."""

from __future__ import annotations

from collections.abc import Callable

from gateway.connections.fanout import Fanout
from gateway.connections.payload import check_encoding, check_size, element_bytes
from gateway.connections.session import Inbound, Route, Session
from gateway.errors import Code, RequestRefused
from gateway.protocol.data import DataFrame
from gateway.protocol.frames import Frame, check_table
from gateway.protocol.limits import Limits
from gateway.protocol.meta import Meta
from gateway.protocol.signals import Abort, Ack, End
from gateway.protocol.transfers import Chunk, ChunkPlan, parse_chunk
from gateway.protocol.wire import CHUNK_HEADER, FLAG_ACK, FLAG_FAILED
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.stream import Stream


class Intake:
    """All large messages on their way into the gateway.

    Args:
        limits: what the gateway accepts.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._last_transfer = 0

    def begin_publish(self, session: Session, parsed: DataFrame, meta: Meta, route: Route) -> None:
        """The head of a large MESSAGE.

        Raises:
            RequestRefused: it will not be taken; its chunks will be skipped.
        """
        assert route.fanout is not None
        assert parsed.plan is not None
        inbound = self._begin(session, parsed, meta, route.fanout)
        inbound.alias = parsed.stream
        inbound.sequence = parsed.offset
        inbound.ack = bool(parsed.flags & FLAG_ACK)
        route.transfer = parsed.plan.transfer

    def begin_direct(
        self, session: Session, parsed: DataFrame, meta: Meta, mailbox: Fanout, undo: Callable[[], object]
    ) -> None:
        """The head of a large REQUEST or REPLY; ``undo`` is called if it is not completed.

        Raises:
            RequestRefused: it will not be taken.
        """
        self._begin(session, parsed, meta, mailbox, correlation=parsed.offset).undo = undo

    def chunk(self, session: Session, message: memoryview, frame: Frame) -> None:
        """A CHUNK. One of a transfer that is not open is skipped."""
        check_table(frame, CHUNK_HEADER.size)
        transfer = CHUNK_HEADER.unpack_from(message, frame.start)[4]
        inbound = session.transfers.get(transfer)
        if inbound is None:
            return
        try:
            chunk = parse_chunk(message, frame)
            self._check(session, inbound, chunk)
        except RequestRefused as refusal:
            self._refuse(session, transfer, inbound, refusal)
            return
        inbound.fanout.chunk(inbound.message, StoredChunk(chunk.encoding, chunk.data), inbound.itemsize)

    def end(self, session: Session, end: End) -> None:
        """END: the message gets its offset."""
        inbound = session.transfers.get(end.transfer)
        if inbound is None:
            return
        message = inbound.message
        if not message.whole:
            problem = f"END of transfer {end.transfer} after {len(message.chunks)} of {message.plan.chunk_count} chunks"
            self._refuse(session, end.transfer, inbound, RequestRefused(Code.BROKEN_TRANSFER, problem))
            return
        self._close(session, end.transfer, inbound)
        message.end_timestamp_ns = end.timestamp_ns
        if isinstance(message.source, Stream):
            message.source.append_large(message)
        inbound.fanout.commit(message)
        if inbound.ack and inbound.alias is not None:
            session.connection.send(Ack(inbound.alias, 1, inbound.sequence, message.offset or 0))

    def abort(self, session: Session, abort: Abort) -> None:
        """ABORT: the message will not come."""
        inbound = session.transfers.get(abort.transfer)
        if inbound is not None:
            self._give_up(session, abort.transfer, inbound, abort.code)

    def drop(self, session: Session) -> None:
        """The connection is gone, and with it everything that it had not finished."""
        for transfer, inbound in list(session.transfers.items()):
            self._give_up(session, transfer, inbound, Code.TRANSFER_ABORTED)

    def _begin(
        self, session: Session, parsed: DataFrame, meta: Meta, fanout: Fanout, correlation: int | None = None
    ) -> Inbound:
        plan = parsed.plan
        assert plan is not None
        if plan.payload_bytes != meta.payload_bytes:
            problem = f"chunk plan of {plan.payload_bytes} bytes, dtype and shape say {meta.payload_bytes}"
            raise RequestRefused(Code.SIZE_MISMATCH, problem)
        check_size(plan.payload_bytes, self._limits)
        if plan.transfer in session.transfers:
            raise RequestRefused(Code.BROKEN_TRANSFER, f"transfer {plan.transfer} is under way already")
        if len(session.transfers) >= self._limits.max_transfers:
            problem = f"the connection has max_transfers={self._limits.max_transfers} under way"
            raise RequestRefused(Code.LIMIT_EXCEEDED, problem)
        under_way = sum([inbound.message.plan.payload_bytes for inbound in session.transfers.values()])
        if under_way + plan.payload_bytes > self._limits.max_message_bytes:
            problem = f"{under_way} bytes are under way; with {plan.payload_bytes} more they exceed max_message_bytes"
            raise RequestRefused(Code.LIMIT_EXCEEDED, problem)
        self._last_transfer = self._last_transfer % 0xFFFF_FFFF + 1
        message = LargeMessage(
            fanout.source,
            parsed.opcode,
            session.connection.peer,
            parsed.timestamp_ns,
            parsed.flags & FLAG_FAILED,
            bytes(parsed.meta),
            ChunkPlan(self._last_transfer, plan.chunk_bytes, plan.payload_bytes),
        )
        message.offset = correlation
        inbound = Inbound(message, fanout, element_bytes(meta), correlation)
        session.transfers[plan.transfer] = inbound
        fanout.begin(message, session.connection.codecs, inbound.itemsize)
        return inbound

    def _check(self, session: Session, inbound: Inbound, chunk: Chunk) -> None:
        plan = inbound.message.plan
        expected = len(inbound.message.chunks)
        size = plan.chunk_size(expected)
        if chunk.index != expected or not size:
            problem = f"chunk {chunk.index} of transfer {chunk.transfer}; of {plan.chunk_count} the next is {expected}"
            raise RequestRefused(Code.BROKEN_TRANSFER, problem)
        if chunk.encoding is not None:
            check_encoding(chunk.encoding, chunk.data, size, session.connection.codecs, Code.BROKEN_TRANSFER)
        elif len(chunk.data) != size:
            problem = f"chunk {chunk.index} of transfer {chunk.transfer} has {len(chunk.data)} bytes, not {size}"
            raise RequestRefused(Code.BROKEN_TRANSFER, problem)

    def _refuse(self, session: Session, transfer: int, inbound: Inbound, refusal: RequestRefused) -> None:
        self._give_up(session, transfer, inbound, refusal.code)
        session.connection.refuse(
            refusal,
            transfer=transfer,
            alias=inbound.alias,
            sequence=inbound.sequence or None,
            count=1 if inbound.alias is not None else None,
            correlation=inbound.correlation,
        )

    def _give_up(self, session: Session, transfer: int, inbound: Inbound, code: int) -> None:
        self._close(session, transfer, inbound)
        inbound.fanout.abort(inbound.message, code)
        if inbound.undo is not None:
            inbound.undo()

    def _close(self, session: Session, transfer: int, inbound: Inbound) -> None:
        del session.transfers[transfer]
        if inbound.alias is not None:
            session.routes[inbound.alias].transfer = None
