"""Learned policy: a delivery policy that follows decisions by cost, and else its baseline.

A message costs look-ups in two dicts. All else is done at the borders of blocks, each 32 large messages of a stream,
and in sweeps of the :class:`~gateway.optimizer.decisions.decider.Decider`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from gateway.connections.ports import Clock, DeliveryPolicy, EncodingOutcome, Sample
from gateway.connections.receiver_profile import ReceiverProfile
from gateway.optimizer.decisions.deciding import Chains
from gateway.optimizer.decisions.learned_stream import MAX_PROFILES, GuardedDecision, LearnedStream
from gateway.protocol.encoding import PLAIN, Chain
from gateway.streams.stream import Stream

logger = logging.getLogger(__name__)

MAX_STREAMS: Final = 1024
"""Streams for which decisions are taken; others are served by the baseline."""
MAX_CHANGED: Final = 1024
"""Streams that are remembered to have changed."""


class LearnedPolicy:
    """Delivery policy that follows decisions.

    Args:
        baseline: chooses for receivers without a decision, and for one block of messages in sixteen.
        clock: the time.

    Attributes:
        trusted: whether decisions are followed; otherwise the baseline chooses for all.
        taken_back: number of decisions that the guard has taken back.
    """

    def __init__(self, baseline: DeliveryPolicy, clock: Clock) -> None:
        self._baseline = baseline
        self._clock = clock
        self._streams: dict[int, LearnedStream] = {}
        self._changed: dict[Stream, None] = {}
        self.trusted = True
        self.taken_back = 0

    def __iter__(self) -> Iterator[LearnedStream]:
        return iter(list(self._streams.values()))

    def __len__(self) -> int:
        return len(self._streams)

    def get(self, number: int) -> LearnedStream | None:
        """Return the decisions for the stream with this id; ``None``: it is not known."""
        return self._streams.get(number)

    # Choice of encodings.

    def chain_for(self, stream: Stream, profile: ReceiverProfile) -> Chain:
        """Return the chain of the decision that is in force, or else that of the baseline."""
        learned = self._streams.get(stream.id)
        if learned is not None:
            chain = learned.chains.get(profile)
            if chain is not None:
                return chain
        if learned is None or profile not in learned.decisions:
            self._note(stream, learned, profile)
        return self._baseline.chain_for(stream, profile)

    def delta_for(self, stream: Stream, profile: ReceiverProfile) -> Chain:
        """Return the same for deltas."""
        learned = self._streams.get(stream.id)
        delta = None if learned is None else learned.deltas.get(profile)
        return self._baseline.delta_for(stream, profile) if delta is None else delta

    def anew_for(self, stream: Stream, profile: ReceiverProfile) -> Chain | None:
        """Return the chain of the decision that is in force for payloads that their publisher has encoded."""
        learned = self._streams.get(stream.id)
        if learned is None or profile not in learned.decisions:
            self._note(stream, learned, profile)
        return None if learned is None else learned.anew.get(profile)

    def tells_apart(self, stream: Stream) -> bool:
        """Return whether receivers of different link tiers are worth a chain of their own each."""
        learned = self._streams.get(stream.id)
        return learned is not None and learned.apart and learned.trusted and self.trusted

    def wants_sample(self, stream: Stream, *, based: bool) -> bool:
        """Count a payload, and return whether the baseline wants it."""
        learned = self._streams.get(stream.id)
        if learned is not None and learned.blocks.count():
            self._begin_block(learned)
        return self._baseline.wants_sample(stream, based=based)

    def observe(self, stream: Stream, sample: Sample) -> None:
        """Give a payload to the baseline."""
        self._baseline.observe(stream, sample)

    def report(self, stream: Stream, outcome: EncodingOutcome) -> None:
        """Tell the baseline how a chain did, and keep it for the guard."""
        self._baseline.report(stream, outcome)
        learned = self._streams.get(stream.id)
        if learned is not None:
            learned.blocks.add(outcome)

    def take_changed(self) -> Collection[Stream]:
        """Return streams whose chains have changed since the last call; a block by the baseline is no change."""
        changed, self._changed = self._changed, {}
        return {*changed, *self._baseline.take_changed()}

    def in_use(self, stream: Stream, profile: ReceiverProfile) -> Mapping[Chain, float | None]:
        """Return the chains of the decision that is in force, with the ratio by which it was taken, or else those of
        the baseline."""
        learned = self._streams.get(stream.id)
        if learned is None or (profile not in learned.chains and profile not in learned.anew):
            return self._baseline.in_use(stream, profile)
        decision = learned.decisions[profile].decision
        chain = learned.anew.get(profile) or learned.chains[profile]
        chains = [each for each in (learned.deltas.get(profile, PLAIN), chain) if each != PLAIN]
        # The ratio of a decision is that of deltas, where it has any.
        ratio = None if decision is None else decision.predicted_ratio
        return {each: None if number else ratio for number, each in enumerate(chains)}

    def forget(self, stream: Stream) -> None:
        """Forget a stream that has ended, whose id is not used again."""
        self._baseline.forget(stream)
        self.drop(stream)

    # Decisions.

    def baseline_of(self, stream: Stream, profile: ReceiverProfile) -> Chains:
        """Return the choice of the baseline for some receivers of a stream."""
        delta = self._baseline.delta_for(stream, profile)
        return Chains(self._baseline.chain_for(stream, profile), None if delta == PLAIN else delta)

    def apply(self, learned: LearnedStream, *, changed: bool) -> None:
        """Put the decisions for a stream in force.

        Args:
            learned: the stream.
            changed: whether its chains are others than before, which plans are to know.
        """
        learned.apply(self._clock.monotonic_s(), trusted=self.trusted)
        # A sweep may be at a stream that has ended meanwhile.
        is_known = learned.stream.id in self._streams
        if changed and is_known and len(self._changed) < MAX_CHANGED:
            self._changed[learned.stream] = None

    def trust(self) -> None:
        """Follow decisions again, as soon as they are taken anew."""
        self.trusted = True
        for learned in self._streams.values():
            learned.due = True

    def distrust(self) -> None:
        """Follow no decision: the baseline chooses for all from now on."""
        self.trusted = False
        for learned in self._streams.values():
            if learned.chains or learned.anew:
                self.apply(learned, changed=True)

    def distrust_stream(self, number: int) -> None:
        """Follow no decision for the stream with this id until it is trusted again."""
        learned = self._streams.get(number)
        if learned is not None:
            learned.trusted = False
            self.apply(learned, changed=bool(learned.chains or learned.anew))

    def drop(self, stream: Stream) -> None:
        """Forget the decisions for a stream."""
        self._streams.pop(stream.id, None)
        self._changed.pop(stream, None)

    def _note(self, stream: Stream, learned: LearnedStream | None, profile: ReceiverProfile) -> None:
        """Note receivers for which there is no decision yet, if there is room for one."""
        if learned is None:
            if len(self._streams) >= MAX_STREAMS:
                return
            learned = self._streams[stream.id] = LearnedStream(stream, self._clock.monotonic_s())
        if len(learned.decisions) < MAX_PROFILES:
            learned.decisions[profile] = GuardedDecision(recorded_s=self._clock.monotonic_s())
            learned.due = True

    def _begin_block(self, learned: LearnedStream) -> None:
        """Put the decisions in force that the next messages go by, less those that the guard takes back."""
        now_s, stream = self._clock.monotonic_s(), learned.stream
        taken_back = []
        if learned.blocks.ends_comparison:
            taken_back = learned.compare(lambda profile: self.baseline_of(stream, profile), now_s)
        for profile in taken_back:
            self.taken_back += 1
            words = learned.decisions[profile].guard.verdict(now_s).words
            logger.info("encoding of %s for %s receivers is %s", stream.name, profile.tier.name, words)
        self.apply(learned, changed=bool(taken_back))
