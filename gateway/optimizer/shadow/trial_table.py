"""Trial table: streams of which samples may be taken, with the last trial and the traffic of each.

It is fed with traffic records, by which it knows delivery classes, and with features of payloads, by which it sees that
the contents of a stream have changed.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from gateway.optimizer.drift import DriftTest
from gateway.optimizer.history.record import UNKNOWN_FEATURES, PayloadFeatures, ShadowTrial, TrafficRecord
from gateway.protocol.names import Pattern

MAX_STREAMS: Final = 1024
"""Streams of the table; the one that was recorded longest ago makes room."""
MAX_CLASSES: Final = 8
"""Delivery classes of one stream."""
MAX_ENTROPY_BITS: Final = 8.0
"""Entropy of bytes of which each value is equally frequent."""
LEAST_AGE_S: Final = 10.0
"""Age of a trial from which another one may be made, unless the features have changed."""
NEVER_S: Final = 3600.0
"""Age that counts for a stream without a trial."""
PROBES_FOR_A_TRIAL: Final = 6
"""Number of probes that take the time of one trial, or less."""
STEP_STREAMS: Final = 256
"""Streams that are looked at in one step, some 100 us."""
IDLE_S: Final = 60.0
"""Time after which a stream without a record gets no trial."""
ASIDE_S: Final = 600.0
"""Time for which a stream whose trial has failed is not tried, nor a chain that has failed on it."""
MAX_LOSSES: Final = 2
"""Number of ends of the process in a row, each with the sample of a stream, from which that stream is the cause."""


class TriedClassKey(NamedTuple):
    """Delivery class of a stream, as traffic records tell it from others."""

    format: str
    """Format of its messages."""
    codecs: tuple[str, ...]
    """Codecs and filters that its receivers know."""
    tier: str
    """Name of their link tier."""
    sdk: str
    """SDK of them."""


@dataclass(slots=True, eq=False)
class TriedClass:
    """Delivery class of a stream of the table."""

    record: TrafficRecord
    """The last record."""
    drift: DriftTest = field(default_factory=DriftTest)
    """Test of the ratio that its chain achieves."""


@dataclass(slots=True, eq=False)
class TriedStream:
    """Stream of the table."""

    number: int
    """Id of the stream or view."""
    classes: dict[TriedClassKey, TriedClass] = field(default_factory=dict)
    """Delivery classes of the last minute, the one that was recorded last at the end."""
    bytes_per_s: float = 0.0
    """Bytes to all receivers."""
    recorded_s: float = 0.0
    """Time of the last record."""
    trial: ShadowTrial | None = None
    """The last trial."""
    probed: bool = False
    """Whether that was one of probes alone."""
    promise: tuple[str, ...] = ()
    """Chains in the order in which they are worth a trial, by predictions; empty: there are none."""
    tried_s: float | None = None
    """Time at which its sample was taken."""
    under_way: bool = False
    """Whether there is a sample whose outcomes have not come yet."""
    aside_until_s: float = -math.inf
    """Time until which the stream is not tried."""
    chains_aside: dict[str, float] = field(default_factory=dict)
    """The same of chains that have failed on it."""
    losses: int = 0
    """Number of ends of the process with its sample since the last outcome."""
    drift: tuple[DriftTest, ...] = field(default_factory=lambda: tuple([DriftTest() for _ in range(3)]))
    """Tests of the features."""
    watched: bool = False
    """Whether the tests have had any."""

    @property
    def codecs(self) -> frozenset[str]:
        """Codecs and filters that some of its receivers know."""
        return frozenset([name for key in self.classes for name in key.codecs])

    @property
    def records(self) -> list[TrafficRecord]:
        """Last record of each delivery class."""
        return [each.record for each in self.classes.values()]

    def set_aside(self, now_s: float, chains: Collection[str] = ()) -> None:
        """Leave the stream out of trials for a while, or only some chains on it."""
        until_s = now_s + ASIDE_S
        if chains:
            self.chains_aside.update(dict.fromkeys(chains, until_s))
        else:
            self.aside_until_s = until_s

    def is_aside(self, now_s: float, chain: str | None = None) -> bool:
        """Return whether the stream, or a chain on it, is set aside."""
        return now_s < (self.aside_until_s if chain is None else self.chains_aside.get(chain, -math.inf))

    def weight(self, now_s: float) -> float:
        """Return the bytes per second to all receivers since the last trial; 0 if none is due."""
        age_s = NEVER_S if self.tried_s is None else now_s - self.tried_s
        is_left_out = self.under_way or self.is_aside(now_s)
        if is_left_out or age_s < LEAST_AGE_S or now_s - self.recorded_s > IDLE_S:
            return 0.0
        return self.bytes_per_s * age_s

    def drifted(self, features: PayloadFeatures) -> bool:
        """Return whether features that were computed anew differ from those before, and not by chance."""
        self.watched = True
        planes = features.plane_entropy_bits
        entropy = sum(planes) / len(planes) / MAX_ENTROPY_BITS if planes else None
        values = features.zero_share, features.unchanged_share, entropy
        changes = [test.add(value) for test, value in zip(self.drift, values, strict=True)]
        return any(changes)

    def add(self, record: TrafficRecord) -> bool:
        """Take a record of a delivery class; return whether its chain does not achieve any more what it did before."""
        key = TriedClassKey(record.format, record.codecs, record.tier, record.sdk)
        for other in [each for each, old in self.classes.items() if record.time_ns - old.record.time_ns > IDLE_S * 1e9]:
            del self.classes[other]  # its receivers may be of another class by now
        known = self.classes.pop(key, None)
        if known is None or known.record.chain != record.chain:
            known = TriedClass(record)
        known.record = record
        self.classes[key] = known
        if len(self.classes) > MAX_CLASSES:
            del self.classes[next(iter(self.classes))]
        self.bytes_per_s = sum(
            [each.payload_bytes * each.receivers / (each.arrival_interval_s or NEVER_S) for each in self.records]
        )
        if not self.watched and record.features != UNKNOWN_FEATURES:
            self.drifted(record.features)  # the first ones, which were computed before there was a record
        return known.drift.add(record.ratio)


class TrialTable:
    """Table of one gateway, by the ids of streams and views."""

    def __init__(self) -> None:
        self._streams: OrderedDict[int, TriedStream] = OrderedDict()

    def __len__(self) -> int:
        return len(self._streams)

    def __contains__(self, number: int) -> bool:
        return number in self._streams

    def get(self, number: int) -> TriedStream | None:
        """Return a stream; ``None``: the table does not have it."""
        return self._streams.get(number)

    def found(self, number: int, now_s: float) -> TriedStream:
        """Return a stream of which a record has come, and make it if the table does not have it.

        Args:
            number: id of the stream or view.
            now_s: a monotonic time.
        """
        tried = self._streams.get(number)
        if tried is None:
            tried = self._streams[number] = TriedStream(number)
            if len(self._streams) > MAX_STREAMS:
                self._streams.popitem(last=False)
        else:
            self._streams.move_to_end(number)
        tried.recorded_s = now_s
        return tried

    def forget(self, number: int) -> None:
        """Forget a stream that has ended."""
        self._streams.pop(number, None)

    def due(self, count: int, now_s: float) -> Generator[None, None, list[int]]:
        """Return the ids of at most ``count`` streams that are worth a trial, the most first. Yields for the loop."""
        weights = []
        for number, tried in list(self._streams.items()) if count else ():
            weights.append((tried.weight(now_s), number))
            if len(weights) % STEP_STREAMS == 0:
                yield
        return [number for weight, number in heapq.nlargest(count, weights) if weight > 0]

    def shared_out(self, due: Sequence[int], trials: int, *, may_probe: bool) -> dict[int, bool]:
        """Return the streams of which the next payload is taken, and whether it is only probed.

        If more streams wait for their first trial than may be tried, they are probed instead.

        Args:
            due: streams that are worth a trial, the most first.
            trials: number of trials that there is time for.
            may_probe: whether there is a model that makes something of probes.
        """
        untried = [number for number in due if number in self._streams and self._streams[number].trial is None]
        if not may_probe or len(untried) <= trials:
            return dict.fromkeys(due[:trials], False)
        probed = untried[: PROBES_FOR_A_TRIAL * trials]
        left = trials - math.ceil(len(probed) / PROBES_FOR_A_TRIAL)
        others = [number for number in due if number not in untried][:left]
        return dict.fromkeys(probed, True) | dict.fromkeys(others, False)

    def busiest(self, most: int, pattern: Pattern | None = None) -> list[TriedStream]:
        """Return at most ``most`` streams with a trial, those with the most bytes to their receivers first.

        Args:
            most: number of streams.
            pattern: pattern of their names; ``None``: of all.
        """
        tried = [each for each in self._streams.values() if each.trial is not None]
        if pattern is not None:
            tried = [each for each in tried if each.trial is not None and pattern.matches(each.trial.stream)]
        return heapq.nlargest(most, tried, key=lambda each: each.bytes_per_s)
