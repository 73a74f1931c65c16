"""Decoding of one session: takes payloads out of data frames, in place if plain, in threads if large and encoded.

The module knows codecs and transfers. The receiver of a message is a *destination*, of which the module knows no more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

from gateway.client.decoding.decode_meter import DecodeMeter
from gateway.client.decoding.delta_bases import DeltaBase, DeltaBases, base_of
from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.client.decoding.partial_transfers import PartialTransfers
from gateway.client.decoding.payload_memory import PayloadMemory
from gateway.client.decoding.running_checksum import RunningChecksum
from gateway.client.messages.read_flow_control import ReadFlowControl
from gateway.client.workers import WORKERS
from gateway.errors import Code, RequestRefused
from gateway.protocol.codecs import COMPRESSORS, FILTERS
from gateway.protocol.encoding import Encoding
from gateway.protocol.frames import Frame
from gateway.protocol.messages import Welcome
from gateway.protocol.reorder_buffer import ReorderBuffer
from gateway.protocol.signals import Abort, End
from gateway.protocol.transfers import Assembler, Chunk, begun_chunk, parse_chunk
from gateway.protocol.wire import Buffer
from gateway.websocket.frame_reader import Placement

INLINE_DECODE_BYTES: Final = 64 * 1024
"""Largest decoded size of a payload that is decoded on the loop; larger ones are decoded in a thread."""
WAITING_BYTES: Final = 32 * 1024 * 1024
"""Encoded bytes that may wait for threads; past this bound the socket is not read."""

ABORTED: Final[dict[int, str]] = {
    Code.TRANSFER_TIMEOUT: "a large message has not gone on in time: its sender is gone or too slow",
}
"""Words for the codes with which the gateway, and not their sender, ends large messages."""


class Destination(Protocol):
    """Receiver of decoded messages: a stream of a subscription, a request, a responder."""

    @property
    def order(self) -> ReorderBuffer:
        """Buffer that keeps messages in their order when decoding some of them takes longer."""

    @property
    def bases(self) -> DeltaBases | None:
        """Versions that deltas refer to; ``None``: the destination gets no deltas."""

    def deliver(self, inbound: InboundFrame, payload: Buffer) -> None:
        """Take a decoded message."""

    def fail(self, error: Exception, inbound: InboundFrame | None) -> None:
        """Take the error of a message that cannot be decoded, or was aborted.

        Args:
            error: reason.
            inbound: data frame of the message; ``None``: not even its descriptors could be read.
        """

    def advanced(self, received_bytes: int, payload_bytes: int) -> None:
        """Note that more of a large message has arrived."""


@dataclass(slots=True, eq=False)
class Transfer:
    """Large message whose chunks arrive."""

    owner: Decoding
    """Decoding of the session that brings the chunks."""
    head: InboundFrame
    """Data frame that began the transfer, or continues the transfer on this session."""
    assembler: Assembler
    destination: Destination
    base: DeltaBase | None
    """Newest version of the stream when the transfer began: delta chunks refer to it."""
    checksum: RunningChecksum
    next_index: int = 0
    """Index of the first chunk that has not arrived."""
    expected_checksum: int | None = None
    """Checksum that END names; ``None``: END has not arrived, or names none."""
    chunks: deque[Chunk] = field(default_factory=deque)
    """Chunks that wait to be decoded in a thread."""
    working: bool = False
    """Whether a thread decodes a chunk, or is about to."""
    finished: asyncio.Future[Buffer] | None = None
    """Promise of the payload, since END has arrived."""
    error: Exception | None = None
    """First error; chunks that arrive after it are skipped."""


class Decoding:
    """Payloads and transfers of one session that are being received."""

    def __init__(
        self,
        welcome: Welcome,
        flow: ReadFlowControl,
        now_ns: Callable[[], int],
        *,
        max_message_bytes: int,
        max_transfers: int,
        partial_transfers: PartialTransfers,
        meter: DecodeMeter,
    ) -> None:
        self._meter = meter
        self._partial_transfers = partial_transfers
        self._loop = asyncio.get_running_loop()
        self._flow = flow
        self._now_ns = now_ns
        self._max_message_bytes = max_message_bytes
        self._max_transfers = max_transfers
        self._transfers: dict[int, Transfer] = {}
        self._memory = PayloadMemory(self._loop, self._transfers)
        self._waiting_bytes = 0
        codecs = [COMPRESSORS[name].id for name in welcome.codecs if name in COMPRESSORS]
        filters = [FILTERS[name].id for name in welcome.filters if name in FILTERS]
        self._agreed = frozenset(codecs + filters)

    def receive(self, inbound: InboundFrame, destination: Destination) -> None:
        """Decode a data frame, or begin a transfer; deliver the message now or later, in order.

        Raises:
            RequestRefused: ``UNKNOWN_CODEC``, ``MESSAGE_TOO_BIG``, ``LIMIT_EXCEEDED`` or ``CORRUPT_PAYLOAD``.
        """
        frame = inbound.frame
        if frame.plan is not None:
            self._begin(inbound, destination)
        elif frame.encoding is not None:
            self._decode(inbound, frame.encoding, destination)
        else:
            self._check_size(inbound)
            _set_base(destination, inbound, frame.payload)
            if destination.order.idle:
                destination.deliver(inbound, frame.payload)
            else:
                destination.order.add_ready(lambda: destination.deliver(inbound, frame.payload))

    def chunk_received(self, message: memoryview, frame: Frame) -> None:
        """Handle CHUNK (spec section 6.2). Skip a chunk of a transfer that is not open."""
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
        self._count_waiting(len(chunk.data))
        transfer.chunks.append(chunk)
        if not transfer.working:
            transfer.working = True
            self._decode_next(transfer)

    def place(self, beginning: memoryview, size: int) -> Placement | None:
        """Return the place in its array of a plain chunk on its way, if the chunk is the next of an open transfer."""
        begun = begun_chunk(beginning, size)
        if begun is None:
            return None
        number, index, nbytes = begun
        transfer = self._transfers.get(number)
        if transfer is None or transfer.working or transfer.error is not None:
            return None
        room = transfer.assembler.room(index, nbytes)
        return None if room is None else Placement(room, partial(self._placed, number, transfer, index))

    def _placed(self, number: int, transfer: Transfer, index: int) -> None:
        """Take a chunk that is complete in its place, unless its transfer has ended meanwhile."""
        if self._transfers.get(number) is transfer and transfer.error is None:
            transfer.next_index = index + 1
            transfer.assembler.filled(index)
            self._tell_progress(transfer)

    def end_received(self, message: memoryview, frame: Frame) -> None:
        """Handle END (spec section 6.3)."""
        end = End.parse(message, frame)
        transfer = self._transfers.pop(end.transfer, None)
        if transfer is None:
            return
        self._memory.keep(transfer.assembler.received())
        inbound, destination = transfer.head, transfer.destination
        inbound.offset, inbound.offset_known = end.offset, True
        inbound.received_ns = self._now_ns()
        transfer.expected_checksum = end.checksum
        transfer.finished = self._loop.create_future()
        _set_base(destination, inbound, transfer.finished)
        self._finish_in_order(destination, inbound, transfer.finished)
        if not transfer.working:
            self._complete(transfer)

    def abort_received(self, message: memoryview, frame: Frame) -> None:
        """Handle ABORT (spec section 6.4)."""
        abort = Abort.parse(message, frame)
        transfer = self._transfers.pop(abort.transfer, None)
        if transfer is not None:
            self._memory.keep(transfer.assembler.received())
            transfer.error = RequestRefused(abort.code, ABORTED.get(abort.code, "its sender has ended a large message"))
            transfer.destination.fail(transfer.error, transfer.head)

    def close(self) -> list[Transfer]:
        """End the decoding, since the session has ended. Complete messages are still delivered.

        Returns:
            The transfers that are not complete; another session may continue them.
        """
        left = [transfer for transfer in self._transfers.values() if transfer.error is None]
        for transfer in left:
            transfer.next_index -= len(transfer.chunks)
            transfer.chunks.clear()
        self._transfers.clear()
        self._memory.clear()
        self._waiting_bytes = 0
        self._flow.drain(self)
        return left

    # Encoded payloads in one frame.

    def _decode(self, inbound: InboundFrame, encoding: Encoding, destination: Destination) -> None:
        if not encoding.ids <= self._agreed:
            raise _not_agreed(encoding)
        self._check_size(inbound)
        data = inbound.frame.payload
        base = self._find_base(inbound, encoding, _newest(destination))
        if (
            inbound.payload_bytes <= INLINE_DECODE_BYTES
            and destination.order.idle
            and (base is None or not base.pending)
        ):
            payload = self._meter.decode(encoding, data, base=None if base is None else base.payload())
            _set_base(destination, inbound, payload)
            destination.deliver(inbound, payload)
            return
        self._count_waiting(len(data))
        work: asyncio.Future[Buffer]
        if base is None or not base.pending:
            work = WORKERS.run(self._meter.decode, encoding, data, base=None if base is None else base.payload())
        else:
            work = self._loop.create_task(self._decode_behind(base, encoding, data))
        work.add_done_callback(lambda _: self._count_waiting(-len(data)))
        _set_base(destination, inbound, work)
        self._finish_in_order(destination, inbound, work)

    async def _decode_behind(self, base: DeltaBase, encoding: Encoding, data: Buffer) -> Buffer:
        """Wait until the base of a delta is decoded, then decode the delta."""
        if base.pending is not None:
            await asyncio.wait([base.pending])
        return await WORKERS.run(self._meter.decode, encoding, data, base=base.payload())

    def _find_base(
        self, inbound: InboundFrame, encoding: Encoding | None, newest: DeltaBase | None
    ) -> DeltaBase | None:
        """Return the version that a payload or chunk refers to; ``None`` if the encoding has no delta."""
        if encoding is None or not encoding.distance:
            return None
        return base_of(newest, inbound.frame.offset - encoding.distance, inbound.payload_bytes)

    # Large messages.

    def _begin(self, inbound: InboundFrame, destination: Destination) -> None:
        plan = inbound.frame.plan
        assert plan is not None
        if len(self._transfers) >= self._max_transfers:
            raise RequestRefused(Code.LIMIT_EXCEEDED, f"more than {self._max_transfers} large messages under way")
        if inbound.frame.resuming:
            transfer = self._partial_transfers.take(inbound)
            assert isinstance(transfer, Transfer)
            transfer.owner, transfer.head, transfer.destination = self, inbound, destination
        else:
            assembler = Assembler(plan, max_message_bytes=self._max_message_bytes, memory=self._memory.take)
            checksum = RunningChecksum(assembler)
            transfer = Transfer(self, inbound, assembler, destination, _newest(destination), checksum)
        self._transfers[plan.transfer] = transfer

    def _assemble(self, transfer: Transfer, chunk: Chunk) -> None:
        try:
            transfer.assembler.receive(chunk)
        except RequestRefused as error:
            transfer.error = error
        else:
            self._tell_progress(transfer)

    def _decode_next(self, transfer: Transfer) -> None:
        """Decode the next chunk of a transfer in a thread: one chunk of each transfer at a time."""
        if not transfer.chunks or transfer.error is not None:
            transfer.owner._count_waiting(-sum(len(chunk.data) for chunk in transfer.chunks))
            transfer.chunks.clear()
            transfer.working = False
            if transfer.finished is not None:
                self._complete(transfer)
            return
        chunk = transfer.chunks.popleft()
        try:
            base = self._find_base(transfer.head, chunk.encoding, transfer.base)
            if base is not None and base.pending is not None:
                transfer.chunks.appendleft(chunk)
                base.pending.add_done_callback(lambda _: self._decode_next(transfer))
                return
            payload = None if base is None else base.payload()
        except RequestRefused as error:
            transfer.error = error
            transfer.owner._count_waiting(-len(chunk.data))
            self._decode_next(transfer)
            return
        work = WORKERS.run(self._meter.assemble, transfer.assembler, chunk, base=payload)
        work.add_done_callback(lambda _: self._decoded(transfer, chunk, work))

    def _decoded(self, transfer: Transfer, chunk: Chunk, work: asyncio.Future[None]) -> None:
        transfer.owner._count_waiting(-len(chunk.data))
        try:
            work.result()
        except Exception as error:  # noqa: BLE001 - handed to the destination of the message
            transfer.error = error
        else:
            self._tell_progress(transfer)
        self._decode_next(transfer)

    def _complete(self, transfer: Transfer) -> None:
        """Check the checksum: END has arrived and every chunk is decoded."""
        if transfer.error is not None or transfer.expected_checksum is None or not transfer.assembler.complete:
            self._settle(transfer)
        else:
            transfer.checksum.finish(partial(self._check, transfer))

    def _check(self, transfer: Transfer, checksum: int) -> None:
        """Compare the checksum of the complete payload with the one that END names."""
        if checksum != transfer.expected_checksum:
            problem = f"{transfer.head.payload_bytes} bytes with checksum {checksum:#010x}, their sender has computed"
            transfer.error = RequestRefused(Code.CORRUPT_PAYLOAD, f"{problem} {transfer.expected_checksum:#010x}")
        self._settle(transfer)

    def _settle(self, transfer: Transfer) -> None:
        assert transfer.finished is not None
        try:
            if transfer.error is not None:
                raise transfer.error
            transfer.finished.set_result(transfer.assembler.payload())
        except Exception as error:  # noqa: BLE001 - handed to the destination of the message
            transfer.finished.set_exception(error)

    def _tell_progress(self, transfer: Transfer) -> None:
        transfer.checksum.advance()
        transfer.destination.advanced(transfer.assembler.received_bytes, transfer.head.payload_bytes)

    # Checks and bounds.

    def _finish_in_order(self, destination: Destination, inbound: InboundFrame, work: asyncio.Future[Buffer]) -> None:
        slot = destination.order.reserve()
        work.add_done_callback(lambda work: slot.fill(lambda: self._finish(destination, inbound, work)))

    def _finish(self, destination: Destination, inbound: InboundFrame, work: asyncio.Future[Buffer]) -> None:
        try:
            payload = work.result()
        except Exception as error:  # noqa: BLE001 - handed to the destination of the message
            destination.fail(error, inbound)
        else:
            destination.deliver(inbound, payload)

    def _check_size(self, inbound: InboundFrame) -> None:
        if inbound.payload_bytes > self._max_message_bytes:
            raise RequestRefused(
                Code.MESSAGE_TOO_BIG,
                f"payload of {inbound.payload_bytes} bytes exceeds max_message_bytes={self._max_message_bytes}"
                " of this client: raise it, or split the tensor",
            )

    def _count_waiting(self, size: int) -> None:
        """Count ``size`` more bytes that wait for threads; stop or resume reading the socket at the bound."""
        before, self._waiting_bytes = self._waiting_bytes, max(0, self._waiting_bytes + size)
        if self._waiting_bytes > WAITING_BYTES >= before:
            self._flow.fill(self, stuffed=True)
        elif self._waiting_bytes <= WAITING_BYTES < before:
            self._flow.drain(self)


def _newest(destination: Destination) -> DeltaBase | None:
    return None if destination.bases is None else destination.bases.newest


def _set_base(destination: Destination, inbound: InboundFrame, payload: Buffer | asyncio.Future[Buffer]) -> None:
    bases, frame = destination.bases, inbound.frame
    if bases is None:
        return
    if frame.extensions is not None and frame.extensions.region is not None:
        bases.newest = None  # a patch: no delta refers to the version that it makes
    else:
        bases.set_newest(inbound.offset, frame.count, inbound.payload_bytes, payload)


def _not_agreed(encoding: Encoding) -> RequestRefused:
    steps = [tuple(step) for step in encoding.steps]
    return RequestRefused(Code.UNKNOWN_CODEC, f"codec chain {steps} was not agreed on")
