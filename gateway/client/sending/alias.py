"""Aliases: the numbers by which this client names streams and addresses on one connection (spec section 4.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.client.sending.declaration import ANYTHING, Declaration
from gateway.client.sending.outbound_message import OutboundMessage
from gateway.client.session.session import Session
from gateway.protocol.messages import Open, StreamInfo
from gateway.protocol.session_body import write_session


@dataclass(slots=True, eq=False)
class Alias:
    """One OPEN on one session."""

    session: Session
    number: int
    """Number that frames name the stream or address by."""
    name: str
    """Stream or address."""
    declared: Declaration
    """Properties of the stream that OPEN declares."""
    producer: int | None = None
    """Number of the client that counts the sequences; None for an address."""
    sequence: int | None = None
    """Sequence of the first message sent under the alias."""
    awaiting: dict[int, OutboundMessage] = field(default_factory=dict, init=False)
    """Messages that wait for their acknowledgement, by sequence."""
    info: StreamInfo | None = field(default=None, init=False)
    """The gateway's answer, once it came."""
    _answered: asyncio.Future[StreamInfo] | None = field(default=None, init=False)

    def opening(self) -> bytes:
        """Return the OPEN frame, to be sent before the first message."""
        kind, schema, durability = self.declared
        fields = None if schema is None else schema.fields()
        return write_session(
            Open(self.number, self.name, kind, durability, fields, producer=self.producer, sequence=self.sequence)
        )

    async def answered(self) -> StreamInfo:
        """Wait for the answer to OPEN, and return it.

        Raises:
            RequestRefused: the gateway refused it.
            ConnectionFailed: the session ended first.
        """
        if self.info is not None:
            return self.info
        if self._answered is None:
            self._answered = asyncio.get_running_loop().create_future()
        return await asyncio.shield(self._answered)

    def answer(self, info: StreamInfo) -> None:
        """Take the answer to OPEN."""
        self.info = info
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(info)

    def refuse(self, error: Exception) -> None:
        """Fail the wait for the answer to OPEN: it was refused, or will not come."""
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)
            self._answered.exception()  # nobody may be waiting any more; then asyncio is not to log it

    def settle(self, last: int, count: int) -> Iterator[tuple[int, OutboundMessage]]:
        """Take out the publishes that wait for the ``count`` sequences up to ``last``; yield each with its sequence."""
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
        """Make a new alias. The caller sends its :meth:`Alias.opening`; the arguments are the fields of the alias."""
        alias = Alias(session, len(self._by_number), name, declared, producer, sequence)
        self._by_number[alias.number] = alias
        return alias

    def get(self, number: int | None) -> Alias | None:
        """Return the alias of a number that the gateway named; None if there is none."""
        return None if number is None else self._by_number.get(number)

    def clear(self, error: Exception) -> dict[str, list[OutboundMessage]]:
        """Forget all aliases: the session is over. Waits for answers end with ``error``.

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
