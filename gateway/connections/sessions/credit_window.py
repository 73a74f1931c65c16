"""What a receiver still takes for one of its subscriptions (spec section 7.5)."""

from __future__ import annotations

from typing import Final, Protocol

WINDOW_MESSAGES: Final = 1024
WINDOW_BYTES: Final = 64 * 1024 * 1024
"""What may be under way to a subscription that grants nothing itself: what is done with makes room for more."""


class CreditWaiter(Protocol):
    """Who is held up by a lack of credit."""

    def wake(self) -> None:
        """There is more."""


class CreditWindow:
    """The credit of one subscription, shared by all its streams.

    A record batch counts as one message. Bytes are those of decoded payloads. A message larger than what is left is
    sent all the same when nothing of the subscription is under way; what it takes too much, later grants make up for.

    Attributes:
        messages: how many more may be sent.
        nbytes: how many more bytes; below 0 after a message larger than what was left.
        under_way: messages that were sent and not answered by DONE.
    """

    __slots__ = ("_replenished", "_waiting", "messages", "nbytes", "under_way")

    def __init__(self, messages: int, nbytes: int, *, replenished: bool) -> None:
        """``replenished``: what is done with is granted again; otherwise the receiver grants it by CREDIT."""
        self.messages = messages
        self.nbytes = nbytes
        self.under_way = 0
        self._replenished = replenished
        self._waiting: dict[CreditWaiter, None] = {}

    @classmethod
    def window(cls) -> CreditWindow:
        """The credit of a subscription that named none."""
        return cls(WINDOW_MESSAGES, WINDOW_BYTES, replenished=True)

    def allows(self, nbytes: int) -> bool:
        """Whether a message with a payload of ``nbytes`` may be sent now."""
        return self.messages > 0 and (nbytes <= self.nbytes or (not self.under_way and self.nbytes > 0))

    def take(self, nbytes: int) -> None:
        """Such a message is sent."""
        self.messages -= 1
        self.nbytes -= nbytes
        self.under_way += 1

    def settle(self, nbytes: int) -> None:
        """It is not under way any more."""
        self.under_way -= 1
        if self._replenished:
            self.messages += 1
            self.nbytes += nbytes
        self._wake()

    def grant(self, messages: int, nbytes: int) -> None:
        """The receiver takes so much more."""
        self.messages += messages
        self.nbytes += nbytes
        self._wake()

    def wait(self, waiting: CreditWaiter) -> None:
        """Wake ``waiting`` once when there is more credit, or nothing under way."""
        self._waiting[waiting] = None

    def _wake(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, {}
            for one in waiting:
                one.wake()
