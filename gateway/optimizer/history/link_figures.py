"""Link figures: the links of some receivers of a delivery class, as one median each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import islice
from typing import Final, NamedTuple

from gateway.connections.fanout.delivery_class import DeliveryClass
from gateway.connections.outbound.link_reading import link_quality
from gateway.optimizer.history.quiet_links import QuietLinks

LOOKED_AT: Final = 16
"""Receivers of which the links are read, at some 2 us each."""
QUIET_LOOKED_AT: Final = 4
"""Receivers of which the sockets are read, at some 4 us each, if nothing waits for any."""
MAX_STEP: Final = 64
"""Receivers from one of these to the next: of very many, some 1,000 are passed over."""


class LinkFigures(NamedTuple):
    """Medians of the links of some receivers, and the software of most; ``None``: no receiver has the figure."""

    client: str
    rtt_s: float | None
    goodput_bytes_per_s: float | None
    queue_delay_s: float | None
    decode_s_per_byte: float | None


def link_figures(delivery: DeliveryClass, quiet_links: QuietLinks, now_s: float) -> LinkFigures:
    """Return the figures of a delivery class.

    Args:
        delivery: the class.
        quiet_links: know the rates of receivers for which nothing waits.
        now_s: a monotonic time.
    """
    step = min(1 + len(delivery) // LOOKED_AT, MAX_STEP)
    members = list(islice(delivery, 0, LOOKED_AT * step, step))
    links = [link_quality(member) for member in members]
    rates = [link.goodput_bytes_per_s for link in links]
    if not any(rates):
        quiet = members[:QUIET_LOOKED_AT]
        rates = [quiet_links.rate_of(each.peer.id, each.transport.socket_counts().tcp, now_s) for each in quiet]
    clients = Counter([f"{member.peer.client_type.value} {member.peer.agent}".strip() for member in members])
    return LinkFigures(
        clients.most_common(1)[0][0] if clients else "",
        median_of(link.rtt_s for link in links),
        median_of(rates),
        median_of(link.queue_delay_s for link in links),
        median_of(link.decode_s_per_byte for link in links),
    )


def median_of(values: Iterable[float | None]) -> float | None:
    """Return the median of the values that are known; of an even number, the higher one of the middle."""
    known = sorted([value for value in values if value is not None])
    return known[len(known) // 2] if known else None
