"""The transcoder of a state stream: a version may go out as a delta to the version before (spec section 10).

The version before is the one that is published, and so delivered, right before it. Whether a delta to it pays, the
policy says; which receivers may get it, their :class:`~gateway.connections.fanout.state_class.StateClass`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial

from gateway.connections.fanout.broadcast import Broadcast
from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.fanout.delta import all_integers, delta_run, payload_of, specs_of
from gateway.connections.fanout.encode_queue import EncodeQueue
from gateway.connections.fanout.patch_merger import takes_patches
from gateway.connections.fanout.recode import codec_names
from gateway.connections.fanout.state_class import as_state
from gateway.connections.fanout.transcoder import RECODE_BYTES, Transcoder, taking_chunks
from gateway.connections.ports import DeliveryPolicy, Sample
from gateway.errors import RequestRefused
from gateway.protocol.codecs import XOR
from gateway.protocol.data import DataFrame
from gateway.protocol.encoding import PLAIN, Chain, Encoding
from gateway.protocol.wire import Buffer, Opcode
from gateway.streams.plain_payload import PlainPayload
from gateway.streams.run import Run
from gateway.streams.state import LargePatch
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)


class StateTranscoder(Transcoder):
    """Of one state stream; see :class:`~gateway.connections.fanout.transcoder.Transcoder`."""

    __slots__ = ("_stream",)

    def __init__(self, stream: Stream, policy: DeliveryPolicy, queue: EncodeQueue) -> None:
        super().__init__(stream, policy, queue)
        self._stream = stream

    def chains_for(
        self,
        classes: Iterable[DeliveryClass],
        names: frozenset[str],
        payload: Buffer,
        itemsize: int,
        meta: Buffer,
        encoding: Encoding | None = None,
    ) -> dict[DeliveryClass, Chain]:
        """See :class:`~gateway.connections.fanout.transcoder.Transcoder`; with a delta filter where deltas pay."""
        classes = list(classes)
        chains = super().chains_for(classes, names, payload, itemsize, meta, encoding)
        if _size(payload, encoding) >= RECODE_BYTES and not self._queue.backed_up:
            for delivery in taking_chunks(classes):
                delta = self._policy.delta_for(self._stream, delivery.codecs)
                if delta != PLAIN:
                    chains[delivery] = delta
        return chains

    def begin(self, broadcast: Broadcast, classes: Iterable[DeliveryClass]) -> None:
        """See :class:`~gateway.connections.fanout.transcoder.Transcoder`."""
        message = broadcast.message
        if isinstance(message, LargePatch):
            # It changes the version before itself: whoever cannot apply it gets the state whole, at its end.
            super().begin(broadcast, [each for each in classes if takes_patches(each)])
            return
        codecs = broadcast.publisher_codecs
        chains = {delivery: self._chain_for_chunks(delivery, codecs) for delivery in taking_chunks(classes)}
        base = self._base_of(specs_of(message.meta)) if message.opcode == Opcode.MESSAGE else None
        if base is not None and not self._queue.backed_up:
            deltas = {each: self._policy.delta_for(self._stream, each.codecs) for each in chains}
            for delivery, delta in deltas.items():
                if delta != PLAIN:
                    chains[delivery] = delta
                    as_state(delivery).count_delta()
        if not any(chain is not None and chain.delta for chain in chains.values()):
            base = None
        broadcast.begin(chains.items(), base)

    def observe(self, payload: Buffer, itemsize: int, meta: Buffer, encoding: Encoding | None) -> None:
        """See :class:`~gateway.connections.fanout.transcoder.Transcoder`; with the version before, to compare it
        with.
        """
        if not self._policy.wants_sample(self._stream, based=self.latest is not None):
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
        self.latest = run.newest()
        deltas = {delivery: chain for delivery, chain in chains.items() if chain.delta}
        wholes = {delivery: chain for delivery, chain in chains.items() if not chain.delta}
        for delivery in deltas:
            # Deltas beside it make a payload that is encoded once more for the few who need it whole not worth it.
            chain = self.chain_for(delivery, names, len(frame.payload) if base is None else 0)
            if chain is not None:
                wholes[delivery] = chain
        recode_wholes = super()._recoding(run, frame, wholes, itemsize)

        def work() -> dict[DeliveryClass, Run]:
            made = recode_wholes()
            if base is not None:
                for delivery, delta in _deltas(run, frame, deltas, itemsize, base).items():
                    delta.keyframe = made.get(delivery, run)
                    made[delivery] = delta
            return made

        return work

    def _base_of(self, specs: tuple[object, ...]) -> PlainPayload | None:
        """The version that was published last, if one with these tensors can be a delta to it."""
        version = None if self.latest is None else payload_of(self.latest)
        return version if version is not None and version.specs == specs else None


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
