"""Decider: takes decisions when a stream was tried, when its traffic has changed, and from time to time.

It works in sweeps, the receivers of one profile a step. Its decisions go to a table, from which a later start of the
gateway begins.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from typing import Final

from gateway.connections.link_tier import TIERS, LinkTier, tier_named, tier_of, tier_of_class
from gateway.connections.ports import Clock
from gateway.connections.receiver_profile import ReceiverProfile
from gateway.optimizer.decisions.advice import delivery_to, may_decode
from gateway.optimizer.decisions.deciding import NEWS_FACTOR, UNENCODED, decide, pays_apart
from gateway.optimizer.decisions.decision import DecisionKey
from gateway.optimizer.decisions.decision_table import DecisionTable
from gateway.optimizer.decisions.encoding_anew import as_decided, over_published
from gateway.optimizer.decisions.learned_policy import LearnedPolicy
from gateway.optimizer.decisions.learned_stream import GuardedDecision, LearnedStream
from gateway.optimizer.delivery_cost import Delivery, EncodingFigures, decode_factor
from gateway.optimizer.history.record import ShadowTrial, TrafficRecord
from gateway.protocol.messages import Kind
from gateway.streams.derived import DerivedStream
from gateway.streams.stream import Stream

REDECIDE_S: Final = 30.0
"""Time after which decisions are taken anew without news."""
IDLE_S: Final = 600.0
"""Time without a traffic record after which a stream, or receivers of a profile, are forgotten; decisions stay in the
table."""
STEP_STREAMS: Final = 256
"""Streams without news that are passed over in one step."""


class Decider:
    """Decider of one gateway.

    Args:
        policy: follows the decisions.
        clock: the time.

    Attributes:
        table: decisions of this gateway, and of its starts before.
        changes: number of times that decisions for a stream have changed.
    """

    def __init__(self, policy: LearnedPolicy, clock: Clock) -> None:
        self._policy = policy
        self._clock = clock
        self.table = DecisionTable()
        self.changes = 0

    def adopt(self, table: DecisionTable) -> None:
        """Begin with the decisions of an earlier start, but for those that were taken back."""
        for key, decision in table:
            if self.table.get(key) is None and table.promising(key) is not None:
                self.table.put(key, decision)
                if key in table.verdicts:
                    self.table.judge(key, table.verdicts[key])
        for learned in self._policy:
            learned.due = True

    def tried(self, number: int, trial: ShadowTrial) -> None:
        """Take a shadow trial of the stream with this id."""
        self._took(number, trial, probed=False)

    def probed(self, number: int, trial: ShadowTrial) -> None:
        """Take a trial of probes alone."""
        self._took(number, trial, probed=True)

    def predicted(self, number: int, figures: Iterable[EncodingFigures]) -> None:
        """Take predictions for chains that were not tried on the stream with this id."""
        learned = self._policy.get(number)
        if learned is not None:
            learned.figures.complete(figures)
            learned.due = True

    def _took(self, number: int, trial: ShadowTrial, *, probed: bool) -> None:
        learned = self._policy.get(number)
        if learned is not None:
            learned.figures.take(trial, probed=probed)
            learned.trusted = learned.due = True

    def recorded(self, stream: Stream, record: TrafficRecord) -> None:
        """Take a traffic record; one without messages says nothing."""
        learned = self._policy.get(stream.id)
        if learned is None or not record.messages:
            return
        learned.recorded_s = self._clock.monotonic_s()
        guarded = learned.decisions.get(_profile_of(record))
        if guarded is None:
            return
        before, guarded.record, guarded.recorded_s = _tier_by(guarded), record, learned.recorded_s
        if record.goodput_bytes_per_s is not None:
            guarded.goodput_bytes_per_s = record.goodput_bytes_per_s
        if (
            guarded.delivery is None
            or _tier_by(guarded) != before
            or _is_news(record, guarded.delivery, guarded.published_ratio or 1.0)
        ):
            learned.due = True

    def sweep(self) -> Generator[None, None, None]:
        """Take the decisions that are due, and forget streams without traffic. Yields for the loop."""
        now_s = self._clock.monotonic_s()
        for number, learned in enumerate(self._policy, 1):
            if now_s - learned.recorded_s > IDLE_S:
                self._policy.drop(learned.stream)
            elif learned.due or now_s - learned.decided_s > REDECIDE_S:
                learned.due, learned.decided_s = False, now_s
                yield from self._decide(learned)
            if number % STEP_STREAMS == 0:
                yield

    def _decide(self, learned: LearnedStream) -> Generator[None, None, None]:
        """Take the decisions for a stream, and put them in force."""
        tried = learned.figures.all()
        changed = learned.drop_idle(self._clock.monotonic_s() - IDLE_S)
        for profile, guarded in list(learned.decisions.items()):
            changed |= self._decide_for(learned, profile, guarded, tried)
            yield
        learned.apart = any(
            pays_apart(_figures_for(profile, guarded, tried), guarded.delivery, TIERS, apart=learned.apart)
            for profile, guarded in learned.decisions.items()
            if guarded.delivery is not None
        )
        self._policy.apply(learned, changed=changed)
        self.changes += changed

    def _decide_for(
        self,
        learned: LearnedStream,
        profile: ReceiverProfile,
        guarded: GuardedDecision,
        tried: Sequence[EncodingFigures],
    ) -> bool:
        """Take the decision for receivers of a profile; return whether it has other chains than the one before."""
        key, record = key_of(learned.stream, profile), guarded.record or _newest_record(learned)
        if record is None or not tried:
            known = None if guarded.decision is not None else self.table.promising(key)
            return known is not None and learned.put(profile, known, None)
        tier = tier_of_class(profile.tier, guarded.goodput_bytes_per_s)
        if tier is None:
            return learned.put(profile, None, None)
        tried = _decodable(tried, profile)
        _note_decoding(guarded, record, tried)
        delivery = delivery_to(record, tier, guarded.decode_factor)
        if guarded.goodput_bytes_per_s is not None and tier_of(guarded.goodput_bytes_per_s) == tier:
            delivery = delivery.at(guarded.goodput_bytes_per_s)
        if record.published_encoding:
            return self._decide_anew(learned, profile, record.published_encoding, tried, delivery, tier)
        held = guarded.chains if guarded.guard.in_force(self._clock.monotonic_s()) else None
        decision = decide(tried, delivery, tier, self._policy.baseline_of(learned.stream, profile), held)
        if decision is None:
            return False
        decision = learned.figures.told(decision)
        self.table.put(key, decision)
        return learned.put(profile, decision, delivery)

    def _decide_anew(
        self,
        learned: LearnedStream,
        profile: ReceiverProfile,
        published_encoding: str,
        tried: Sequence[EncodingFigures],
        delivery: Delivery,
        tier: LinkTier,
    ) -> bool:
        """Take the decision whether payloads that their publisher has encoded are encoded anew."""
        stream, guarded = learned.stream, learned.decisions[profile]
        published = over_published(tried, published_encoding)
        has_deltas = stream.kind is Kind.STATE and self._policy.baseline_of(stream, profile).delta is not None
        if published is None or has_deltas:
            return learned.put(profile, None, None)
        delivery = replace(delivery, payload_bytes=round(delivery.payload_bytes * published.ratio))
        factor = guarded.decode_factor
        guarded.decode_s_per_byte = {each.chain: each.decode_s_per_byte * factor for each in published.figures}
        followed = guarded.published_ratio is not None and guarded.guard.in_force(self._clock.monotonic_s())
        held = guarded.chains if followed else None
        decision = decide(published.figures, delivery, tier, UNENCODED, held)
        decision = None if decision is None else as_decided(decision, published_encoding, held and held.chain)
        if decision is not None:
            decision = learned.figures.told(decision)
            self.table.put(key_of(stream, profile), decision)
        return learned.put(profile, decision, delivery, published.ratio)


def _profile_of(record: TrafficRecord) -> ReceiverProfile:
    return ReceiverProfile(frozenset(record.codecs), tier_named(record.tier), record.sdk)


def _decodable(tried: Iterable[EncodingFigures], profile: ReceiverProfile) -> list[EncodingFigures]:
    """Return the figures of chains that receivers of a profile can decode."""
    return [each for each in tried if may_decode(profile.codecs, each.chain)]


def _figures_for(
    profile: ReceiverProfile, guarded: GuardedDecision, tried: Iterable[EncodingFigures]
) -> Sequence[EncodingFigures]:
    """Return the figures by which the decision for receivers of a profile was taken."""
    decodable = _decodable(tried, profile)
    if guarded.published_ratio is None or guarded.record is None:
        return decodable
    published = over_published(decodable, guarded.record.published_encoding)
    return () if published is None else published.figures


def _newest_record(learned: LearnedStream) -> TrafficRecord | None:
    """Return the last record of any receivers of a stream, for some that are new or whose link tier has changed."""
    records = [each.record for each in learned.decisions.values() if each.record is not None]
    return max(records, key=lambda record: record.time_ns, default=None)


def key_of(stream: Stream, profile: ReceiverProfile) -> DecisionKey:
    """Return the key of the decision for receivers of a profile."""
    view = str(stream.view) if isinstance(stream, DerivedStream) else ""
    return DecisionKey(stream.name, profile.codecs, profile.tier.name, profile.sdk, view)


def _tier_by(guarded: GuardedDecision) -> LinkTier | None:
    return None if guarded.goodput_bytes_per_s is None else tier_of(guarded.goodput_bytes_per_s)


def _note_decoding(guarded: GuardedDecision, record: TrafficRecord, tried: Sequence[EncodingFigures]) -> None:
    """Note how fast receivers decode: as they have reported of a chain, and by the same factor of all others."""
    reported = record.decode_s_per_byte
    used = next((each for each in tried if each.chain == record.chain), None)
    if reported and used is not None and used.decode_s_per_byte:
        guarded.decode_factor = decode_factor(reported, used.decode_s_per_byte)
    times = {each.chain: each.decode_s_per_byte * guarded.decode_factor for each in tried}
    guarded.decode_s_per_byte = times


def _is_news(record: TrafficRecord, delivery: Delivery, published_ratio: float) -> bool:
    """Return whether a record tells of other traffic than decisions were taken for."""
    size = published_ratio * record.payload_bytes
    pairs = (size, delivery.payload_bytes), (record.receivers, delivery.receivers)
    return any(max(pair) > NEWS_FACTOR * max(1, min(pair)) for pair in pairs)
