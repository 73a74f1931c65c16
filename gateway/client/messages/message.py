"""What a subscriber receives, one by one: messages, as views of the received bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final, cast

from gateway.client.messages.ack_handle import AckHandle, RecordAckHandle
from gateway.errors import Code, InvalidArgument
from gateway.ids import Epoch, Offset, PeerId
from gateway.protocol.extensions import Quantization
from gateway.protocol.messages import Kind
from gateway.protocol.quantization import dequantize
from gateway.protocol.regions import Region
from gateway.protocol.tensors import Array, TensorSpec, view_tensors
from gateway.protocol.wire import Buffer

Specs = tuple[TensorSpec, ...]


class Acknowledged:
    """What streams of kind ``collaboration`` and ``control`` deliver: the program says when it is through with it.

    Attributes:
        receipt: for the answer; ``None`` of what is not acknowledged, so that answers mean nothing.
    """

    __slots__ = ("receipt",)

    def __init__(self) -> None:
        self.receipt: AckHandle | RecordAckHandle | None = None

    async def ack(self) -> None:
        """Say that it is processed: it will not come again. Sent with others, at the end of the turn of the loop."""
        if self.receipt is not None:
            self.receipt.done()

    async def nack(self, code: int = Code.NOT_PROCESSED) -> None:
        """Say that it is not processed: it comes again, at most ``max_tries`` times, and is a dead letter then.

        Args:
            code: why, for the publisher.
        """
        if self.receipt is not None:
            self.receipt.refuse(code)


class Message(Acknowledged):
    """One message. Its arrays are read-only views of the received buffer and live as long as they are used.

    Attributes:
        stream: the stream's name; of a request or reply, the address that was asked.
        kind: the stream's delivery contract; None for requests and replies.
        offset: position in the stream; of a request or reply, its number.
        epoch: the stream's incarnation; 0 for requests and replies.
        publisher: the sender's connection, as the gateway numbers them.
        timestamp_ns: when it was published, Unix time in ns by the gateway's clock.
        received_ns: when it arrived here, by the same clock.
        quantization: of a view whose integers stand for other numbers: ``scale``, ``zero_point`` and the ``dtype`` of
            the stream's tensor. None: the tensors hold what they hold.
        region: of a message that was published as a patch, what it has changed: ``message.tensor[message.region]`` is
            ``message.patch``. None: it was published whole, or came whole.
        patch: what was published, read-only; None of all others.
        patched: the name of the tensor that was changed; None of all others.
    """

    __slots__ = (
        "_headers",
        "_payload",
        "_specs",
        "_tensors",
        "epoch",
        "kind",
        "offset",
        "patch",
        "patched",
        "publisher",
        "quantization",
        "received_ns",
        "region",
        "stream",
        "timestamp_ns",
    )

    count: Final = 1
    """A message counts as one, a record batch as its records."""

    def __init__(
        self,
        stream: str,
        kind: Kind | None,
        epoch: int,
        offset: int,
        publisher: int,
        timestamp_ns: int,
        received_ns: int,
        headers: dict[str, Any] | None,
        specs: Specs,
        payload: Buffer,
    ) -> None:
        self.receipt = None
        self.stream = stream
        self.kind = kind
        # Not Epoch(epoch) and so on: of 0.19 us the three calls would take 0.08 (CPython 3.11, 2026-11).
        self.epoch: Epoch = epoch  # type: ignore[assignment]
        self.offset: Offset = offset  # type: ignore[assignment]
        self.publisher: PeerId = publisher  # type: ignore[assignment]
        self.timestamp_ns = timestamp_ns
        self.received_ns = received_ns
        self.quantization: Quantization | None = None
        self.region: tuple[slice, ...] | None = None
        self.patch: Array | None = None
        self.patched: str | None = None
        self._headers = headers
        self._specs = specs
        self._payload = payload
        self._tensors: dict[str, Array] | None = None

    @property
    def headers(self) -> dict[str, Any]:
        """The JSON headers; empty if there are none."""
        if self._headers is None:
            self._headers = {}
        return self._headers

    @property
    def tensors(self) -> dict[str, Array]:
        """All tensors by name, in the publisher's order; an unnamed one has the name ``""``."""
        if self._tensors is None:
            arrays = view_tensors(self._specs, self._payload)
            self._tensors = {spec.name: array for spec, array in zip(self._specs, arrays, strict=True)}
        return self._tensors

    @property
    def tensor(self) -> Array:
        """The message's only tensor.

        Raises:
            InvalidArgument: it has none, or several: take them from :attr:`tensors`.
        """
        tensors = self.tensors
        if len(tensors) != 1:
            names = ", ".join(map(repr, tensors)) or "none"
            raise InvalidArgument(f"message of {self.stream} has not one tensor but: {names}; use .tensors")
        return next(iter(tensors.values()))

    def dequantized(self) -> Array:
        """The message's only tensor as the numbers that it stands for: quantized ones are off by ``scale / 2`` at most.

        Returns:
            An array of the stream's dtype, of its own memory; of a message that is not quantized :attr:`tensor`.

        Raises:
            InvalidArgument: it has no tensor, or several.
        """
        return self.tensor if self.quantization is None else dequantize(self.tensor, self.quantization)

    @property
    def specs(self) -> Specs:
        """Name, dtype and shape of each tensor, without making the arrays."""
        return self._specs

    def patched_by(self, region: Region, spec: TensorSpec, payload: Buffer) -> None:
        """The message is what a patch made of the version before it.

        Args:
            region: that was changed.
            spec: of the patch.
            payload: of the patch.
        """
        self.region = region.slices
        self.patched = spec.name
        (self.patch,) = view_tensors((spec,), payload)

    def parts(self) -> tuple[str, Kind | None, int, int, int, int, int, dict[str, Any] | None, Specs, Buffer]:
        """The arguments that make a message like this one; for the classes that add something to it."""
        return (
            self.stream,
            self.kind,
            self.epoch,
            self.offset,
            self.publisher,
            self.timestamp_ns,
            self.received_ns,
            self._headers,
            self._specs,
            self._payload,
        )

    @property
    def nbytes(self) -> int:
        """Size of the decoded payload."""
        return len(self._payload)

    @property
    def latency_s(self) -> float:
        """From publishing to arrival here, both by the gateway's clock; at least 0."""
        return max(0, self.received_ns - self.timestamp_ns) / 1e9

    def __repr__(self) -> str:
        tensors = ", ".join(f"{spec.name or 'tensor'}: {spec.dtype}{list(spec.shape)}" for spec in self._specs)
        return f"<{type(self).__name__} {self.stream} offset {self.offset} ({tensors or 'no tensor'})>"


