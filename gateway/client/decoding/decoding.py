"""Gets payloads out of data frames: in place where they are plain, in threads where they are large and encoded.

Knows codecs and transfers, one session's worth of them. Must not know who the messages are for: that is a
*destination*.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from gateway.client.decoding.delta_bases import DeltaBase, DeltaBases, base_of
from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.client.decoding.partial_transfers import PartialTransfers
from gateway.client.decoding.running_checksum import RunningChecksum
from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.errors import Code, RequestRefused
from gateway.protocol.codecs import COMPRESSORS, FILTERS
from gateway.protocol.encoding import Encoding, decode
from gateway.protocol.frames import Frame
from gateway.protocol.messages import Welcome
from gateway.protocol.reorder_buffer import ReorderBuffer
from gateway.protocol.signals import Abort, End
from gateway.protocol.transfers import Assembler, Chunk, parse_chunk
from gateway.protocol.wire import Buffer

INLINE_DECODE_BYTES: Final = 64 * 1024
"""What decodes to more than this does so in a thread."""
WAITING_BYTES: Final = 32 * 1024 * 1024
"""So much encoded data may wait for threads before the socket is not read any more."""


class Destination(Protocol):
    """Where a message goes when it is decoded."""

    @property
    def order(self) -> ReorderBuffer:
        """What its messages wait in when some of them take longer."""

    @property
    def bases(self) -> DeltaBases | None:
        """What deltas refer to; None: nothing of it comes as one."""

    def deliver(self, arrival: InboundFrame, payload: Buffer) -> None:
        """The message, decoded."""

    def fail(self, error: Exception, arrival: InboundFrame | None) -> None:
        """A message cannot be decoded, or ended early; None: not even its descriptors could be read."""

    def advanced(self, received_bytes: int, payload_bytes: int) -> None:
        """A large message grows."""


class Transfer:
    """A large message under way."""

    __slots__ = (
        "arrival",
        "assembler",
        "base",
        "checksum",
        "chunks",
        "destination",
        "error",
        "expected_checksum",
        "finished",
        "next_index",
        "owner",
        "working",
    )

    def __init__(self, owner: Decoding, arrival: InboundFrame, assembler: Assembler, destination: Destination) -> None:
        self.owner = owner
        self.next_index = 0
        self.arrival = arrival
        self.assembler = assembler
        self.checksum = RunningChecksum(assembler)
        self.expected_checksum: int | None = None
        self.destination = destination
        self.base = _newest(destination)
        self.chunks: deque[Chunk] = deque()
        self.working = False
        self.finished: asyncio.Future[Buffer] | None = None
        self.error: Exception | None = None


class Decoding:
    """All that is being received on one session."""

    def __init__(
        self,
        welcome: Welcome,
        flow: ReadFlowControl,
        now_ns: Callable[[], int],
        *,
        max_message_bytes: int,
        max_transfers: int,
        unfinished: PartialTransfers,
    ) -> None:
        self._unfinished = unfinished
        self._loop = asyncio.get_running_loop()
        self._flow = flow
        self._now_ns = now_ns
        self._max_message_bytes = max_message_bytes
        self._max_transfers = max_transfers
        self._transfers: dict[int, Transfer] = {}
        self._waiting_bytes = 0
        codecs = [COMPRESSORS[name].id for name in welcome.codecs if name in COMPRESSORS]
        filters = [FILTERS[name].id for name in welcome.filters if name in FILTERS]
        self._agreed = frozenset(codecs + filters)

    def receive(self, arrival: InboundFrame, destination: Destination) -> None:
        """Take a data frame.

        Raises:
            RequestRefused: ``UNKNOWN_CODEC``, ``MESSAGE_TOO_BIG``, ``LIMIT_EXCEEDED``; ``CORRUPT_PAYLOAD``.
        """
        frame = arrival.frame
        if frame.plan is not None:
            self._begin(arrival, destination)
        elif frame.encoding is not None:
            self._decode(arrival, frame.encoding, destination)
        else:
            _hold(destination, arrival, frame.payload)
            if destination.order.idle:
                destination.deliver(arrival, frame.payload)
            else:
                destination.order.add_ready(lambda: destination.deliver(arrival, frame.payload))

    def chunk_received(self, message: memoryview, frame: Frame) -> None:
        """CHUNK (spec section 6.2). One of a transfer that is not open is skipped."""
        chunk = parse_chunk(message, frame)
        transfer = self._transfers.get(chunk.transfer)
        if transfer is None or transfer.error is not None:
            return
        transfer.next_index = chunk.index + 1
        if chunk.encoding is None and not transfer.working:
            self._assemble(transfer, chunk)
            return
        if chunk.encoding is not None and not chunk.encoding.ids <= self._agreed:
            transfer.error = _not_agreed(chunk.encoding)
            return
        self._wait(len(chunk.data))
        transfer.chunks.append(chunk)
        if not transfer.working:
            transfer.working = True
            self._decode_next(transfer)

    def end_received(self, message: memoryview, frame: Frame) -> None:
        """END (spec section 6.3)."""
        end = End.parse(message, frame)
        transfer = self._transfers.pop(end.transfer, None)
        if transfer is None:
            return
        arrival, destination = transfer.arrival, transfer.destination
        arrival.offset, arrival.placed = end.offset, True
        arrival.received_ns = self._now_ns()
        transfer.expected_checksum = end.checksum
        transfer.finished = self._loop.create_future()
        _hold(destination, arrival, transfer.finished)
        self._finish_in_order(destination, arrival, transfer.finished)
        if not transfer.working:
            self._complete(transfer)

    def abort_received(self, message: memoryview, frame: Frame) -> None:
        """ABORT (spec section 6.4)."""
        abort = Abort.parse(message, frame)
        transfer = self._transfers.pop(abort.transfer, None)
        if transfer is not None:
            transfer.error = RequestRefused(abort.code, "the large message was ended by its sender")
            transfer.destination.fail(transfer.error, transfer.arrival)

    def close(self) -> list[Transfer]:
        """The session is over. What is whole is still delivered.

        Returns:
            What is under way and may go on on another session.
        """
        left = [transfer for transfer in self._transfers.values() if transfer.error is None]
        for transfer in left:
            transfer.next_index -= len(transfer.chunks)
            transfer.chunks.clear()
        self._transfers.clear()
        self._waiting_bytes = 0
        self._flow.drain(self)
        return left

    # Encoded payloads in one frame.

    def _decode(self, arrival: InboundFrame, encoding: Encoding, destination: Destination) -> None:
        if not encoding.ids <= self._agreed:
            raise _not_agreed(encoding)
        self._check_size(arrival)
        data = arrival.frame.payload
        base = self._base_of(arrival, encoding, _newest(destination))
        if (
            arrival.payload_bytes <= INLINE_DECODE_BYTES
            and destination.order.idle
            and (base is None or not base.pending)
        ):
            payload = decode(encoding, data, base=None if base is None else base.payload())
            _hold(destination, arrival, payload)
            destination.deliver(arrival, payload)
            return
        self._wait(len(data))
        work: asyncio.Future[Buffer]
        if base is None or not base.pending:
            decoding = partial(decode, encoding, data, base=None if base is None else base.payload())
            work = self._loop.run_in_executor(None, decoding)
        else:
            work = self._loop.create_task(self._decode_behind(base, encoding, data))
        work.add_done_callback(lambda _: self._wait(-len(data)))
        _hold(destination, arrival, work)
        self._finish_in_order(destination, arrival, work)

    async def _decode_behind(self, base: DeltaBase, encoding: Encoding, data: Buffer) -> Buffer:
        """Decode a delta when what it refers to is decoded."""
        if base.pending is not None:
            await asyncio.wait([base.pending])
        return await self._loop.run_in_executor(None, partial(decode, encoding, data, base=base.payload()))

    def _base_of(self, arrival: InboundFrame, encoding: Encoding | None, newest: DeltaBase | None) -> DeltaBase | None:
        """What a payload or a chunk refers to; None if it is no delta."""
        if encoding is None or not encoding.distance:
            return None
        return base_of(newest, arrival.frame.offset - encoding.distance, arrival.payload_bytes)

    # Large messages.

    def _begin(self, arrival: InboundFrame, destination: Destination) -> None:
        plan = arrival.frame.plan
        assert plan is not None
        if len(self._transfers) >= self._max_transfers:
            raise RequestRefused(Code.LIMIT_EXCEEDED, f"more than {self._max_transfers} large messages under way")
        if arrival.frame.resuming:
            transfer = self._unfinished.take(arrival)
            assert isinstance(transfer, Transfer)
            transfer.owner, transfer.arrival, transfer.destination = self, arrival, destination
        else:
            assembler = Assembler(plan, max_message_bytes=self._max_message_bytes)
            transfer = Transfer(self, arrival, assembler, destination)
        self._transfers[plan.transfer] = transfer

    def _assemble(self, transfer: Transfer, chunk: Chunk) -> None:
        try:
            transfer.assembler.receive(chunk)
        except RequestRefused as error:
            transfer.error = error
        else:
            self._tell_progress(transfer)

    def _decode_next(self, transfer: Transfer) -> None:
        """Decode chunk after chunk of one transfer in threads; transfers do so side by side."""
        if not transfer.chunks or transfer.error is not None:
            transfer.owner._wait(-sum(len(chunk.data) for chunk in transfer.chunks))
            transfer.chunks.clear()
            transfer.working = False
            if transfer.finished is not None:
                self._complete(transfer)
            return
        chunk = transfer.chunks.popleft()
        try:
            base = self._base_of(transfer.arrival, chunk.encoding, transfer.base)
            if base is not None and base.pending is not None:
                transfer.chunks.appendleft(chunk)
                base.pending.add_done_callback(lambda _: self._decode_next(transfer))
                return
            payload = None if base is None else base.payload()
        except RequestRefused as error:
            transfer.error = error
            transfer.owner._wait(-len(chunk.data))
            self._decode_next(transfer)
            return
        work = self._loop.run_in_executor(None, partial(transfer.assembler.receive, chunk, base=payload))
        work.add_done_callback(lambda _: self._decoded(transfer, chunk, work))

    def _decoded(self, transfer: Transfer, chunk: Chunk, work: asyncio.Future[None]) -> None:
        transfer.owner._wait(-len(chunk.data))
        try:
            work.result()
        except Exception as error:  # noqa: BLE001 - handed to whoever the message is for
            transfer.error = error
        else:
            self._tell_progress(transfer)
        self._decode_next(transfer)

    def _complete(self, transfer: Transfer) -> None:
        """END was received and every chunk decoded."""
        if transfer.error is not None or transfer.expected_checksum is None or not transfer.assembler.complete:
            self._settle(transfer)
        else:
            transfer.checksum.finish(partial(self._check, transfer))

    def _check(self, transfer: Transfer, checksum: int) -> None:
        """The checksum of the whole payload is known."""
        if checksum != transfer.expected_checksum:
            problem = (
                f"{transfer.arrival.payload_bytes} bytes with checksum {checksum:#010x}, their sender has computed"
            )
            transfer.error = RequestRefused(Code.CORRUPT_PAYLOAD, f"{problem} {transfer.expected_checksum:#010x}")
        self._settle(transfer)

    def _settle(self, transfer: Transfer) -> None:
        assert transfer.finished is not None
        try:
            if transfer.error is not None:
                raise transfer.error
            transfer.finished.set_result(transfer.assembler.payload())
        except Exception as error:  # noqa: BLE001 - handed to whoever the message is for
            transfer.finished.set_exception(error)

    def _tell_progress(self, transfer: Transfer) -> None:
        transfer.checksum.advance()
        transfer.destination.advanced(transfer.assembler.received_bytes, transfer.arrival.payload_bytes)

    # Checks and bounds.

    def _finish_in_order(self, destination: Destination, arrival: InboundFrame, work: asyncio.Future[Buffer]) -> None:
        slot = destination.order.reserve()
        work.add_done_callback(lambda work: slot.fill(lambda: self._finish(destination, arrival, work)))

    def _finish(self, destination: Destination, arrival: InboundFrame, work: asyncio.Future[Buffer]) -> None:
        try:
            payload = work.result()
        except Exception as error:  # noqa: BLE001 - handed to whoever the message is for
            destination.fail(error, arrival)
        else:
            destination.deliver(arrival, payload)

    def _check_size(self, arrival: InboundFrame) -> None:
        if arrival.payload_bytes > self._max_message_bytes:
            raise RequestRefused(
                Code.MESSAGE_TOO_BIG, f"payload of {arrival.payload_bytes} bytes exceeds {self._max_message_bytes}"
            )

    def _wait(self, size: int) -> None:
        """So many more bytes wait for threads."""
        before, self._waiting_bytes = self._waiting_bytes, max(0, self._waiting_bytes + size)
        if self._waiting_bytes > WAITING_BYTES >= before:
            self._flow.fill(self, stuffed=True)
        elif self._waiting_bytes <= WAITING_BYTES < before:
            self._flow.drain(self)


def _newest(destination: Destination) -> DeltaBase | None:
    return None if destination.bases is None else destination.bases.newest


def _hold(destination: Destination, arrival: InboundFrame, payload: Buffer | asyncio.Future[Buffer]) -> None:
    bases, frame = destination.bases, arrival.frame
    if bases is None:
        return
    if frame.extensions is not None and frame.extensions.region is not None:
        bases.newest = None  # a patch: what it makes of the version before is nothing that deltas refer to
    else:
        bases.hold(arrival.offset, frame.count, arrival.payload_bytes, payload)


def _not_agreed(encoding: Encoding) -> RequestRefused:
    steps = [tuple(step) for step in encoding.steps]
    return RequestRefused(Code.UNKNOWN_CODEC, f"codec chain {steps} was not agreed on")
