"""Receivers that join state streams: counted by stream while plans ask, with the forms that were encoded ahead."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from gateway.connections.arrivals import ArrivalModel
from gateway.connections.fanout.state_fanout import Newcomers, StateFanout
from gateway.connections.joining.join_waves import TOGETHER_S, JoinWaves
from gateway.connections.joining.keyframe_ahead import MAX_PROFILES, Expectation, KeyframeAhead, is_worth_it
from gateway.connections.link_tier import TIERS
from gateway.connections.outbound.connection import Connection
from gateway.connections.ports import Clock, DeliveryPolicy, Workers
from gateway.connections.receiver_profile import ReceiverProfile
from gateway.protocol.encoding import PLAIN, Chain
from gateway.streams.derived import DerivedStream
from gateway.streams.stream import Stream

MAX_STREAMS: Final = 256
"""Streams whose joins are counted: those that have been joined last."""
FORGOTTEN_S: Final = 600.0
"""Time without a join after which those of a stream are forgotten."""
FUTILE_S: Final = 600.0
"""Time for which a chain that has hardly made a version smaller is not tried again."""

MAX_NEWCOMERS: Final = 16
"""Receivers of one wave whose links are looked at."""

LEAD_S: Final = 0.5
"""Time before a wave from which the newest version is encoded: a few versions, and far longer than one takes."""


class ExpectedJoins(NamedTuple):
    """Wave of joins that is expected at one stream, whose newest version it pays to encode before they come."""

    stream: Stream
    name: str
    """Name of the stream; of a view, with its title."""
    arrivals: ArrivalModel
    """Model of the waves so far."""
    ahead: bool
    """Whether its newest version is encoded ahead."""


class _JoinedStream:
    """Stream that receivers have joined lately."""

    __slots__ = ("ahead", "fanout", "futile", "futile_from_s", "name", "newcomers", "profiles", "waves")

    def __init__(self, fanout: StateFanout, name: str) -> None:
        self.fanout = fanout
        self.name = name
        self.futile: set[Chain] = set()
        """Chains that have hardly made its versions smaller, since the time beside."""
        self.futile_from_s = 0.0
        self.waves = JoinWaves()
        self.profiles: dict[frozenset[str], ReceiverProfile] = {}
        """Profiles of those that have joined, by their codecs; the newest stands at the end."""
        self.newcomers: list[Connection] = []
        """Some of the last wave, whose links become known bit by bit."""
        self.ahead: KeyframeAhead | None = None


class StateJoins:
    """Receivers that join the state streams of a gateway, and their views that others receive already.

    Args:
        newcomers: tell of receivers that join.
        policy: knows the chains of those that join.
        workers: encode.
        clock: the time.
    """

    def __init__(self, newcomers: Newcomers, policy: DeliveryPolicy, workers: Workers, clock: Clock) -> None:
        self._newcomers = newcomers
        self._policy = policy
        self._workers = workers
        self._clock = clock
        self._joined: dict[Stream, _JoinedStream] = {}
        self._by_name: dict[str, Stream] = {}
        """Streams whose newest version is encoded ahead."""
        self._used = 0

    @property
    def used(self) -> int:
        """Number of receivers that got their first version as it was encoded ahead."""
        return self._used + sum([each.ahead.used for each in self._joined.values() if each.ahead is not None])

    def begin_counting(self) -> None:
        """Count receivers that join from now on: their waves are asked for, again and again."""
        self._newcomers.counted = self._count

    def _count(self, fanout: StateFanout, connection: Connection) -> None:
        """Count a receiver that has just joined."""
        stream = fanout.source
        if not isinstance(stream, Stream) or not connection.format.takes_chunks:
            return
        # The stream that was joined last stands at the end.
        each = self._joined.pop(stream, None) or _JoinedStream(fanout, _name_of(stream))
        if len(self._joined) >= MAX_STREAMS:
            self._forget(next(iter(self._joined)))
        self._joined[stream] = each
        now_s = self._clock.monotonic_s()
        if now_s - each.waves.last_s > TOGETHER_S:
            each.newcomers.clear()
        each.waves.add(now_s)
        codecs = connection.profile.codecs
        each.profiles[codecs] = each.profiles.pop(codecs, connection.profile)
        if len(each.profiles) > MAX_PROFILES:
            del each.profiles[next(iter(each.profiles))]
        if len(each.newcomers) < MAX_NEWCOMERS:
            each.newcomers.append(connection)

    def expected(self) -> Iterator[ExpectedJoins]:
        """Yield the waves that are expected where it pays to encode for them.

        Streams that have ended, or that nobody joins any more, are forgotten.
        """
        now_s = self._clock.monotonic_s()
        for stream, each in list(self._joined.items()):
            if stream.ended is not None or now_s - each.waves.last_s > FORGOTTEN_S:
                self._forget(stream)
                continue
            wave = each.waves.expected(now_s)
            if wave is not None and self._pays(stream, each, now_s):
                yield ExpectedJoins(stream, each.name, wave.arrivals, each.ahead is not None)

    def _pays(self, stream: Stream, each: _JoinedStream, now_s: float) -> bool:
        """Return whether a chain may make the newest version smaller for any that are like those who have come."""
        if now_s - each.futile_from_s > FUTILE_S:
            each.futile.clear()
            each.futile_from_s = now_s
        newest = each.fanout.newest
        # The policy looks for chains of those that it is asked for.
        chains = {self._policy.chain_for(stream, profile) for profile in each.profiles.values()}
        return newest is not None and is_worth_it(newest) and bool(chains - each.futile - {PLAIN})

    def has(self, name: str) -> bool:
        """Return whether the newest version of a stream is encoded ahead."""
        return name in self._by_name

    def begin(self, name: str) -> bool:
        """Encode the newest version of a stream ahead of joins from now on; return whether it can be."""
        for stream, each in self._joined.items():
            if each.name == name and stream.ended is None and each.ahead is None:
                self.end(name)  # that of an earlier stream
                ahead = KeyframeAhead(stream, each.fanout, self._policy, self._workers, self._clock, each.futile)
                each.ahead, self._by_name[name] = ahead, stream
                each.fanout.send_ahead(ahead)
                break
        return self.has(name)

    def end(self, name: str) -> None:
        """Encode the newest version of a stream for those that are there only."""
        stream = self._by_name.pop(name, None)
        each = None if stream is None else self._joined.get(stream)
        if each is not None and each.ahead is not None:
            each.ahead.expect(None)
            each.fanout.send_ahead(None)
            self._used += each.ahead.used
            each.ahead = None

    def look_ahead(self) -> None:
        """Tell the forms that are encoded ahead when the next wave is expected."""
        now_s = self._clock.monotonic_s()
        for each in self._joined.values():
            _take_links(each)
            if each.ahead is not None:
                each.ahead.expect(_expectation(each, now_s))

    def forget(self, stream: Stream) -> None:
        """Forget a stream that has ended, whose newest version is not to be kept."""
        if stream in self._joined:
            self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        each = self._joined[stream]
        if self._by_name.get(each.name) is stream:
            self.end(each.name)
        del self._joined[stream]


def _name_of(stream: Stream) -> str:
    return f"{stream.name}, view {stream.view}" if isinstance(stream, DerivedStream) else stream.name


def _take_links(each: _JoinedStream) -> None:
    """Take the links of those that have come, of each set of codecs the slowest: those that come next are like them."""
    found: dict[frozenset[str], ReceiverProfile] = {}
    for connection in each.newcomers:
        profile = connection.profile
        known = found.setdefault(profile.codecs, profile)
        if profile.tier.goodput_bytes_per_s < known.tier.goodput_bytes_per_s:
            found[profile.codecs] = profile
    # Before they have taken much, nothing is known of their links, and those of the wave before say more.
    measured = {codecs: profile for codecs, profile in found.items() if profile.tier != TIERS[-1]}
    each.profiles.update({codecs: profile for codecs, profile in measured.items() if codecs in each.profiles})


def _expectation(each: _JoinedStream, now_s: float) -> Expectation | None:
    """Return the wave that is under way, or the next one."""
    waves, profiles = each.waves, tuple(each.profiles.values())
    if now_s - waves.last_s <= TOGETHER_S:
        return Expectation(now_s, waves.last_s + 2 * TOGETHER_S, profiles)
    wave = waves.expected(now_s)
    return None if wave is None else Expectation(wave.begin_s - LEAD_S, wave.end_s, profiles)
