"""Delivery cost: the time until a receiver can use a payload that is sent by some chain, and the server's part in it.

``encode + queue + bytes / goodput + decode``, plus a price for the CPU time of the server. Pure functions of values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

CPU_PRICE: Final = 1.0
"""Seconds of waiting that one second of the server's CPU is worth. A class pays it once, whatever its receivers."""
OVERLOAD_S: Final = 2.0
"""Time for which messages wait on a link that takes just as many bytes as are sent to it. Past that the queue grows
without end, and the cost with the share of the bytes that is too much."""

LEAST_BURSTINESS: Final = 0.25
"""Burstiness that counts at the least: payloads at equal intervals wait as well, since the rate of a link varies.
Without it a link would be taken for free until it is full."""


@dataclass(frozen=True, slots=True)
class EncodingFigures:
    """Figures of a chain on one kind of payload, as they were tried or predicted."""

    chain: str
    """The chain."""
    ratio: float
    """Bytes sent over bytes of the payload."""
    encode_s_per_byte: float
    """CPU time for a byte of the payload."""
    decode_s_per_byte: float
    """The same of decoding, on this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """Payload of a delivery class on its way to one receiver."""

    payload_bytes: int
    """Size of the payload, decoded."""
    goodput_bytes_per_s: float
    """Rate at which the receiver takes bytes."""
    interval_s: float | None = None
    """Mean time from one payload to the next; ``None``: there is no next one to wait."""
    burstiness: float = 1.0
    """Variance of the payloads in short times over their mean: 1 at random, less at equal intervals, more in bursts."""
    queue_delay_s: float = 0.0
    """Time for which the link is busy with other messages."""
    decode_factor: float = 1.0
    """Time that the receiver takes to decode, over that of this machine: another SDK may take ten times as long."""
    receivers: int = 1
    """Receivers for which the payload is encoded once."""

    def at(self, goodput_bytes_per_s: float) -> Delivery:
        """Return the same to a receiver that takes bytes at another rate."""
        return replace(self, goodput_bytes_per_s=goodput_bytes_per_s)


@dataclass(frozen=True, slots=True)
class DeliveryCost:
    """Cost of a payload for one receiver."""

    encode_s: float
    """Time of encoding."""
    queue_s: float
    """Time behind messages before it."""
    transfer_s: float
    """Time on the link."""
    decode_s: float
    """Time of decoding."""
    cpu_s: float
    """Price of the server's CPU, the receiver's share."""

    @property
    def delay_s(self) -> float:
        """Time until the receiver can use the payload."""
        return self.encode_s + self.queue_s + self.transfer_s + self.decode_s

    @property
    def total_s(self) -> float:
        """The cost: delay and price together."""
        return self.delay_s + self.cpu_s


def delivery_cost(figures: EncodingFigures, delivery: Delivery, cpu_price: float = CPU_PRICE) -> DeliveryCost:
    """Return the cost of sending a payload by a chain.

    Args:
        figures: of the chain.
        delivery: the payload and its receiver.
        cpu_price: seconds of waiting that one second of the server's CPU is worth.
    """
    encode_s = figures.encode_s_per_byte * delivery.payload_bytes
    transfer_s = figures.ratio * delivery.payload_bytes / delivery.goodput_bytes_per_s
    return DeliveryCost(
        encode_s,
        delivery.queue_delay_s + _wait_s(transfer_s, delivery.interval_s, delivery.burstiness),
        transfer_s,
        figures.decode_s_per_byte * delivery.payload_bytes * delivery.decode_factor,
        cpu_price * encode_s / max(1, delivery.receivers),
    )


def best_of(
    tried: Iterable[EncodingFigures], delivery: Delivery, cpu_price: float = CPU_PRICE
) -> tuple[EncodingFigures, DeliveryCost] | None:
    """Return the figures of the least cost, the first of equals, with that cost; ``None``: there are no figures."""
    costs = [(each, delivery_cost(each, delivery, cpu_price)) for each in tried]
    return min(costs, key=lambda pair: pair[1].total_s, default=None)


def decode_factor(measured_s_per_byte: float | None, tried_s_per_byte: float | None) -> float:
    """Return the time that a receiver takes to decode over that of this machine; 1 if one of both is not known.

    Args:
        measured_s_per_byte: time of the receiver, for the chain that is in use.
        tried_s_per_byte: time of this machine, for the same chain.
    """
    if not measured_s_per_byte or not tried_s_per_byte:
        return 1.0
    factor = measured_s_per_byte / tried_s_per_byte
    return factor if math.isfinite(factor) and factor > 0 else 1.0


def _wait_s(transfer_s: float, interval_s: float | None, burstiness: float) -> float:
    """Return how long a payload waits for those of its own stream before it (Kingman; at random M/D/1)."""
    if not interval_s or interval_s <= 0:
        return 0.0
    load = transfer_s / interval_s
    longest_s = OVERLOAD_S * load
    variance = max(burstiness, LEAST_BURSTINESS)
    return longest_s if load >= 1 else min(longest_s, variance * load * transfer_s / (2 * (1 - load)))
