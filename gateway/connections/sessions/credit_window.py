"""Credit of one subscription: the messages and bytes that its receiver still takes (spec section 7.5)."""

from __future__ import annotations

from typing import Final, Protocol

WINDOW_MESSAGES: Final = 1024
WINDOW_BYTES: Final = 64 * 1024 * 1024
"""Window of a subscription that grants no credit itself: each message that is done makes room for another."""


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
        under_way: messages that were sent and not answered by DONE.
    """

    __slots__ = ("_replenished", "_waiting", "messages", "nbytes", "under_way")

    def __init__(self, messages: int, nbytes: int, *, replenished: bool) -> None:
        self.messages = messages
        self.nbytes = nbytes
        self.under_way = 0
        self._replenished = replenished
        self._waiting: dict[CreditWaiter, None] = {}

    @classmethod
    def window(cls) -> CreditWindow:
        """Return the credit of a subscription that named none."""
        return cls(WINDOW_MESSAGES, WINDOW_BYTES, replenished=True)

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
        """Wake ``waiting`` once, when there is more credit or nothing is under way."""
        self._waiting[waiting] = None

    def _wake(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            for one in waiting:
                one.wake()
