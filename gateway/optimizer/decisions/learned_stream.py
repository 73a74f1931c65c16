"""Learned stream: decisions for the receivers of one stream, those that are in force, and the guard on each.

Pure values; no event loop. The policy looks into :attr:`LearnedStream.chains` for each message, and has them made anew
at the borders of blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.connections.receiver_profile import ReceiverProfile
from gateway.optimizer.decisions.deciding import UNENCODED, Chains
from gateway.optimizer.decisions.decision import Decision
from gateway.optimizer.decisions.guard import Guard
from gateway.optimizer.decisions.known_figures import KnownFigures
from gateway.optimizer.decisions.switchback import Switchback
from gateway.optimizer.delivery_cost import Delivery, delivery_cost
from gateway.optimizer.history.record import TrafficRecord
from gateway.protocol.encoding import PLAIN, Chain
from gateway.streams.stream import Stream

MAX_PROFILES: Final = 16
"""Receiver profiles of one stream for which decisions are taken; receivers of others are served by the baseline."""


@dataclass(slots=True, eq=False)
class GuardedDecision:
    """Decision for the receivers of one profile, with the guard on it."""

    recorded_s: float = 0.0
    """Monotonic time of their last traffic record, or of the beginning."""
    guard: Guard = field(default_factory=Guard)
    """The guard."""
    decision: Decision | None = None
    """The decision; ``None``: none was taken yet, or none can be."""
    delivery: Delivery | None = None
    """Payload and receiver by which costs are measured; ``None``: not known."""
    record: TrafficRecord | None = None
    """Last traffic record of these receivers that had messages."""
    goodput_bytes_per_s: float | None = None
    """Rate at which they take bytes, as it was known last: it is measured only while messages wait."""
    decode_factor: float = 1.0
    """Time in which they decode over that of this machine, as it was known last."""
    decode_s_per_byte: dict[str, float] = field(default_factory=dict)
    """Time in which they decode, by chain: as they have reported, else as it was tried."""
    published_ratio: float | None = None
    """Bytes as they are published over bytes of a payload, of which the decision is to encode them anew; ``None``: it
    is for payloads that are published plain."""

    @property
    def chains(self) -> Chains | None:
        """Chains to follow; ``None``: there are none, or the baseline chooses as well."""
        decision = self.decision
        return None if decision is None or decision.saved_share <= 0 else Chains(decision.chain, decision.delta)


@dataclass(slots=True, eq=False)
class LearnedStream:
    """Decisions for one stream."""

    stream: Stream
    """The stream, or a view."""
    recorded_s: float
    """Monotonic time of the last traffic record, or of the beginning."""
    decisions: dict[ReceiverProfile, GuardedDecision] = field(default_factory=dict)
    """Decisions by the profile of receivers, at most :data:`MAX_PROFILES`."""
    chains: dict[ReceiverProfile, Chain] = field(default_factory=dict)
    """Chains of complete payloads that are in force for the messages of this block."""
    deltas: dict[ReceiverProfile, Chain] = field(default_factory=dict)
    """Chains of deltas for the same receivers, plain if none are made."""
    anew: dict[ReceiverProfile, Chain] = field(default_factory=dict)
    """Chains of payloads that their publisher has encoded; receivers that are missing get them as published."""
    blocks: Switchback = field(default_factory=Switchback)
    """Blocks of messages."""
    figures: KnownFigures = field(default_factory=KnownFigures)
    """Figures of chains, by shadow trials."""
    trusted: bool = True
    """Whether decisions are followed; otherwise the stream cannot be tried."""
    apart: bool = False
    """Whether receivers of different link tiers are worth a chain of their own each."""
    due: bool = False
    """Whether there is news by which decisions may change."""
    decided_s: float = 0.0
    """Monotonic time of the last decisions."""

    def put(
        self,
        profile: ReceiverProfile,
        decision: Decision | None,
        delivery: Delivery | None,
        published_ratio: float | None = None,
    ) -> bool:
        """Take a decision, and return whether it has other chains than the one before.

        Args:
            profile: the receivers.
            decision: the decision; ``None``: none can be taken.
            delivery: payload and receiver by which costs are measured.
            published_ratio: of payloads that their publisher has encoded.
        """
        guarded = self.decisions[profile]
        before, was_anew = guarded.chains, guarded.published_ratio is not None
        guarded.decision, guarded.delivery, guarded.published_ratio = decision, delivery, published_ratio
        if guarded.chains == before and (before is None or was_anew == (published_ratio is not None)):
            return False
        guarded.guard.begin()
        return True

    def drop_idle(self, before_s: float) -> bool:
        """Forget receivers without a traffic record since a time; return whether any had a decision of their own."""
        idle = [profile for profile, guarded in self.decisions.items() if guarded.recorded_s < before_s]
        dropped = [self.decisions.pop(profile) for profile in idle]
        return any(guarded.chains is not None for guarded in dropped)

    def apply(self, now_s: float, *, trusted: bool) -> None:
        """Put the decisions in force that are to be followed in this block.

        Args:
            now_s: a monotonic time.
            trusted: whether any are followed.
        """
        in_force = {}
        if trusted and self.trusted and not self.blocks.by_baseline:
            for profile, guarded in self.decisions.items():
                chains = guarded.chains
                if chains is not None and guarded.guard.in_force(now_s):
                    in_force[profile] = chains
        anew = {profile for profile in in_force if self.decisions[profile].published_ratio is not None}
        self.anew = {profile: in_force[profile].chain for profile in anew}
        plain = {profile: chains for profile, chains in in_force.items() if profile not in anew}
        self.chains = {profile: chains.chain for profile, chains in plain.items()}
        self.deltas = {profile: chains.delta or PLAIN for profile, chains in plain.items()}

    def compare(self, baseline_of: Callable[[ReceiverProfile], Chains], now_s: float) -> list[ReceiverProfile]:
        """Compare the cost of messages by each decision with that by the baseline; return what is taken back.

        Args:
            baseline_of: returns the choice of the baseline for some receivers.
            now_s: a monotonic time.
        """
        taken_back = []
        for profile, guarded in self.decisions.items():
            chains, delivery = guarded.chains, guarded.delivery
            if chains is None or delivery is None or not guarded.guard.in_force(now_s):
                continue
            own = self.blocks.figures(*chains, guarded.decode_s_per_byte)
            baseline = UNENCODED if guarded.published_ratio is not None else baseline_of(profile)
            usual = self.blocks.figures(*baseline, guarded.decode_s_per_byte)
            if own is None or usual is None or own.chain == usual.chain:
                continue
            own_s, usual_s = delivery_cost(own, delivery).total_s, delivery_cost(usual, delivery).total_s
            if guarded.guard.compare(own_s, usual_s, now_s):
                taken_back.append(profile)
        return taken_back
