"""Aliases: the numbers by which this client names streams and addresses on one connection (spec section 4.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeVar

from gateway.client.sending.declaration import ANYTHING, Declaration
from gateway.client.sending.outbound_message import OutboundMessage
from gateway.client.session.session import Session
from gateway.errors import Code, RequestRefused
from gateway.protocol.messages import Error, Open, StreamInfo
from gateway.protocol.session_body import write_session

MAX_ALIASES: Final = 4096
"""Aliases of a connection to a gateway that does not tell how many it allows (spec section 13)."""

KEPT_HOLDERS: Final = 8192
"""Streams and addresses of which a client remembers what it has declared and sent: the last ones that were begun.

Once there are twice as many, earlier ones are forgotten.
"""


class AliasHolder(Protocol):
    """Queue that names its destination by an alias."""

    @property
    def idle(self) -> bool:
        """True if no message waits or is under way."""

    @property
    def sent(self) -> int:
        """A number that differs after each message that was sent."""

    @property
    def forgettable(self) -> bool:
        """True if a holder made anew would do the same: nothing is under way, and no alias is open."""


H = TypeVar("H", bound=AliasHolder)


class AliasHolders(dict[str, H]):
    """Holders by the name of their destination.

    A program that lives long may send to any number of streams and addresses, each for a short time. Past twice
    :data:`KEPT_HOLDERS` those that can be forgotten are, the ones that were made first.
    """

    _swept_at = 0

    def add(self, name: str, holder: H) -> list[H]:
        """Add a holder, and return the ones that were forgotten."""
        forgotten: list[H] = []
        if len(self) >= max(self._swept_at, 2 * KEPT_HOLDERS):
            for other, each in list(self.items())[: len(self) - KEPT_HOLDERS]:
                if each.forgettable:
                    forgotten.append(self.pop(other))
            self._swept_at = 2 * len(self)
        self[name] = holder
        return forgotten


@dataclass(slots=True, eq=False)
class Alias:
    """One OPEN on one session."""

    session: Session | None
    """Session on which it is open; None once its number was given to another stream or address."""
    number: int
    """Number that frames name the stream or address by."""
    name: str
    """Stream or address."""
    holder: AliasHolder
    """Queue of the messages that are sent under the alias."""
    declared: Declaration
    """Properties of the stream that OPEN declares."""
    producer: int | None = None
    """Number of the client that counts the sequences; None for an address."""
    sequence: int | None = None
    """Sequence of the first message sent under the alias."""
    before: Alias | None = None
    """Alias that had the number before, until this one is answered: it may still be refused messages."""
    refused: bool = field(default=False, init=False)
    """The gateway refused OPEN."""
    seen: int = field(default=-1, init=False)
    """:attr:`AliasHolder.sent` when an unused alias was last looked for."""
    awaiting: dict[int, OutboundMessage] = field(default_factory=dict, init=False)
    """Messages that wait for their acknowledgement, by sequence."""
    awaiting_bytes: int = field(default=0, init=False)
    """Bytes of their payloads."""
    withdrawn: set[int] = field(default_factory=set, init=False)
    """Sequences of large messages that were aborted. The gateway answers one only if it refused it before."""
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

    @property
    def outstanding(self) -> bool:
        """True if messages wait to be sent under the alias or to be acknowledged, or OPEN was not answered yet."""
        return bool(self.awaiting) or not self.holder.idle or (self.info is None and not self.refused)

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
        self.before = None
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(info)

    def refuse(self, error: Exception) -> None:
        """Fail the wait for the answer to OPEN: it was refused, or will not come."""
        self.refused = True
        self.before = None
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)
            self._answered.exception()  # nobody may be waiting any more; then asyncio is not to log it
            # The traceback of the error will refer to this alias, which would wait for the collector together with it.
            self._answered = None

    def expect(self, message: OutboundMessage) -> None:
        """Wait for the acknowledgement of a message, which has its sequence."""
        sequence = message.sequence
        if sequence in self.awaiting:  # it is sent again
            self._take(sequence)
        self.awaiting[sequence] = message
        self.awaiting_bytes += message.content.payload_bytes

    def withdraw(self, sequence: int) -> None:
        """Expect no answer to a large message any more: it was aborted."""
        self._take(sequence)
        self.withdrawn.add(sequence)

    def settle(self, last: int, count: int) -> list[OutboundMessage]:
        """Take out and return the publishes that wait for the ``count`` sequences up to ``last``."""
        awaiting, first = self.awaiting, last - count + 1
        sequences: Iterable[int] = range(first, last + 1)
        if count > len(awaiting):
            sequences = [sequence for sequence in awaiting if first <= sequence <= last]
        settled = []
        for sequence in sequences:
            message = awaiting.pop(sequence, None)
            if message is not None:
                self.awaiting_bytes -= message.content.payload_bytes
                settled.append(message)
        return settled

    def _take(self, sequence: int) -> None:
        """Take out the message that waits for a sequence, if one does."""
        message = self.awaiting.pop(sequence, None)
        if message is not None:
            self.awaiting_bytes -= message.content.payload_bytes


class Aliases:
    """The aliases of the present session.

    When all numbers are taken, one with nothing outstanding that was not used for long is opened for another stream or
    address (spec section 4.1). It is found by the clock algorithm, which looks at the holders only then: the sending of
    a message need not note its time.

    Args:
        limit: number of aliases that may be open.

    Attributes:
        limit: see above; another one may be set while no alias is open.
    """

    def __init__(self, limit: int = MAX_ALIASES) -> None:
        self.limit = limit
        self._by_number: dict[int, Alias] = {}
        self._hand = 0
        self._exhausted = False

    @property
    def room(self) -> bool:
        """True if :meth:`open` finds a number. Once it is False, it stays so until :meth:`look_again`."""
        return len(self._by_number) < self.limit or (not self._exhausted and self._unused() is not None)

    def look_again(self) -> bool:
        """Look for an unused alias once more, since messages may have been acknowledged; return :attr:`room`."""
        self._exhausted = False
        return self.room

    def open(
        self,
        session: Session,
        name: str,
        holder: AliasHolder,
        declared: Declaration = ANYTHING,
        producer: int | None = None,
        sequence: int | None = None,
    ) -> Alias:
        """Make a new alias. The caller sends its :meth:`Alias.opening`; the arguments are the fields of the alias.

        Raises:
            RequestRefused: ``LIMIT_EXCEEDED``: there is no :attr:`room`.
        """
        number, before = len(self._by_number), None
        if number >= self.limit:
            before = self._unused()
            if before is None:
                raise self.full(name)
            number, before.session = before.number, None
        alias = self._by_number[number] = Alias(session, number, name, holder, declared, producer, sequence, before)
        return alias

    def full(self, name: str) -> RequestRefused:
        """Return the error for a message to ``name``, which needs an alias while all have something outstanding."""
        return RequestRefused(
            Code.LIMIT_EXCEEDED,
            f"{name}: messages to {self.limit} streams and addresses are under way on this connection, and no more can"
            f" be opened before some are acknowledged: wait for publishes, or publish to fewer streams at a time",
        )

    def get(self, number: int | None) -> Alias | None:
        """Return the alias of a number that the gateway named; None if there is none."""
        return None if number is None else self._by_number.get(number)

    def has(self, alias: Alias | None) -> bool:
        """Return whether an alias is open on the present session."""
        return alias is not None and self._by_number.get(alias.number) is alias

    def refused_by(self, error: Error) -> Alias | None:
        """Return the alias that an ERROR concerns; None if it concerns none."""
        alias = self.get(error.alias)
        if alias is None or alias.before is None:
            return alias
        # OPEN is answered before the messages that follow it. The end of a stream is told with its name.
        earlier = error.sequence is not None or error.stream not in (None, alias.name)
        return alias.before if earlier else alias

    def clear(self, error: Exception) -> dict[str, list[OutboundMessage]]:
        """Forget all aliases: the session is over. Waits for answers end with ``error``.

        Returns:
            By stream, the publishes whose acknowledgement was awaited.
        """
        waiting: dict[str, list[OutboundMessage]] = {}
        for alias in self._by_number.values():
            if alias.awaiting:
                waiting.setdefault(alias.name, []).extend(alias.awaiting.values())
                # The queue may keep the alias until its next message.
                alias.awaiting, alias.awaiting_bytes = {}, 0
        for alias in self._by_number.values():
            alias.refuse(error)
        self._by_number.clear()
        self._exhausted = False
        return waiting

    def _unused(self) -> Alias | None:
        """Return an alias with nothing outstanding, of those the one not used for longest, as far as is known."""
        count = len(self._by_number)
        for _ in range(2 * count):
            self._hand = (self._hand + 1) % count
            alias = self._by_number[self._hand]
            if not alias.outstanding:
                if alias.seen == alias.holder.sent:
                    self._hand -= 1  # so that the next call finds it as well
                    return alias
                alias.seen = alias.holder.sent
        self._exhausted = True
        return None
