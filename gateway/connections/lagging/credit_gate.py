"""Credit gate: the credit that messages of one stream take on their way to one receiver (spec section 7.5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from gateway.streams.run import Source

UNBOUNDED: Final = 1 << 62
"""Messages and bytes for which there is credit where no subscription bounds them."""


class SubscriptionCredit(Protocol):
    """Credit of one subscription."""

    messages: int
    """Messages that may still be sent."""
    nbytes: int
    """Bytes of decoded payloads that may still be sent; below 0 after a message that was larger."""
    ended: bool
    """Whether its subscription has ended, so that it bounds nothing."""

    @property
    def open(self) -> bool:
        """Whether another message may be sent, of whatever size."""

    def wait(self, waiting: CreditGate) -> None:
        """Wake a gate once, when there is more credit and its turn has come."""

    def pass_on(self, sender: CreditGate) -> None:
        """Wake another sender if there is credit left."""

    def leave(self, sender: CreditGate) -> None:
        """Forget a gate, and leave the credit to others."""


class CreditGate:
    """Gate of one source towards one receiver: open while all subscriptions that receive the source leave credit.

    Args:
        source: the stream, view or observed stream.
        woken: called with the gate when it has waited, and there is credit again.

    Attributes:
        source: the same.
        waiting: whether the gate waits for credit.
    """

    __slots__ = ("_credits", "_woken", "source", "waiting")

    def __init__(self, source: Source, woken: Callable[[CreditGate], object]) -> None:
        self.source = source
        self.waiting = False
        self._credits: Sequence[SubscriptionCredit] = ()
        self._woken = woken

    @property
    def open(self) -> bool:
        """Whether another message may be sent, of whatever size; the last one may so exceed the bytes granted."""
        return all(credit.open for credit in self._credits)

    @property
    def room(self) -> tuple[int, int]:
        """Messages and bytes for which all subscriptions leave credit."""
        credits = self._credits
        messages = min([credit.messages for credit in credits], default=UNBOUNDED)
        return messages, min([credit.nbytes for credit in credits], default=UNBOUNDED)

    def add(self, credit: SubscriptionCredit) -> None:
        """Take the credit of one more subscription for all messages from now on."""
        others = [other for other in self._credits if not other.ended and other is not credit]
        self._credits = (*others, credit)

    def take(self, messages: int, nbytes: int) -> None:
        """Take credit for messages that are sent, whose decoded payloads have ``nbytes`` together."""
        for credit in self._credits:
            credit.messages -= messages
            credit.nbytes -= nbytes

    def take_all(self, messages: int, nbytes: int) -> bool:
        """Take credit for messages that are sent together; return False, and take none, if it is not enough for all."""
        for credit in self._credits:
            if (credit.messages < messages or credit.nbytes < nbytes) and (messages > 1 or not credit.open):
                return False
        # As `take` does: the call would cost a third of this, which each receiver needs for each flush.
        for credit in self._credits:
            credit.messages -= messages
            credit.nbytes -= nbytes
        return True

    def wait(self) -> None:
        """Be woken when there is credit again; to be called while the gate is not open."""
        credit = next((credit for credit in self._credits if not credit.open), None)
        if credit is not None:
            self.waiting = True
            credit.wait(self)

    def wake(self) -> None:
        """Take note that there is more credit (:class:`~gateway.connections.sessions.credit_window.CreditWaiter`)."""
        self.waiting = False
        self._woken(self)

    def pass_on(self) -> None:
        """Leave to others what is left of the credits, as all that could be sent was sent."""
        for credit in self._credits:
            credit.pass_on(self)

    def close(self) -> None:
        """Leave all credits: the receiver has left the source."""
        for credit in self._credits:
            credit.leave(self)
        self._credits = ()


class CreditGates:
    """Gates of one receiver, by source.

    Args:
        call_soon: calls back at the end of the turn of the loop.
        go_on: called with the sources for which there is credit again.

    Attributes:
        by_source: gates of the sources that a subscription with credit receives.
    """

    __slots__ = ("_call_soon", "_go_on", "_woken", "by_source")

    def __init__(
        self, call_soon: Callable[[Callable[[], object]], object], go_on: Callable[[Sequence[Source]], object]
    ) -> None:
        self.by_source: dict[Source, CreditGate] = {}
        self._call_soon = call_soon
        self._go_on = go_on
        self._woken: list[CreditGate] = []
        """Gates for which there is credit again, and which have not gone on yet."""

    def add(self, source: Source, credit: SubscriptionCredit) -> None:
        """Have messages of a source take the credit of a subscription from now on."""
        gate = self.by_source.get(source)
        if gate is None:
            gate = self.by_source[source] = CreditGate(source, self._wake)
        gate.add(credit)

    def drop(self, source: Source) -> None:
        """Forget a source, which the receiver has left."""
        gate = self.by_source.pop(source, None)
        if gate is not None:
            gate.close()

    def detach(self) -> dict[Source, CreditGate]:
        """Forget the receiver, which is gone, and return the gates of all sources: very many take long to free."""
        gone, self.by_source = self.by_source, {}
        self._woken.clear()
        self._go_on = len
        return gone

    def _wake(self, gate: CreditGate) -> None:
        # Not at once: each gate that is woken may wake another one, and there may be thousands.
        self._woken.append(gate)
        if len(self._woken) == 1:
            self._call_soon(self._resume)

    def _resume(self) -> None:
        woken, self._woken = self._woken, []
        self._go_on([gate.source for gate in woken])
        for gate in woken:
            gate.pass_on()
