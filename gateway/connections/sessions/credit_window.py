"""Credit of one subscription: the messages and bytes that its receiver still takes (spec section 7.5)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Final, Protocol

from gateway.connections.lagging.credit_gate import UNBOUNDED

WINDOW_MESSAGES: Final = 1024
WINDOW_BYTES: Final = 64 * 1024 * 1024
"""Window of a subscription that grants no credit itself: each message that is done makes room for another."""

WOKEN: Final = 8
"""Senders that are woken at a time; each wakes another one if it leaves credit."""


class CreditWaiter(Protocol):
    """A sender that waits for credit."""

    def wake(self) -> None:
        """Try again: there is more credit."""


class CreditWindow:
    """The credit of one subscription, shared by all its streams.

    A record batch counts as one message. Bytes are those of decoded payloads. A message larger than the remaining
    credit is sent if nothing of the subscription is under way; later grants make up for the excess.

    Args:
        messages: messages that may be sent.
        nbytes: bytes that may be sent.
        replenished: whether a message that is done is granted again; otherwise the receiver grants by CREDIT.

    Attributes:
        messages: messages that may still be sent.
        nbytes: bytes that may still be sent; below 0 after a message larger than the remaining credit.
        under_way: messages that were sent and are to be answered by DONE.
        ended: whether the subscription has ended, so that it bounds nothing.
    """

    __slots__ = ("_replenished", "_waiting", "ended", "messages", "nbytes", "under_way")

    def __init__(self, messages: int, nbytes: int, *, replenished: bool) -> None:
        self.messages = messages
        self.nbytes = nbytes
        self.under_way = 0
        self.ended = False
        self._replenished = replenished
        self._waiting: OrderedDict[CreditWaiter, None] = OrderedDict()
        """Senders in the order in which they are woken."""

    @classmethod
    def window(cls) -> CreditWindow:
        """Return the credit of a subscription that named none."""
        return cls(WINDOW_MESSAGES, WINDOW_BYTES, replenished=True)

    @property
    def granted(self) -> bool:
        """Whether the receiver grants by CREDIT."""
        return not self._replenished

    @property
    def open(self) -> bool:
        """Whether a message that nobody acknowledges may be sent now, of whatever size."""
        return self.messages > 0 and self.nbytes > 0

    def end(self) -> None:
        """Bound nothing any more: the subscription has ended."""
        self.ended = True
        self.messages = self.nbytes = UNBOUNDED
        self._wake(len(self._waiting))

    def allows(self, nbytes: int) -> bool:
        """Return whether a message with a payload of ``nbytes`` may be sent now."""
        return self.messages > 0 and (nbytes <= self.nbytes or (not self.under_way and self.nbytes > 0))

    def take(self, nbytes: int) -> None:
        """Count a message with a payload of ``nbytes`` as under way."""
        self.messages -= 1
        self.nbytes -= nbytes
        self.under_way += 1

    def settle(self, nbytes: int) -> None:
        """Count a message with a payload of ``nbytes`` as not under way any more."""
        self.under_way -= 1
        if self._replenished:
            self.messages += 1
            self.nbytes += nbytes
        self._wake()

    def add(self, messages: int, nbytes: int) -> None:
        """Add credit that the receiver has given."""
        self.messages += messages
        self.nbytes += nbytes
        self._wake()

    def wait(self, waiting: CreditWaiter) -> None:
        """Wake ``waiting`` once, when there is more credit or nothing is under way, and its turn has come."""
        self._waiting[waiting] = None

    def pass_on(self, sender: CreditWaiter) -> None:
        """Wake another sender if there is credit left; to be called when a sender has sent what it could."""
        if self._waiting and sender not in self._waiting:
            self._wake(1)

    def leave(self, sender: CreditWaiter) -> None:
        """Forget a sender, which may have been woken and leaves the credit to another one."""
        self._waiting.pop(sender, None)
        self.pass_on(sender)

    def abandon(self) -> OrderedDict[CreditWaiter, None]:
        """Forget all senders, as the receiver is gone; return them, since very many take long to free."""
        waiting, self._waiting = self._waiting, OrderedDict()
        return waiting

    def _wake(self, most: int = WOKEN) -> None:
        """Wake some senders: of thousands that wait, each would try in vain whenever one message is done."""
        if self.nbytes >= 0:
            for _ in range(min(most, self.messages, len(self._waiting))):
                self._waiting.popitem(last=False)[0].wake()


def allowed(credits: Sequence[CreditWindow], nbytes: int, sender: CreditWaiter) -> bool:
    """Return whether all credits allow a message; the sender is woken when the first one that does not has more."""
    for credit in credits:
        if not credit.allows(nbytes):
            credit.wait(sender)
            return False
    return True


def pass_on(credits: Sequence[CreditWindow], sender: CreditWaiter) -> None:
    """Leave to others what a sender, which has sent what it could, has left of its credits."""
    for credit in credits:
        credit.pass_on(sender)
