"""Delta encoder: encodes versions of a state stream as deltas to the version before (spec section 10).

The version before is the one that is published, and so delivered, right before it. The policy says whether a delta to
it pays; :class:`~gateway.connections.fanout.version_tracker.VersionTracker` says which receivers may get the delta.
"""

from __future__ import annotations

from functools import partial

from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.fanout.delta import all_integers, payload_of, specs_of
from gateway.connections.ports import DeliveryPolicy, Sample
from gateway.protocol.codecs import XOR
from gateway.protocol.data import DataFrame
from gateway.protocol.encoding import PLAIN, Chain, Encoding
from gateway.protocol.wire import Buffer, Opcode
from gateway.streams.large import LargeMessage
from gateway.streams.plain_payload import PlainPayload
from gateway.streams.run import Run
from gateway.streams.stream import Stream


class DeltaEncoder:
    """Delta encoder of one state stream.

    Attributes:
        latest: the version that was published last; it may still wait to be delivered.
    """

    __slots__ = ("_policy", "_stream", "latest")

    def __init__(self, stream: Stream, policy: DeliveryPolicy) -> None:
        self._stream = stream
        self._policy = policy
        self.latest: Run | LargeMessage | None = None

    def chain_for(self, delivery: DeliveryClass) -> Chain | None:
        """Return the chain of deltas for a class; ``None``: they do not pay."""
        chain = self._policy.delta_for(self._stream, delivery.codecs)
        return None if chain == PLAIN else chain

    def base_of_run(self, run: Run, frame: DataFrame) -> PlainPayload | None:
        """Return the version that a run of one frame may be a delta to."""
        base = self.base_of(frame.opcode, frame.meta)
        # Offsets of a view may jump further than a delta can name.
        return base if base is not None and run.first - base.offset in XOR.parameters else None

    def base_of(self, opcode: int, meta: Buffer) -> PlainPayload | None:
        """Return the version that was published last, if a message with this meta block can be a delta to it."""
        base = None if self.latest is None or opcode != Opcode.MESSAGE else payload_of(self.latest)
        return base if base is not None and base.specs == specs_of(meta) else None

    def observe(self, payload: Buffer, itemsize: int, meta: Buffer, encoding: Encoding | None) -> None:
        """Let the policy learn from a payload, compared with the version before.

        Args:
            payload: a complete one, or the first chunk.
            itemsize: bytes of an element.
            meta: the meta block.
            encoding: of the payload; ``None``: it is plain.
        """
        if not self._policy.wants_sample(self._stream, based=self.latest is not None):
            return
        specs = specs_of(meta)
        base = self.base_of(Opcode.MESSAGE, meta)
        part = None if base is None else partial(base.part, 0, decoded_bytes(payload, encoding))
        self._policy.observe(self._stream, Sample(payload, itemsize, encoding, all_integers(specs), part))


def decoded_bytes(payload: Buffer, encoding: Encoding | None) -> int:
    """Return the size of a payload once it is decoded."""
    return len(payload) if encoding is None else encoding.decoded_bytes
