"""Link figures: the links of some receivers of a delivery class, as one median each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from statistics import median_high, median_low
from typing import Final, NamedTuple

from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.link_reading import link_quality
from gateway.optimizer.history.quiet_links import QuietLinks

LOOKED_AT: Final = 16
"""Receivers of which the links are read, at some 2 us each."""
QUIET_LOOKED_AT: Final = 4
"""Receivers without a known rate of which the sockets are read, in turns, at some 4 us each."""
MAX_STEP: Final = 64
"""Receivers from one of these to the next: of very many, some 1,000 are passed over."""


TakeRate = Callable[[Connection, float], object]
"""Function that is told of the rate at which a receiver takes bytes, though none wait for it."""


class LinkFigures(NamedTuple):
    """Medians of the links of some receivers, and the software of most; ``None``: no receiver has the figure.

    The slower of two receivers in the middle counts: messages wait for it.
    """

    client: str
    rtt_s: float | None
    goodput_bytes_per_s: float | None
    queue_delay_s: float | None
    decode_s_per_byte: float | None


def link_figures(delivery: DeliveryClass, quiet_links: QuietLinks, now_s: float, take_rate: TakeRate) -> LinkFigures:
    """Return the figures of a delivery class.

    Args:
        delivery: the class.
        quiet_links: know the rates of receivers for which nothing waits.
        now_s: a monotonic time.
        take_rate: told of those that are exact.
    """
    step = min(1 + len(delivery) // LOOKED_AT, MAX_STEP)
    turn = int(now_s)
    members = list(islice(delivery, turn % step, LOOKED_AT * step, step))
    links = [link_quality(member) for member in members]
    rates = [link.goodput_bytes_per_s for link in links]
    quiet = [member for member, rate in zip(members, rates, strict=True) if rate is None]
    for number in range(min(QUIET_LOOKED_AT, len(quiet))):
        member = quiet[(turn * QUIET_LOOKED_AT + number) % len(quiet)]
        found = quiet_links.rate_of(member.peer.id, member.transport.socket_counts().tcp, now_s)
        if found is not None:
            rates.append(found.bytes_per_s)
            if found.is_exact:
                take_rate(member, found.bytes_per_s)
    clients = Counter([f"{member.peer.client_type.value} {member.peer.agent}".strip() for member in members])
    return LinkFigures(
        clients.most_common(1)[0][0] if clients else "",
        _median(median_high, [link.rtt_s for link in links]),
        _median(median_low, rates),
        _median(median_high, [link.queue_delay_s for link in links]),
        _median(median_high, [link.decode_s_per_byte for link in links]),
    )


def _median(middle: Callable[[list[float]], float], values: Iterable[float | None]) -> float | None:
    """Return the median of the values that are known, by a function that chooses it."""
    known = [value for value in values if value is not None]
    return middle(known) if known else None
