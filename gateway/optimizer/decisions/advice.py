"""Advice: the candidate of least cost for a link tier, by the outcomes of a shadow trial, in words and figures."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from gateway.connections.link_tier import TIERS, LinkTier, tier_named, tier_of_class
from gateway.errors import InvalidArgument
from gateway.optimizer.delivery_cost import (
    Delivery,
    DeliveryCost,
    EncodingFigures,
    best_of,
    decode_factor,
    delivery_cost,
)
from gateway.optimizer.history.record import AS_PUBLISHED, ShadowTrial, TrafficRecord
from gateway.protocol.encoding import PLAIN, Chain


@dataclass(frozen=True, slots=True)
class Advice:
    """Candidate of least cost for one delivery class and link tier."""

    tier: str
    """Name of the tier."""
    there: bool
    """Whether most receivers of the class are in this tier."""
    best: str
    """The candidate."""
    best_s: float
    """Time until a receiver can use a payload that is sent by it."""
    instead_of: str
    """Chain that is in use, or plain payloads if it was not tried."""
    instead_of_s: float
    """The same time for that chain."""
    best_load: float
    """Bytes by the candidate over those that such a link takes; from 1 on, messages wait ever longer."""
    instead_of_load: float
    """The same for the chain in use."""

    @property
    def words(self) -> str:
        """The advice as a sentence."""
        receiver = f"a {self.tier} receiver" if self.tier != TIERS[-1].name else "a receiver on this machine"
        same = self.best == self.instead_of
        if self.best_load >= 1:
            best = f"{self.best} would need {self.best_load:.1f} times what {receiver} takes"
            return best if same else f"{best}, {self.instead_of} {self.instead_of_load:.1f} times"
        if same:
            return f"{self.best} takes {_time(self.best_s)} to {receiver}, no candidate less"
        if self.instead_of_load >= 1:
            other = f"{self.instead_of} needs {self.instead_of_load:.1f} times what it takes"
        else:
            other = f"{self.instead_of} takes {_time(self.instead_of_s)}"
        price = " and more of the CPU" if self.best_s >= self.instead_of_s else ""
        return f"{self.best} would take {_time(self.best_s)} to {receiver} where {other}{price}"


def figures_of(trial: ShadowTrial) -> tuple[EncodingFigures, ...]:
    """Return the figures of all chains of a trial."""
    size = max(1, trial.sample_bytes)
    return tuple(
        [
            EncodingFigures(each.chain, each.encoded_bytes / size, each.encode_s / size, each.decode_s / size)
            for each in trial.tried
        ]
    )


def advise(trial: ShadowTrial, record: TrafficRecord) -> Iterator[Advice]:
    """Yield an advice for each link tier.

    Args:
        trial: the last one of the stream.
        record: the last one of the delivery class.
    """
    tried = [each for each in figures_of(trial) if may_decode(record.codecs, each.chain)]
    by_chain = {each.chain: each for each in tried}
    now = by_chain.get(record.chain) or by_chain.get(str(PLAIN))
    if now is None or record.chain == AS_PUBLISHED:
        return
    used = by_chain.get(record.chain)
    factor = decode_factor(record.decode_s_per_byte, None if used is None else used.decode_s_per_byte)
    own = tier_of_class(tier_named(record.tier), record.goodput_bytes_per_s)
    for tier in TIERS:
        delivery = delivery_to(record, tier, factor)
        found = best_of(tried, delivery)
        if found is not None:
            best, cost = found
            now_cost = delivery_cost(now, delivery)
            yield Advice(
                tier=tier.name,
                there=tier == own,
                best=best.chain,
                best_s=cost.delay_s,
                instead_of=now.chain,
                instead_of_s=now_cost.delay_s,
                best_load=_load(cost, record),
                instead_of_load=_load(now_cost, record),
            )


def _load(cost: DeliveryCost, record: TrafficRecord) -> float:
    """Return the share of the time for which a link is busy with the payloads of a class."""
    return cost.transfer_s / record.arrival_interval_s if record.arrival_interval_s else 0.0


def delivery_to(record: TrafficRecord, tier: LinkTier, decode_factor: float) -> Delivery:
    """Return a payload of a delivery class on its way to a receiver.

    Args:
        record: the last one of the class.
        tier: link tier of the receiver.
        decode_factor: time that the receiver takes to decode, over that of this machine.
    """
    return Delivery(
        payload_bytes=record.payload_bytes,
        goodput_bytes_per_s=tier.goodput_bytes_per_s,
        interval_s=record.arrival_interval_s,
        burstiness=1.0 if record.burstiness is None else max(0.0, record.burstiness),
        decode_factor=decode_factor,
        receivers=record.receivers,
    )


def may_decode(codecs: Collection[str], chain: str) -> bool:
    """Return whether receivers that know these codecs can decode a chain; a later gateway may have tried others."""
    parsed = parsed_chain(chain)
    return parsed is not None and parsed.names <= set(codecs)


def parsed_chain(name: str) -> Chain | None:
    """Return the chain of a name; ``None``: another version of the gateway has tried it."""
    try:
        return Chain.parse(name)
    except InvalidArgument:
        return None


def _time(seconds: float) -> str:
    """Return a time with its unit and two or three digits."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} us"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