def messages_like(
    model: Message, timestamps_ns: Iterable[int], payloads: memoryview, size: int, stride: int
) -> Iterator[Message]:
    """As many messages as there are timestamps: like the model, and each offset 1 more than the one before.

    They are made when they are asked for. Receipts, headers and patches are not taken over.

    Args:
        model: has the first offset.
        timestamps_ns: of each.
        payloads: flat bytes that hold all payloads; the messages are views of it.
        size: of each payload, in bytes.
        stride: from the start of a payload to that of the next, in bytes.
    """
    stream, kind, epoch, publisher = model.stream, model.kind, model.epoch, model.publisher
    received_ns, quantization, specs = model.received_ns, model.quantization, model.specs
    offsets = cast(Iterable[tuple[Offset, int]], enumerate(timestamps_ns, model.offset))
    new = object.__new__
    at = 0
    for offset, timestamp_ns in offsets:
        # As in Message(), without the call: 0.19 us a message instead of 0.26 (CPython 3.11, 2026-11).
        message = new(Message)
        message.receipt = None
        message.stream = stream
        message.kind = kind
        message.epoch = epoch
        message.offset = offset
        message.publisher = publisher
        message.timestamp_ns = timestamp_ns
        message.received_ns = received_ns
        message.quantization = quantization
        message.region = None
        message.patch = None
        message.patched = None
        message._headers = None
        message._specs = specs
        message._payload = payloads[at : at + size]
        message._tensors = None
        yield message
        at += stride
