"""Deciding: the chains of least cost for one kind of receivers, by figures of chains. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from gateway.connections.link_tier import LinkTier
from gateway.optimizer.decisions.advice import Advice, parsed_chain
from gateway.optimizer.decisions.decision import Decision
from gateway.optimizer.delivery_cost import Delivery, DeliveryCost, EncodingFigures, best_of, delivery_cost
from gateway.protocol.encoding import PLAIN, Chain

LEAST_SAVING: Final = 0.05
"""Share of the cost that a choice must save, against the baseline and against the decision before it: figures of
trials are not more exact, and what is changed is to be compared anew."""
KEPT_SAVING: Final = 0.0
"""The same against the baseline for a decision that is in force: noise does not take it back and forth."""
APART_SAVING: Final = 0.2
"""Share of the cost that receivers of another tier must save for a stream to be sent to each tier by its own chain."""
TOGETHER_SAVING: Final = 0.1
"""The same for a stream that is sent so already."""
NEWS_FACTOR: Final = 1.5
"""Factor by which the size of payloads, their interval or the number of receivers changes before decisions are taken
anew for it."""


class Chains(NamedTuple):
    """Choice of one policy for some receivers."""

    chain: Chain
    """Chain of complete payloads."""
    delta: Chain | None
    """Chain of deltas; ``None``: none are made."""


UNENCODED: Final = Chains(PLAIN, None)
"""Choice of plain payloads."""


def decide(
    tried: Iterable[EncodingFigures],
    delivery: Delivery,
    tier: LinkTier,
    baseline: Chains,
    held: Chains | None = None,
) -> Decision | None:
    """Return the decision; one that saves nothing is that of the baseline. ``None``: there are no figures to go by.

    Args:
        tried: figures of chains that the receivers can decode.
        delivery: a payload, and one of the receivers.
        tier: their link tier, for the reason.
        baseline: choice of the baseline.
        held: decision that is in force, which stays until another one saves enough, or it saves nothing itself.
    """
    by_chain = {each.chain: each for each in tried}
    parsed = {name: chain for name in by_chain if (chain := parsed_chain(name)) is not None}
    whole = best_of([by_chain[name] for name, chain in parsed.items() if not chain.delta], delivery)
    if whole is None:
        return None
    chain_figures, cost = whole
    best, delta = chain_figures, None
    difference = best_of([by_chain[name] for name, chain in parsed.items() if chain.delta], delivery)
    if difference is not None and difference[1].total_s < cost.total_s:
        best, cost = difference
        delta = parsed[best.chain]
    chosen = Chains(parsed[chain_figures.chain], delta)
    # A chain that was not tried, such as one of deltas before there was a version, counts as plain.
    usual, usual_cost = _costed(baseline, by_chain, delivery) or _costed(UNENCODED, by_chain, delivery) or (best, cost)
    if held is not None and held != chosen:
        kept = _costed(held, by_chain, delivery)
        if kept is not None and cost.total_s > (1 - LEAST_SAVING) * kept[1].total_s:
            chosen, (best, cost) = held, kept
    reason = _words(tier, best, cost, usual, usual_cost, delivery)
    least = KEPT_SAVING if chosen == held else LEAST_SAVING
    if cost.total_s >= (1 - least) * usual_cost.total_s:
        both_s = usual_cost.total_s, usual_cost.total_s
        return Decision(*baseline, *both_s, f"as the baseline: {reason}", "baseline", usual.ratio)
    return Decision(*chosen, cost.total_s, usual_cost.total_s, reason, predicted_ratio=best.ratio)


def pays_apart(
    tried: Collection[EncodingFigures], delivery: Delivery, tiers: Iterable[LinkTier], *, apart: bool
) -> bool:
    """Return whether receivers of different tiers are worth a chain of their own each.

    Args:
        tried: figures of chains that the receivers can decode.
        delivery: a payload; its rate is not looked at.
        tiers: tiers of receivers.
        apart: whether they have chains of their own now.
    """
    least = TOGETHER_SAVING if apart else APART_SAVING
    places = [delivery.at(tier.goodput_bytes_per_s) for tier in tiers]
    costs = [[delivery_cost(each, place).total_s for place in places] for each in tried]
    best = [min(column) for column in zip(*costs, strict=True)]
    # By whatever one chain all are served, some tier pays so much for it.
    return bool(best) and all(
        any(own_s < (1 - least) * cost_s for own_s, cost_s in zip(best, row, strict=True)) for row in costs
    )


def by_promise(figures: Iterable[EncodingFigures], payload_bytes: int, tiers: Collection[LinkTier]) -> list[str]:
    """Return chains in the order in which they are worth a trial: those of least cost on links of some tier first.

    Args:
        figures: of the chains, as they were probed or predicted.
        payload_bytes: size of a payload.
        tiers: the tiers.
    """
    excess = dict[str, float]()
    known = list(figures)
    for tier in tiers:
        delivery = Delivery(payload_bytes=payload_bytes, goodput_bytes_per_s=tier.goodput_bytes_per_s)
        costs = {each.chain: delivery_cost(each, delivery).total_s for each in known}
        least_s = min(costs.values(), default=0.0)
        for chain, cost_s in costs.items():
            excess[chain] = min(excess.get(chain, math.inf), cost_s / least_s if least_s else 1.0)
    return sorted(excess, key=lambda chain: excess[chain])


def _costed(
    chains: Chains, by_chain: dict[str, EncodingFigures], delivery: Delivery
) -> tuple[EncodingFigures, DeliveryCost] | None:
    """Return the figures by which payloads go with a choice, and their cost; ``None``: they were not tried."""
    figures = by_chain.get(str(chains.chain if chains.delta is None else chains.delta))
    return None if figures is None else (figures, delivery_cost(figures, delivery))


def _words(
    tier: LinkTier,
    best: EncodingFigures,
    cost: DeliveryCost,
    usual: EncodingFigures,
    usual_cost: DeliveryCost,
    delivery: Delivery,
) -> str:
    interval_s = delivery.interval_s or float("inf")
    return Advice(
        tier=tier.name,
        there=True,
        best=best.chain,
        best_s=cost.delay_s,
        instead_of=usual.chain,
        instead_of_s=usual_cost.delay_s,
        best_load=cost.transfer_s / interval_s,
        instead_of_load=usual_cost.transfer_s / interval_s,
    ).words
