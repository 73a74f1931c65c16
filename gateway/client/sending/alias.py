"""The numbers by which this client names streams and addresses on one connection (spec section 4.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from gateway.client.sending.declaration import ANYTHING, Declaration
from gateway.client.sending.outbound_message import OutboundMessage
from gateway.client.session.session import Session
from gateway.protocol.messages import Open, StreamInfo
from gateway.protocol.session_body import write_session


class Alias:
    """One OPEN on one session.

    Attributes:
        number: what stands in frames.
        producer: who counts the sequences; None for an address.
        name: the stream or address.
        declared: what OPEN said.
        sequence: of the first message sent to it.
        awaiting: publishes whose acknowledgement is awaited, by sequence.
        info: the gateway's answer, once it came.
    """

    __slots__ = ("_answered", "awaiting", "declared", "info", "name", "number", "producer", "sequence", "session")

    def __init__(
        self,
        session: Session,
        number: int,
        name: str,
        declared: Declaration,
        producer: int | None = None,
        sequence: int | None = None,
    ) -> None:
        self.session = session
        self.number = number
        self.name = name
        self.declared = declared
        self.producer = producer
        self.sequence = sequence
        self.awaiting: dict[int, OutboundMessage] = {}
        self.info: StreamInfo | None = None
        self._answered: asyncio.Future[StreamInfo] | None = None

    def opening(self) -> bytes:
        """The OPEN frame, to be sent before the first message."""
        kind, schema, durability = self.declared
        fields = None if schema is None else schema.fields()
        return write_session(
            Open(self.number, self.name, kind, durability, fields, producer=self.producer, sequence=self.sequence)
        )

    async def answered(self) -> StreamInfo:
        """Wait for the answer to OPEN.

        Raises:
            RequestRefused: it was refused.
            ConnectionFailed: the session ended first.
        """
        if self.info is not None:
            return self.info
        if self._answered is None:
            self._answered = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._answered)

    def answer(self, info: StreamInfo) -> None:
        """The answer came."""
        self.info = info
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(info)

    def refuse(self, error: Exception) -> None:
        """The answer is no, or will not come."""
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)
            self._answered.exception()  # nobody may be waiting any more; then it is no news

    def settle(self, last: int, count: int) -> Iterator[tuple[int, OutboundMessage]]:
        """Take out the publishes that wait for the ``count`` sequences up to ``last``."""
        first = last - count + 1
        if count > len(self.awaiting):
            found = [sequence for sequence in self.awaiting if first <= sequence <= last]
        else:
            found = [sequence for sequence in range(first, last + 1) if sequence in self.awaiting]
        for sequence in found:
            yield sequence, self.awaiting.pop(sequence)


class Aliases:
    """The aliases of the present session."""

    def __init__(self) -> None:
        self._by_number: dict[int, Alias] = {}

    def open(
        self,
        session: Session,
        name: str,
        declared: Declaration = ANYTHING,
        producer: int | None = None,
        sequence: int | None = None,
    ) -> Alias:
        """A new alias. The caller sends its opening."""
        alias = Alias(session, len(self._by_number), name, declared, producer, sequence)
        self._by_number[alias.number] = alias
        return alias

    def get(self, number: int | None) -> Alias | None:
        """The alias of a number from the gateway; None if there is none."""
        return None if number is None else self._by_number.get(number)

    def clear(self, error: Exception) -> dict[str, list[OutboundMessage]]:
        """The session is over: forget all.

        Returns:
            By stream, the publishes whose acknowledgement was awaited.
        """
        waiting: dict[str, list[OutboundMessage]] = {}
        for alias in self._by_number.values():
            if alias.awaiting:
                waiting.setdefault(alias.name, []).extend(alias.awaiting.values())
        for alias in self._by_number.values():
            alias.refuse(error)
        self._by_number.clear()
        return waiting
