"""Brings messages that are there already to receivers that were not there, or fell behind, when they were delivered."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Sequence
from functools import partial

from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.fanout.encode_queue import EncodeQueue
from gateway.connections.fanout.recode import chunk_codecs, codecs_of, frame_of, last_record, recode_chunk, recode_run
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.formats import in_one_piece
from gateway.connections.outbound.inbox_source import InboxSource
from gateway.errors import Code, RequestRefused
from gateway.protocol.data import DataFrame
from gateway.protocol.encoding import PLAIN
from gateway.protocol.signals import Gap
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run, Source
from gateway.streams.state import LargePatch, PatchRun
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)


class LateJoin:
    """Of one source.

    Args:
        source: the stream or inbox.
        queue: keeps the order while something is decoded.
    """

    __slots__ = ("_queue", "_source")

    def __init__(self, source: Source, queue: EncodeQueue) -> None:
        self._source = source
        self._queue = queue

    def send_newest(self, connection: Connection, delivery: DeliveryClass, newest: Run | LargeMessage) -> None:
        """Bring the newest message of a ``state`` stream to a receiver that has come, or once more to one that asks."""
        if isinstance(newest, PatchRun | LargePatch):
            self.send_version(newest, delivery, [connection], repeated=True)
            return
        if isinstance(newest, LargeMessage):
            if delivery.format.takes_chunks:
                self.send_large(newest, delivery, connection, repeated=True)
            else:
                self.send_whole(newest, delivery, [connection], repeated=True)
            return
        delivery.delivered_messages += 1
        if newest.count == 1 and (not delivery.format.takes_chunks or codecs_of(newest) <= delivery.codecs):
            connection.enqueue((newest,), again=delivery.got_whole(connection))
            return

        def single() -> Run:
            run = last_record(newest)
            return run if run is not newest else recode_run(newest, frame_of(newest), PLAIN, 1)

        def deliver(result: Run | BaseException) -> None:
            if isinstance(result, BaseException):
                logger.warning("newest message of %s cannot be decoded: %s", self._source.name, result)
                delivery.leave_out(connection, Gap(self._source.id, Code.CORRUPT_PAYLOAD, newest.first, newest.last))
            elif self._source in connection.memberships:
                delivery.flush()
                connection.enqueue((result,), again=delivery.got_whole(connection))

        self._queue.submit(single, deliver, next_in_turn=True)

    def send_version(
        self,
        newest: PatchRun | LargePatch,
        delivery: DeliveryClass,
        members: list[Connection],
        *,
        repeated: bool = False,
    ) -> None:
        """Bring a version that came as a patch to receivers that need it whole; they lag until it is.

        Args:
            repeated: it was delivered before, and they may have got it.
        """
        delivery.flush()
        delivery.delivered_messages += len(members)
        for member in members:
            held = delivery.got_whole(member)
            if isinstance(newest, PatchRun):
                member.enqueue((newest,), again=repeated and held)
            else:
                member.enqueue_large(newest, newest.chunks, again=repeated and held)

    def send_decoded(self, run: Run, frame: DataFrame, delivery: DeliveryClass) -> None:
        """Bring a message to a class that has come while it was being encoded, and does not know its codec.

        What cannot be decoded is told by GAP.

        Args:
            run: holds the message.
            frame: the one frame that the run holds, cut into its blocks.
        """

        def deliver(result: Run | BaseException) -> None:
            if isinstance(result, Run) or not isinstance(self._source, Stream):
                delivery.add(result if isinstance(result, Run) else run)
                return
            delivery.flush()
            for member in delivery.members:
                delivery.leave_out(member, Gap(self._source.id, Code.CORRUPT_PAYLOAD, run.first, run.last))
            delivery.passed(run.last + 1)

        self._queue.submit(partial(recode_run, run, frame, PLAIN, 1), deliver, next_in_turn=True)

    def serve(
        self,
        message: LargeMessage,
        classes: Sequence[DeliveryClass],
        served: Container[Connection],
        send: Callable[[DeliveryClass, Connection], object],
    ) -> None:
        """Bring a large message that has just got its offset to all who were in none of its audiences.

        Args:
            send: brings it to one that takes chunks.
        """
        for delivery in classes:
            delivery.flush()
            if not delivery.format.takes_chunks:
                self.send_whole(message, delivery, delivery.members)
                continue
            for member in delivery.members:
                if member not in served:
                    send(delivery, member)

    def send_large(
        self, message: LargeMessage, delivery: DeliveryClass, member: Connection, *, repeated: bool = False
    ) -> None:
        """Bring a large message that has its offset to a receiver that takes chunks.

        Args:
            repeated: it was delivered before, and the receiver may have got it.
        """

        def enqueue(form: list[StoredChunk]) -> None:
            held = delivery.got_whole(member)
            member.enqueue_large(message, form, again=repeated and held)

        if message.plan.payload_bytes > member.max_message_bytes:
            offset = message.offset or 0
            delivery.leave_out(member, Gap(self._source.id, Code.MESSAGE_TOO_BIG, offset, offset))
            delivery.passed(offset + 1)
            return
        delivery.delivered_messages += 1
        form = message.chunks if chunk_codecs(message.chunks) <= delivery.codecs else message.form(PLAIN)
        if len(form) == len(message.chunks):
            enqueue(form)
            delivery.passed((message.offset or 0) + 1)
            return

        def decode() -> list[StoredChunk]:
            return [recode_chunk(chunk, PLAIN, 1) for chunk in message.chunks]

        def deliver(result: list[StoredChunk] | BaseException) -> None:
            if isinstance(result, BaseException):
                logger.warning("message %s of %s cannot be decoded: %s", message.offset, self._source.name, result)
                if isinstance(self._source, Stream) and message.offset is not None:
                    gap = Gap(self._source.id, Code.CORRUPT_PAYLOAD, message.offset, message.offset)
                    delivery.leave_out(member, gap)
            else:
                message.variants[PLAIN] = result
                if self._source in member.memberships:
                    enqueue(result)
            delivery.passed((message.offset or 0) + 1)

        self._queue.submit(decode, deliver, next_in_turn=True)

    def send_whole(
        self, message: LargeMessage, delivery: DeliveryClass, members: list[Connection], *, repeated: bool = False
    ) -> None:
        """Bring a large message that has its offset to receivers that take no chunks; ``repeated`` as above."""

        def deliver(result: Run | Gap | BaseException) -> None:
            delivery.flush()
            if isinstance(result, RequestRefused):
                if isinstance(self._source, InboxSource):
                    self._source.refuse(message.publisher, message.offset or 0, result)
                return
            for member in members:
                if self._source not in member.memberships:
                    continue
                if isinstance(result, Run):
                    held = delivery.got_whole(member)
                    member.enqueue((result,), again=repeated and held)
                elif isinstance(result, Gap):
                    member.send(result)
                else:
                    logger.warning("message %s of %s cannot be written: %s", message.offset, self._source.name, result)
            delivery.passed((message.offset or 0) + 1)

        if members:
            delivery.delivered_messages += len(members)
            form = delivery.format
            assert not form.takes_chunks
            self._queue.submit(partial(in_one_piece, form, message), deliver, next_in_turn=True)
