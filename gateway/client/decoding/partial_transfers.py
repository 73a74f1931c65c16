"""Large messages of which a part had come when the connection was lost: the next one brings the rest, if it can.

Knows transfers and streams (spec section 6.7); not who asks, nor how chunks are put together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, Protocol

from gateway.client.decoding.inbound_frame import InboundFrame
from gateway.errors import Code, RequestRefused


class Beginning(Protocol):
    """A large message under way."""

    arrival: InboundFrame
    """Its head."""

    @property
    def next_index(self) -> int:
        """The first chunk that is missing."""


class _Kept(NamedTuple):
    stream: str
    beginning: Beginning


class PartialTransfers:
    """What the last connection has left unfinished, of streams."""

    def __init__(self) -> None:
        self._kept: dict[int, _Kept] = {}
        self._offered: set[int] = set()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, beginnings: Iterable[tuple[str, Beginning]]) -> None:
        """A connection is lost. Of each stream the one message is kept of which there is most; others are forgotten.

        Args:
            beginnings: with the name of the stream of each.
        """
        most: dict[str, Beginning] = {}
        for stream, beginning in beginnings:
            best = most.get(stream)
            if beginning.next_index and (best is None or beginning.next_index > best.next_index):
                most[stream] = beginning
        self._kept = {_transfer_of(beginning): _Kept(stream, beginning) for stream, beginning in most.items()}
        self._offered.clear()

    def offer(self, matches: Callable[[str], bool]) -> Mapping[str, tuple[int, int]] | None:
        """For SUBSCRIBE: of the streams that match, what is to go on; each is offered once on a session."""
        offer = {}
        for transfer, (stream, beginning) in self._kept.items():
            if transfer not in self._offered and matches(stream):
                self._offered.add(transfer)
                offer[stream] = transfer, beginning.next_index
        return offer or None

    def take(self, arrival: InboundFrame) -> Beginning:
        """The beginning of a message whose head says that it goes on.

        Raises:
            RequestRefused: ``BROKEN_TRANSFER``, there is none, or it is that of another message.
        """
        plan = arrival.frame.plan
        assert plan is not None
        kept = self._kept.pop(plan.transfer, None)
        if kept is None or not _same(kept.beginning.arrival, arrival):
            problem = f"transfer {plan.transfer} goes on, and its beginning is not here"
            raise RequestRefused(Code.BROKEN_TRANSFER, problem)
        return kept.beginning

    def forget(self, stream: str) -> None:
        """Something newer has come of a ``state`` stream: the rest will not."""
        for transfer in [transfer for transfer, kept in self._kept.items() if kept.stream == stream]:
            del self._kept[transfer]


def _transfer_of(beginning: Beginning) -> int:
    plan = beginning.arrival.frame.plan
    assert plan is not None
    return plan.transfer


def _same(one: InboundFrame, other: InboundFrame) -> bool:
    """Whether two heads are of the same message: transfers of a restarted gateway may have the same numbers."""
    a, b = one.frame, other.frame
    return (a.plan, a.publisher, a.timestamp_ns, a.meta) == (b.plan, b.publisher, b.timestamp_ns, b.meta)
