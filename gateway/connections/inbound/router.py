"""Router: publishes messages to their streams. The hot path: synchronous, no object per message.

A run of small messages to one stream is checked header by header, gets its offsets written into the frames in place,
and is passed on as one :class:`~gateway.streams.run.Run`. All other frames take the general path, one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from gateway.connections.fanout.fanout import Fanout
from gateway.connections.fanout.patch_merger import PatchMerger
from gateway.connections.fanout.recode import codec_names
from gateway.connections.fanout.state_fanout import StateFanout
from gateway.connections.fanout.transcoder import RECODE_BYTES
from gateway.connections.inbound.chunked_uploads import ChunkedUploads
from gateway.connections.inbound.commit_gate import CommitGate, accept_run
from gateway.connections.inbound.partial_uploads import PartialUploads
from gateway.connections.inbound.payload import check_payload, cut_as_run, frame_as_run
from gateway.connections.inbound.run_patching import VECTOR_FRAMES, patch_run
from gateway.connections.sessions.session import AliasBinding, Session
from gateway.errors import Code, RequestRefused, fresh
from gateway.protocol.data import DataFrame, parse_data
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.frames import Frame
from gateway.protocol.limits import Limits
from gateway.protocol.meta import Meta, parse_meta
from gateway.protocol.regions import Region
from gateway.protocol.signals import Ack
from gateway.protocol.wire import (
    ALIGNMENT,
    BATCH_BLOCK,
    DATA_HEADER,
    DATA_ROUTE,
    FLAG_ACK,
    FLAG_CHUNKED,
    FLAG_ENCODED,
    FLAG_EXTENDED,
    ROUTE_AT,
    Buffer,
    Opcode,
)
from gateway.streams.expansion import Expansion
from gateway.streams.run import Run
from gateway.streams.stream import Stream

_MESSAGE = int(Opcode.MESSAGE)
_SPECIAL = FLAG_ENCODED | FLAG_CHUNKED | FLAG_EXTENDED
_HEADER_BYTES = DATA_HEADER.size
_NO_CODECS: frozenset[str] = frozenset()
_MAX_SEQUENCE = 2**64 - 1

RUN_BYTES: Final = 256 * 1024
"""Most bytes of one run: a step of at most some hundred microseconds."""
LOOP_BYTES: Final = 64 * 1024
"""Most bytes of one run that are patched frame by frame."""

MAX_KEPT_META_BYTES: Final = 1024
"""Longest meta block by which the next messages to an alias are recognized: a connection has thousands of aliases."""


class InboundMessage:
    """WebSocket message from a client.

    Attributes:
        data: its bytes; nobody but :class:`Router` changes them, and only those of messages that it publishes.
        size: their number, a multiple of 8.
    """

    __slots__ = ("_patched", "_view", "data", "size")

    def __init__(self, data: Buffer) -> None:
        self.data = data
        self.size = len(data)
        self._view: memoryview | None = None
        self._patched: bytearray | memoryview | None = None

    @property
    def view(self) -> memoryview:
        """View of the same bytes."""
        if self._view is None:
            self._view = memoryview(self.data)
        return self._view

    def patched(self) -> bytearray | memoryview:
        """Return the bytes for offsets to be written into, shared by all runs of small messages in this message.

        They are a copy, unless the message is in memory of its own that can be written.
        """
        if self._patched is None:
            data = self.data
            self._patched = data if isinstance(data, memoryview) and not data.readonly else bytearray(data)
        return self._patched


class Router:
    """Router of messages and record batches.

    Args:
        limits: bounds of the gateway.
        uploads: receives large messages.
        partial_uploads: keeps the uploads that are not complete.
        gate: commits messages to their streams.
        merger: checks and makes patches.
        expansion: bound on encoded states.
    """

    def __init__(
        self,
        limits: Limits,
        uploads: ChunkedUploads,
        partial_uploads: PartialUploads,
        gate: CommitGate,
        merger: PatchMerger,
        expansion: Expansion,
    ) -> None:
        self._expansion = expansion
        self._limits = limits
        self._gate = gate
        self._uploads = uploads
        self._partial_uploads = partial_uploads
        self._merger = merger

    def publish_run(self, session: Session, incoming: InboundMessage, at: int) -> int:
        """Publish the messages from ``at`` on that have length and meta block of the last one to their alias.

        Stops before the first frame that differs, and behind a frame of ``RECODE_BYTES`` or more.

        Returns:
            index at which the next frame starts; 0 if the frame at ``at`` itself differs: then it needs
            :meth:`publish_frame`.
        """
        data = incoming.data
        size = incoming.size
        if size - at > RUN_BYTES:
            size = at + RUN_BYTES
        if size - at < _HEADER_BYTES:
            return 0
        unpack = DATA_HEADER.unpack_from
        frame_bytes, _, flags, meta_units, alias, _, sequence, _ = unpack(data, at)
        binding = session.bindings.get(alias)
        if binding is None or frame_bytes != binding.frame_bytes or flags & _SPECIAL:
            return 0
        stream, fanout = binding.stream, binding.fanout
        if stream is None or fanout is None or stream.schema is not binding.schema:
            return 0
        if not stream.takes_all and self._lacks_room(stream, fanout):
            return 0
        expected = binding.next_sequence
        if frame_bytes >= RECODE_BYTES:
            run = self._cut_larger(session, incoming, at, binding)
            if run is None:
                return 0
            at += run.size
            expected += 1
        else:
            meta = binding.meta
            meta_bytes = len(meta)
            meta_at = at + _HEADER_BYTES
            if (
                sequence != expected
                or at + frame_bytes > size
                or data[meta_at : meta_at + meta_bytes] != meta
                or meta_units * ALIGNMENT != meta_bytes
            ):
                return 0
            padded_bytes = (frame_bytes + 7) & -8
            patched = incoming.patched()
            peer = session.peer.id
            start = at
            first = offset = stream.next_offset
            if size - at >= VECTOR_FRAMES * padded_bytes:
                offset += patch_run(incoming.view[:size], patched, at, binding, peer, first)
            if offset > first:
                expected += offset - first
                at += (offset - first) * padded_bytes
            else:
                if size - at > LOOP_BYTES:
                    size = at + LOOP_BYTES
                patch = DATA_ROUTE.pack_into
                # Per message: 0.55 us (CPython 3.11, EPYC 9005, November 2026). A frame as long as the last good one
                # and with the same meta block has the right payload length, and lies within the message if its end
                # does.
                while True:
                    patch(patched, at + ROUTE_AT, stream.id, peer, offset)
                    offset += 1
                    expected += 1
                    at += padded_bytes
                    if size - at < _HEADER_BYTES:
                        break
                    next_bytes, opcode, next_flags, meta_units, next_alias, _, sequence, _ = unpack(data, at)
                    meta_at = at + _HEADER_BYTES
                    if (
                        opcode != _MESSAGE
                        or next_alias != alias
                        or next_bytes != frame_bytes
                        or next_flags & _SPECIAL
                        or sequence != expected
                        or at + frame_bytes > size
                        or data[meta_at : meta_at + meta_bytes] != meta
                        or meta_units * ALIGNMENT != meta_bytes
                    ):
                        break
                    flags |= next_flags
            frames = memoryview(patched)[start:at] if at - start != incoming.size else patched
            run = Run(stream, first, offset - first, (frames,), at - start, at - start - padded_bytes, 1)
        binding.next_sequence = expected
        if stream.durable:
            deliver = partial(fanout.deliver, run)
            self._gate.commit(session, binding, run, expected - run.count, deliver, ack=bool(flags & FLAG_ACK))
            return at
        # CommitGate.commit, written out to save two calls per run.
        stream.append_run(run)
        if binding.window is not None:
            accept_run(binding.window, run, expected - run.count)
        fanout.deliver(run)
        if flags & FLAG_ACK:
            fanout.acknowledge(session.connection, Ack(alias, run.count, expected - 1, run.first + run.count - 1))
        return at

    def _lacks_room(self, stream: Stream, fanout: Fanout) -> bool:
        """Return whether the next message to a stream may be refused, or counts as one that expands."""
        return (
            (stream.kind.acknowledged and fanout.queue_full)
            or (stream.durable and self._gate.full)
            or stream.expanded_bytes > 0
        )

    def _cut_larger(self, session: Session, incoming: InboundMessage, at: int, binding: AliasBinding) -> Run | None:
        """Return the larger frame at ``at`` as a run, if it differs from the last one to its alias by its payload only.

        ``None`` if it differs in more, or has to be encoded for some receivers.
        """
        stream, fanout, data = binding.stream, binding.fanout, incoming.data
        frame_bytes, _, _, meta_units, _, _, sequence, _ = DATA_HEADER.unpack_from(data, at)
        payload_at = at + _HEADER_BYTES + len(binding.meta)
        if (
            stream is None
            or fanout is None
            or sequence != binding.next_sequence
            or at + frame_bytes > incoming.size
            or data[at + _HEADER_BYTES : payload_at] != binding.meta
            or meta_units * ALIGNMENT != len(binding.meta)
            or fanout.chains_for(
                _NO_CODECS, incoming.view[payload_at : at + frame_bytes], binding.element, binding.meta
            )
        ):
            return None
        fanout.hold_back(session.connection.reading)
        after = (at + frame_bytes + 7) & -8
        peer = session.peer.id
        return cut_as_run(incoming.view, at, payload_at, after, stream, peer, stream.next_offset, 1)

    def publish_frame(self, session: Session, incoming: InboundMessage, frame: Frame) -> None:
        """Publish one MESSAGE or BATCH of any size and encoding, or begin a large one; answer ERROR if it is refused.

        Raises:
            ProtocolViolation: ``MALFORMED_FRAME``.
        """
        parsed = _parse(incoming, frame)
        if isinstance(parsed, DataFrame):
            flags, alias, sequence, count = parsed.flags, parsed.stream, parsed.offset, parsed.count
        else:
            _, _, flags, _, alias, _, sequence, _ = DATA_HEADER.unpack_from(incoming.data, frame.start)
            is_batch = frame.opcode == Opcode.BATCH
            count = BATCH_BLOCK.unpack_from(incoming.data, frame.start + _HEADER_BYTES)[0] if is_batch else 1
        used: AliasBinding | None = None
        try:
            binding = self._binding_of(session, alias)
            if sequence < binding.next_sequence or (binding.window is None and sequence != binding.next_sequence):
                message = f"sequence {sequence} to alias {alias}; the next is {binding.next_sequence}"
                raise RequestRefused(Code.BAD_SEQUENCE, message)
            # From here on the sequence is used up, refused or not.
            binding.next_sequence = sequence + count
            if binding.transfer is not None:
                message = f"message to alias {alias} while transfer {binding.transfer} to it is under way"
                raise RequestRefused(Code.BROKEN_TRANSFER, message)
            used = binding
            if binding.window is not None and self._repeated(session, binding, alias, flags, sequence, max(count, 1)):
                return
            if isinstance(parsed, RequestRefused):
                raise parsed
            self._publish(session, incoming, frame, parsed, binding)
        except RequestRefused as refusal:
            count = max(count, 1)
            last = min(sequence + count - 1, _MAX_SEQUENCE)
            if used is not None and used.window is not None:
                used.window.refuse(sequence, count, refusal.code)
            session.refuse(refusal, alias=alias, sequence=last, count=count)

    def _repeated(
        self, session: Session, binding: AliasBinding, alias: int, flags: int, sequence: int, count: int
    ) -> bool:
        """Return whether a message was published before; then it is only acknowledged (spec section 4.6).

        Raises:
            RequestRefused: the message was refused before, or its outcome is not known any more.
        """
        assert binding.window is not None
        offset = binding.window.offset_of(sequence, count)
        if offset is None:
            return False
        assert binding.stream is not None
        assert binding.fanout is not None
        acknowledge = partial(binding.fanout.acknowledge, session.connection)
        last = sequence + count - 1
        ack = Ack(alias, count, last, offset + count - 1, binding.stream.durability, repeated=True)

        def answer() -> None:
            if flags & FLAG_ACK:
                acknowledge(ack)

        def refuse(refusal: RequestRefused) -> None:
            session.refuse(refusal, alias=alias, sequence=last, count=count)

        # The earlier publish may still be on its way to the store.
        self._gate.follow(binding.stream, answer, refuse)
        return True

    def _binding_of(self, session: Session, alias: int) -> AliasBinding:
        binding = session.bindings.get(alias)
        if binding is None:
            raise session.not_open(alias, self._limits.max_aliases)
        if binding.refusal is not None:
            raise fresh(binding.refusal)
        if binding.stream is None:
            message = f"alias {alias} is the address {binding.name}: send it a REQUEST"
            raise RequestRefused(Code.INVALID_NAME, message)
        binding.stream.check_open()
        return binding

    def _publish(
        self, session: Session, incoming: InboundMessage, frame: Frame, parsed: DataFrame, binding: AliasBinding
    ) -> None:
        stream, fanout, connection = binding.stream, binding.fanout, session.connection
        assert stream is not None
        assert fanout is not None
        ack = bool(parsed.flags & FLAG_ACK)
        # Turns are for those who learn that a message was refused and send it again.
        if stream.kind.acknowledged and fanout.queue_full and not (ack and fanout.takes_turn(connection)):
            raise RequestRefused(Code.QUEUE_FULL, fanout.why_full())
        if stream.durable:
            self._gate.check_room()
        meta = parse_meta(parsed.meta)
        region = None if parsed.extensions is None else parsed.extensions.region
        if region is not None:
            self._merger.check(stream, Region(region), parsed.opcode, meta)
        elif stream.schema is not None:
            stream.schema.check(meta.specs, stream.name)
        if parsed.plan is not None:
            self._uploads.begin_publish(session, parsed, meta, binding)
            return
        if binding.window is not None:
            self._partial_uploads.abandon_waiting(binding.window)
        element = check_payload(parsed, meta, connection.profile.codecs, self._limits)
        if region is None and (parsed.encoding is not None or stream.expanded_bytes):
            decoded_bytes = 0 if parsed.encoding is None else parsed.encoding.decoded_bytes
            self._expansion.replace(stream, len(parsed.payload), decoded_bytes)
        run = frame_as_run(incoming.data, frame, parsed, stream, session.peer.id, stream.next_offset)
        if region is not None:
            run = patch = self._merger.take_run(stream, run, parsed, session.peer.id, Region(region))
            names = _NO_CODECS if parsed.encoding is None else codec_names(parsed.encoding.ids)
            assert isinstance(fanout, StateFanout)
            deliver: Callable[[], object] = partial(fanout.deliver_patch, patch, names)
        else:
            deliver = self._delivery_of(run, meta, parsed, binding, element, session.peer.id)
        self._gate.commit(session, binding, run, parsed.offset, deliver, ack=ack)
        fanout.hold_back(connection.reading)

    def _delivery_of(
        self, run: Run, meta: Meta, parsed: DataFrame, binding: AliasBinding, element: DTypeLike, publisher: int
    ) -> Callable[[], object]:
        """Return the delivery of a message that is no patch; :meth:`publish_run` takes the next ones like it."""
        fanout = binding.fanout
        assert fanout is not None
        plain = parsed.encoding is None
        if parsed.opcode == _MESSAGE and plain and meta.headers is None and len(parsed.meta) <= MAX_KEPT_META_BYTES:
            binding.meta, binding.element = bytes(parsed.meta), element
            binding.frame_bytes = _HEADER_BYTES + len(parsed.meta) + len(parsed.payload)
            binding.schema = None if binding.stream is None else binding.stream.schema
        if plain and len(parsed.payload) < RECODE_BYTES:
            return partial(fanout.deliver, run)
        return partial(fanout.deliver_frame, run, parsed, publisher, element)


def _parse(incoming: InboundMessage, frame: Frame) -> DataFrame | RequestRefused:
    """Return the frame in blocks, or its refusal, which is raised once its sequence is used up."""
    try:
        return parse_data(incoming.view, frame)
    except RequestRefused as refusal:
        return refusal
