"""Encoding anew: figures of payloads that their publisher has encoded, if the gateway decodes and encodes them.

All is for a byte as it was published, so that a payload that goes as it was published counts as a plain one does
elsewhere: its ratio is 1, and the gateway spends nothing on it. Pure functions of values.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final, NamedTuple

from gateway.optimizer.decisions.advice import parsed_chain
from gateway.optimizer.decisions.decision import Decision
from gateway.optimizer.delivery_cost import EncodingFigures
from gateway.protocol.encoding import PLAIN, Chain

LEAST_SAVING: Final = 0.2
"""Share of the cost that encoding anew must save: the level by which the publisher encodes is not known."""
KEPT_SAVING: Final = 0.1
"""The same for a chain that is in force."""


class PublishedFigures(NamedTuple):
    """Figures of chains for a byte as it was published."""

    ratio: float
    """Bytes as they are published over bytes of the payload."""
    figures: tuple[EncodingFigures, ...]
    """Figures of the chains; plain stands for payloads as they were published."""


def over_published(tried: Iterable[EncodingFigures], published_encoding: str) -> PublishedFigures | None:
    """Return the figures of encoding anew; ``None``: the encoding of the publisher was not tried.

    Args:
        tried: figures of chains on plain payloads.
        published_encoding: codecs and filters by which the publisher encodes, without their levels.
    """
    by_chain = {each.chain: each for each in tried}
    alike = [each for name, each in by_chain.items() if _without_level(name) == published_encoding]
    if not alike:
        return None
    published = min(alike, key=lambda each: each.ratio)  # the best level, so that none is taken for worse than it is
    anew = [
        each for name, each in by_chain.items() if (chain := parsed_chain(name)) and chain.names and not chain.delta
    ]
    scaled = [
        EncodingFigures(
            each.chain,
            each.ratio / published.ratio,
            (published.decode_s_per_byte + each.encode_s_per_byte) / published.ratio,
            each.decode_s_per_byte / published.ratio,
        )
        for each in anew
    ]
    as_published = EncodingFigures(str(PLAIN), 1.0, 0.0, published.decode_s_per_byte / published.ratio)
    return PublishedFigures(published.ratio, (as_published, *scaled))


def as_decided(decision: Decision, published_encoding: str, held: Chain | None) -> Decision | None:
    """Return a decision by these figures, in words that tell of the publisher; ``None``: it saves too little.

    Args:
        decision: the decision.
        published_encoding: codecs and filters by which the publisher encodes.
        held: chain that is in force.
    """
    if decision.saved_share < (KEPT_SAVING if decision.chain == held else LEAST_SAVING):
        return None
    reason = f"published by {published_encoding}, which none stands for here: {decision.reason}"
    return replace(decision, delta=None, reason=reason)


def _without_level(chain: str) -> str:
    return chain.partition(":")[0]
