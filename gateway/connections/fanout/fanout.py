"""What the ways into a stream need of whoever brings its messages to the receivers."""

from __future__ import annotations

from typing import Protocol

from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.outbound.connection import Connection
from gateway.protocol.data import DataFrame
from gateway.protocol.encoding import Chain, Encoding
from gateway.protocol.signals import Ack
from gateway.protocol.wire import Buffer
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run, Source


class ChunkSink(Protocol):
    """Delivery of one large message, chunk by chunk as it is received."""

    def chunk(self, chunk: StoredChunk) -> None:
        """Add the next chunk to the message and pass it on."""

    def commit(self) -> None:
        """End the message: it is complete and, if it goes to a stream, has its offset."""

    def abort(self, code: int) -> None:
        """Tell receivers that have a part of the message that it will not be completed."""


class Fanout(Protocol):
    """Brings what is published to one source to its receivers, in order.

    :class:`~gateway.connections.fanout.pubsub_fanout.PubSubFanout` does so for receivers that are merely sent what
    comes,
    :class:`~gateway.connections.consumers.consumer_fanout.ConsumerFanout` for those that acknowledge.
    """

    @property
    def source(self) -> Source:
        """The stream or inbox."""

    @property
    def idle(self) -> bool:
        """Whether nothing is being encoded, and nothing waits for the end of the turn."""

    @property
    def queue_full(self) -> bool:
        """Whether what must not be lost has to be refused."""

    @property
    def delivered_messages(self) -> int:
        """Messages written to receivers or queued for them, each receiver counted."""

    @property
    def receivers(self) -> int:
        """How many there are."""

    def chains_for(
        self, names: frozenset[str], payload: Buffer, itemsize: int, meta: Buffer, encoding: Encoding | None = None
    ) -> dict[DeliveryClass, Chain]:
        """How a payload is recoded for those that do not get it as it came; see :class:`Fanout`."""

    def deliver(self, run: Run) -> None:
        """Deliver a run as it came."""

    def deliver_frame(self, run: Run, frame: DataFrame, publisher: int, itemsize: int) -> None:
        """Deliver a run of one frame whose payload is encoded, or large enough to be."""

    def begin(self, message: LargeMessage, publisher_codecs: frozenset[str], itemsize: int) -> ChunkSink:
        """Begin to deliver a large message.

        Args:
            message: holds what its head says, and no chunk.
            publisher_codecs: names of the codecs that its chunks may come encoded by.
            itemsize: bytes of an element, for the codecs.

        Returns:
            the handle for its chunks and its end.
        """

    def acknowledge(self, connection: Connection, ack: Ack) -> None:
        """Tell a publisher that its messages are taken, when it may go on."""

    def leave(self, connection: Connection) -> None:
        """A receiver has unsubscribed."""

    def lose(self, connection: Connection) -> None:
        """A receiver's connection is lost."""
