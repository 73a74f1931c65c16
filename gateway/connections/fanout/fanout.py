"""Fan-out: the protocol that publishes use to have the messages of a stream delivered to its receivers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.reading_holds import ReadingHolds
from gateway.protocol.data import DataFrame
from gateway.protocol.dtypes import DTypeLike
from gateway.protocol.encoding import Chain, Encoding
from gateway.protocol.signals import Ack
from gateway.protocol.wire import Buffer
from gateway.streams.large import LargeMessage, StoredChunk
from gateway.streams.run import Run, Source


class ChunkSink(Protocol):
    """Delivery of one large message, chunk by chunk as it is received."""

    def chunk(self, chunk: StoredChunk) -> None:
        """Add the next chunk to the message and pass it on."""

    def hold_back(self, reading: ReadingHolds) -> None:
        """Have nothing more read from the sender while threads are behind with chunks for the receivers."""

    def commit(self) -> None:
        """End the message: it is complete and, if it goes to a stream, has its offset."""

    def abort(self, code: int) -> None:
        """Tell receivers that have a part of the message that it will not be completed."""


class Fanout(Protocol):
    """Delivery of the messages of one source to its receivers, in order.

    :class:`~gateway.connections.fanout.pubsub_fanout.PubSubFanout` serves receivers that do not acknowledge,
    :class:`~gateway.connections.consumers.consumer_fanout.ConsumerFanout` those that do.
    """

    @property
    def source(self) -> Source:
        """The stream or inbox."""

    @property
    def idle(self) -> bool:
        """True if nothing is being encoded, and nothing waits for the end of the turn."""

    @property
    def settled(self) -> bool:
        """True if it owes nothing: no receiver lacks a message, and none is on its way to this fan-out."""

    @property
    def queue_full(self) -> bool:
        """True if there is no room for messages that must not be lost."""

    def takes_turn(self, connection: Connection) -> bool:
        """Return whether a message is taken although :attr:`queue_full`, because it is its sender's turn."""

    def why_full(self) -> str:
        """Return, for people, who has no room while :attr:`queue_full`, and what to do."""

    @property
    def delivered_messages(self) -> int:
        """Messages written to receivers or queued for them, each receiver counted."""

    @property
    def receivers(self) -> int:
        """Number of receivers."""

    @property
    def held_acks(self) -> int:
        """Number of acknowledgements to publishers that are held back."""

    def chains_for(
        self, names: frozenset[str], payload: Buffer, element: DTypeLike, meta: Buffer, encoding: Encoding | None = None
    ) -> dict[DeliveryClass, Chain]:
        """Return the chains for the delivery classes that do not get a payload as it was published.

        Args:
            names: of the codecs by which the payload is encoded.
            payload: the policy may take a sample of it.
            element: dtype of the elements.
            meta: its meta block.
            encoding: of the payload; ``None``: it is plain.
        """

    def deliver(self, run: Run) -> None:
        """Deliver a run as it was published."""

    def deliver_frame(self, run: Run, frame: DataFrame, publisher: int, element: DTypeLike) -> None:
        """Deliver a run of one frame whose payload is encoded, or large enough to be encoded.

        Args:
            run: holds the frame.
            frame: the frame as it was published, cut into its blocks.
            publisher: peer of the sender.
            element: dtype of the elements.
        """

    def begin(self, message: LargeMessage, publisher_codecs: frozenset[str], element: DTypeLike) -> ChunkSink:
        """Begin to deliver a large message.

        Args:
            message: the message, of which only the head has come.
            publisher_codecs: names of the codecs that its chunks may come encoded by.
            element: dtype of the elements, for the codecs.

        Returns:
            the handle for its chunks and its end.
        """

    def hold_back(self, reading: ReadingHolds) -> None:
        """Have nothing more read from a publisher while threads are behind with messages for the receivers."""

    def acknowledge(self, connection: Connection, ack: Ack) -> None:
        """Send a publisher its ACK as soon as it may go on."""

    def forget_publisher(self, connection: Connection) -> None:
        """Drop the acknowledgements to a publisher that is gone."""

    def release_acks(self) -> None:
        """Acknowledge all messages that were taken: the gateway stops, and receivers are not waited for any more."""

    def leave(self, connection: Connection) -> None:
        """Remove a receiver that has unsubscribed."""

    def close(self, end: Callable[[Connection], object]) -> Iterator[None]:
        """Remove all receivers, in small steps: the source has ended.

        Args:
            end: called with each connection that has been removed.
        """

    def detach(self, connection: Connection) -> None:
        """Stop to deliver to a receiver that may come back."""
