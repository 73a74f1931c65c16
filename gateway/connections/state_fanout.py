"""The fan-out of a state stream: versions go out as deltas to those who hold the version before (spec section 10)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from gateway.connections.broadcast import Broadcast
from gateway.connections.connection import Connection
from gateway.connections.delivery import DeliveryClass, Flusher
from gateway.connections.delta import all_integers, delta_run, payload_of, specs_of
from gateway.connections.fanout import RECODE_BYTES, Fanout
from gateway.connections.history_reader import HistoryReader
from gateway.connections.patching import keep_short, takes_patches
from gateway.connections.ports import DeliveryPolicy, Sample, Workers
from gateway.connections.recode import codec_names
from gateway.connections.start import Start
from gateway.connections.state_class import StateClass
from gateway.errors import RequestRefused
from gateway.protocol.codecs import XOR
from gateway.protocol.data import DataFrame
from gateway.protocol.encoding import PLAIN, Chain, Encoding
from gateway.protocol.wire import Buffer, Opcode
from gateway.streams.large import LargeMessage
from gateway.streams.plain_payload import PlainPayload
from gateway.streams.run import Run
from gateway.streams.state import LargePatch, PatchRun
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)


class StateFanout(Fanout):
    """The receivers of one state stream.

    A version is encoded against the one that is published, and so delivered, right before it. Whether that pays, the
    policy says; whether a receiver may get it, its :class:`~gateway.connections.state_class.StateClass`.
    """

    __slots__ = ("_before", "_stream")

    def __init__(
        self, stream: Stream, flusher: Flusher, workers: Workers, policy: DeliveryPolicy, history: HistoryReader
    ) -> None:
        super().__init__(stream, flusher, workers, policy, history)
        self._stream = stream
        self._before: int | None = None
        """The offset of the version that was delivered before the one that is being delivered."""

    def join(self, connection: Connection, start: Start) -> None:
        """See :class:`~gateway.connections.fanout.Fanout`."""
        super().join(connection, start)
        if self._newest is None:
            # The first version refers to nothing.
            self._state_class(connection).got_whole(connection)

    def refresh(self, connection: Connection) -> None:
        """Send the newest version whole to a receiver that asks for it (spec section 4.4)."""
        delivery = self._state_class(connection)
        delivery.flush()
        if self._newest is None:
            delivery.need_whole(connection)
        else:
            self._latecomers.send_newest(connection, delivery, self._newest)

    def _new_class(self, connection: Connection) -> DeliveryClass:
        history = self._history.of(self.source, connection.format, connection.codecs)
        every = self._stream.config.keyframe_every
        return StateClass(
            self.source, connection.format, connection.codecs, self._flusher, history, self.delivered, every
        )

    def _state_class(self, connection: Connection) -> StateClass:
        return _as_state(self._classes[(connection.format.name, connection.codecs)])

    # Small messages.

    def chains_for(
        self, names: frozenset[str], payload: Buffer, itemsize: int, meta: Buffer, encoding: Encoding | None = None
    ) -> dict[DeliveryClass, Chain]:
        """See :class:`~gateway.connections.fanout.Fanout`; with a delta filter where deltas pay."""
        chains = super().chains_for(names, payload, itemsize, meta, encoding)
        if _size(payload, encoding) >= RECODE_BYTES and not self._lane.backed_up:
            for delivery in self._chunk_classes():
                delta = self._policy.delta_for(self._stream, delivery.codecs)
                if delta != PLAIN:
                    chains[delivery] = delta
        return chains

    def _observe(self, payload: Buffer, itemsize: int, meta: Buffer, encoding: Encoding | None) -> None:
        if not self._policy.wants_sample(self._stream, based=self._latest is not None):
            return
        specs = specs_of(meta)
        base = self._base_of(specs)
        part = None if base is None else partial(base.part, 0, _size(payload, encoding))
        self._policy.observe(self._stream, Sample(payload, itemsize, encoding, all_integers(specs), part))

    def _recoding(
        self, run: Run, frame: DataFrame, chains: dict[DeliveryClass, Chain], itemsize: int
    ) -> Callable[[], dict[DeliveryClass, Run]]:
        names = frozenset() if frame.encoding is None else codec_names(frame.encoding.ids)
        base = self._base_of(specs_of(frame.meta)) if frame.opcode == Opcode.MESSAGE else None
        if base is not None and run.first - base.offset not in XOR.parameters:
            base = None  # of a view, whose offsets may jump further than a delta can name
        self._latest = run.newest()
        deltas = {delivery: chain for delivery, chain in chains.items() if chain.delta}
        wholes = {delivery: chain for delivery, chain in chains.items() if not chain.delta}
        for delivery in deltas:
            # Deltas beside it make a payload that is encoded once more for the few who need it whole not worth it.
            chain = self._chain_for(delivery, names, len(frame.payload) if base is None else 0)
            if chain is not None:
                wholes[delivery] = chain
        recode_wholes = super()._recoding(run, frame, wholes, itemsize)

        def work() -> dict[DeliveryClass, Run]:
            made = recode_wholes()
            if base is not None:
                for delivery, delta in _deltas(run, frame, deltas, itemsize, base).items():
                    delta.whole = made.get(delivery, run)
                    made[delivery] = delta
            return made

        return work

    # Patches (spec section 5.4): as they came to those who hold the version before them, and whole to all others.

    def deliver_patch(self, run: PatchRun, names: frozenset[str]) -> None:
        """Deliver a small patch.

        Args:
            run: holds it.
            names: of the codecs that it is encoded by.
        """

        self._latest = run

        def deliver() -> None:
            self._newest = run
            self.delivered = run.last + 1
            for delivery in self.classes:
                if takes_patches(delivery) and names <= delivery.codecs:
                    delivery.add(run)
                else:
                    self._latecomers.send_version(run, delivery, delivery.members)
            keep_short(run.patch)
            for tap in self.taps:
                tap(run)

        self._lane.follow(deliver)

    # Large messages.

    def commit(self, message: LargeMessage) -> None:
        """See :class:`~gateway.connections.fanout.Fanout`."""
        self._latest = message
        super().commit(message)

    def _begin(self, broadcast: Broadcast) -> None:
        codecs, message = broadcast.publisher_codecs, broadcast.message
        classes = self._chunk_classes()
        if isinstance(message, LargePatch):
            broadcast.begin([(each, self._chain_for_chunks(each, codecs)) for each in classes if takes_patches(each)])
            return
        chains = {delivery: self._chain_for_chunks(delivery, codecs) for delivery in classes}
        base = self._base_of(specs_of(message.meta)) if message.opcode == Opcode.MESSAGE else None
        if base is not None and not self._lane.backed_up:
            deltas = {each: self._policy.delta_for(self._stream, each.codecs) for each in chains}
            for delivery, delta in deltas.items():
                if delta != PLAIN:
                    chains[delivery] = delta
                    _as_state(delivery).count_delta()
        if not any(chain is not None and chain.delta for chain in chains.values()):
            base = None
        broadcast.begin(chains.items(), base)

    def _serve_latecomers(self, broadcast: Broadcast) -> None:
        before = self._newest
        self._before = before.offset if isinstance(before, LargeMessage) else None if before is None else before.last
        super()._serve_latecomers(broadcast)
        for part in broadcast.parts:
            for member in part.audience:
                part.delivery.got_whole(member)
            if part.chain is not None and part.chain.delta:
                # Nobody who comes later can use it.
                broadcast.message.variants.pop(part.chain, None)

    def _send_to_others(self, broadcast: Broadcast, served: set[Connection]) -> None:
        message = broadcast.message
        if isinstance(message, LargePatch) and message.patch is not None:
            for delivery in self.classes:
                others = [member for member in delivery.members if member not in served]
                self._latecomers.send_version(message, delivery, others)
            keep_short(message.patch)
        else:
            super()._send_to_others(broadcast, served)

    def _send_late(self, broadcast: Broadcast, delivery: DeliveryClass, member: Connection) -> None:
        message = broadcast.message
        if message.base_offset is not None and message.base_offset == self._before and not delivery.needs_whole(member):
            form = next((part.form for part in broadcast.parts if part.delivery is delivery and part.begun), [])
            whole = len(form) == message.plan.chunk_count and message.plan.payload_bytes <= member.max_message_bytes
            if whole and member.enqueue_delta(message, form):
                delivery.delivered_messages += 1
                return
        super()._send_late(broadcast, delivery, member)

    def _base_of(self, specs: tuple[object, ...]) -> PlainPayload | None:
        """The version that was published last, if one with these tensors can be a delta to it."""
        version = None if self._latest is None else payload_of(self._latest)
        return version if version is not None and version.specs == specs else None


def _as_state(delivery: DeliveryClass) -> StateClass:
    assert isinstance(delivery, StateClass)
    return delivery


def _size(payload: Buffer, encoding: Encoding | None) -> int:
    return len(payload) if encoding is None else encoding.decoded_bytes


def _deltas(
    run: Run, frame: DataFrame, chains: dict[DeliveryClass, Chain], itemsize: int, base: PlainPayload
) -> dict[DeliveryClass, Run]:
    """The message as a delta, once for each chain; of those for whom it is smaller."""
    made: dict[Chain, Run | None] = {}
    for chain in set(chains.values()):
        try:
            made[chain] = delta_run(run, frame, chain, itemsize, base)
        except RequestRefused as refusal:
            logger.warning("message %d of %s is not made a delta: %s", run.first, run.source.name, refusal)
    deltas = ((delivery, made.get(chain)) for delivery, chain in chains.items())
    # A run of its own for each class: what they get instead, whole, may differ.
    return {delivery: delta.alone() for delivery, delta in deltas if delta is not None}
