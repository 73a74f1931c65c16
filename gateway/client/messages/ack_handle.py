"""What a program owes an answer for: units that it has in hand, and what it has said about them (spec section 7.4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gateway.client.messages.credit_grants import CreditGrants
from gateway.client.session.session import Session
from gateway.protocol.extensions import Identity


class AckUnitRange(NamedTuple):
    """A message or a record batch as it arrived: it is acknowledged as one."""

    epoch: int
    first: int
    count: int  # type: ignore[assignment]  # hides tuple.count, which nobody calls
    nbytes: int
    """Size of its decoded payload."""
    identity: Identity | None
    session: Session | None
    """On which it came and took credit; ``None``: it took none."""

    @property
    def last(self) -> int:
        """Its last offset."""
        return self.first + self.count - 1


class AckScope:
    """What a subscription has in hand, over all its streams.

    Attributes:
        grants: what it lets the gateway send.
        receipts: what it has not answered yet.
    """

    __slots__ = ("grants", "receipts")

    def __init__(self, grants: CreditGrants) -> None:
        self.grants = grants
        self.receipts: dict[AckHandle, None] = {}

    def withdraw(self) -> None:
        """The subscription is over: nobody waits for its answers any more."""
        for receipt in list(self.receipts):
            receipt.withdraw()


class PendingAck:
    """A unit in the hands of the program, which may have several subscriptions that it is for.

    Args:
        settle: called when all of them have answered.

    Attributes:
        unit: as it came last.
        processed: one of them has processed it.
        refusers: those that have not, and want it again.
        code: why.
    """

    __slots__ = ("_open", "_settle", "code", "processed", "refusers", "unit")

    def __init__(self, unit: AckUnitRange, settle: Callable[[PendingAck], None]) -> None:
        self.unit = unit
        self.processed = False
        self.refusers: list[AckScope] = []
        self.code = 0
        self._settle = settle
        self._open = 0

    def wait(self) -> None:
        """One more subscription has to answer."""
        self._open += 1

    def answered(self) -> None:
        """One of them has."""
        self._open -= 1
        if not self._open:
            self._settle(self)


class AckHandle:
    """What one subscription has to say about a unit; the first word counts."""

    __slots__ = ("_holding", "_records_open", "_settled", "owner")

    def __init__(self, holding: PendingAck, owner: AckScope) -> None:
        self.owner = owner
        self._holding = holding
        self._records_open = holding.unit.count
        self._settled = False
        holding.wait()
        owner.receipts[self] = None

    def done(self) -> None:
        """The program has processed it."""
        if not self._settled:
            self._holding.processed = True
            self._settle()

    def record_done(self) -> None:
        """The program has processed one more record of the batch: with the last one, the batch."""
        self._records_open -= 1
        if not self._records_open:
            self.done()

    def refuse(self, code: int) -> None:
        """The program has not processed it, and wants it again."""
        if not self._settled:
            self._holding.refusers.append(self.owner)
            self._holding.code = code
            self._settle()

    def withdraw(self) -> None:
        """There will be no answer."""
        if not self._settled:
            self._settle()

    def _settle(self) -> None:
        self._settled = True
        self.owner.receipts.pop(self, None)
        unit = self._holding.unit
        self.owner.grants.settle(unit.session, unit.nbytes)
        self._holding.answered()


class RecordAckHandle:
    """The part of a batch's receipt that belongs to one record."""

    __slots__ = ("_batch", "_settled")

    def __init__(self, batch: AckHandle) -> None:
        self._batch = batch
        self._settled = False

    def done(self) -> None:
        """The program has processed the record."""
        if not self._settled:
            self._settled = True
            self._batch.record_done()

    def refuse(self, code: int) -> None:
        """The program has not: the whole batch comes again."""
        self._settled = True
        self._batch.refuse(code)
