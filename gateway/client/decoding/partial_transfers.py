"""Partial transfers: large messages that were incomplete when the connection was lost; the next one may bring the rest.

The module knows transfers and streams (spec section 6.7); it must not know subscriptions, nor how chunks are assembled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.errors import Code, RequestRefused


class PartialTransfer(Protocol):
    """Large message of which some chunks have arrived."""

    head: InboundFrame
    """Data frame that began the message."""

    @property
    def next_index(self) -> int:
        """Index of the first chunk that is missing."""


class _Kept(NamedTuple):
    stream: str
    partial: PartialTransfer


class PartialTransfers:
    """Partial transfers that the last connection has left, at most one of each stream."""

    def __init__(self) -> None:
        self._kept: dict[int, _Kept] = {}
        self._offered: set[int] = set()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, transfers: Iterable[tuple[str, PartialTransfer]]) -> None:
        """Keep the most advanced transfer of each stream after a lost connection, and forget all others.

        Args:
            transfers: name of the stream and transfer, each.
        """
        most: dict[str, PartialTransfer] = {}
        for stream, partial in transfers:
            best = most.get(stream)
            if partial.next_index and (best is None or partial.next_index > best.next_index):
                most[stream] = partial
        self._kept = {_transfer_of(partial): _Kept(stream, partial) for stream, partial in most.items()}
        self._offered.clear()

    def offer(self, matches: Callable[[str], bool]) -> Mapping[str, tuple[int, int]] | None:
        """Return the transfers that SUBSCRIBE asks to resume; each is offered once a session.

        Args:
            matches: returns whether the subscription matches a stream.

        Returns:
            Number of the transfer and first missing chunk, by stream.
        """
        offer = {}
        for transfer, (stream, partial) in self._kept.items():
            if transfer not in self._offered and matches(stream):
                self._offered.add(transfer)
                offer[stream] = transfer, partial.next_index
        return offer or None

    def take(self, inbound: InboundFrame) -> PartialTransfer:
        """Remove and return the partial transfer that a head resumes.

        Raises:
            RequestRefused: ``BROKEN_TRANSFER``: there is none, or it belongs to another message.
        """
        plan = inbound.frame.plan
        assert plan is not None
        kept = self._kept.pop(plan.transfer, None)
        if kept is None or not _is_same_message(kept.partial.head, inbound):
            problem = f"transfer {plan.transfer} is resumed, and its first chunks are not here"
            raise RequestRefused(Code.BROKEN_TRANSFER, problem)
        return kept.partial

    def clear(self) -> None:
        """Forget all transfers."""
        self._kept.clear()

    def forget(self, stream: str) -> None:
        """Forget the transfer of a ``state`` stream of which a newer version has arrived: the rest will not come."""
        for transfer in [transfer for transfer, kept in self._kept.items() if kept.stream == stream]:
            del self._kept[transfer]


def _transfer_of(partial: PartialTransfer) -> int:
    plan = partial.head.frame.plan
    assert plan is not None
    return plan.transfer


def _is_same_message(one: InboundFrame, other: InboundFrame) -> bool:
    """Return whether two heads belong to one message: transfers of a restarted gateway may have the same numbers."""
    a, b = one.frame, other.frame
    return (a.plan, a.publisher, a.timestamp_ns, a.meta) == (b.plan, b.publisher, b.timestamp_ns, b.meta)
