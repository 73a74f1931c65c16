"""Whoever comes, goes, reads slowly or not at all, and whatever ends: each receives what its subscriptions match.

Invariants of every example, once nothing is under way: the accounts and memberships of a connection are those of its
subscriptions and of the streams that there are; the next message of each stream comes once; when all are gone nothing
of them is left, and no step of long work has failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.errors import Code
from gateway.ids import StreamName
from gateway.protocol.messages import EndReason, Kind, StreamInfo, Subscribed, Unsubscribed
from gateway.protocol.names import Pattern, compile_pattern
from gateway.protocol.signals import Gap, Replay
from gateway.protocol.views import View
from gateway.streams.history import HistoryLimits
from gateway.streams.stream import Stream
from tests.connections.memory import Peer, World, counts_in
from tests.connections.reader import Arrival

NAMES: Final = ["a/0", "a/1", "a/2", "b/0", "b/1", "b/2"]
KINDS: Final = [Kind.EVENT, Kind.STATE, Kind.COLLABORATION]
PATTERNS: Final = ["**", "a/*", "*/1", "*/*", "a/1", "b/2"]
VIEW: Final = View(np.s_[1:])
LAST: Final = b"the last one"
OFTEN: Final = ["subscribe", "open", "publish", "turn"]
SELDOM: Final = ["come", "view", "observe", "unsubscribe", "end", "large", "stall", "read", "drop", "close"]
ACTIONS: Final = st.lists(
    st.tuples(st.sampled_from([*OFTEN, *OFTEN, *SELDOM]), st.integers(0, 30), st.integers(1, 4)),
    min_size=20,
    max_size=90,
)

GIVEN_UP: Final = [
    *[("open", which, 1) for which in range(3)],
    ("come", 0, 1),
    ("subscribe", 0, 1),
    ("subscribe", 0, 2),
    ("unsubscribe", 0, 2),
]
"""A subscription that waits for the streams of an earlier one, and is given up meanwhile."""


def fail(text: str, *args: object) -> None:
    """Fail instead of logging an exception."""
    raise AssertionError(text)


@pytest.fixture(autouse=True)
def few_are_many() -> Iterator[None]:
    """Have a few streams and receivers take many steps, of which none may fail."""
    with pytest.MonkeyPatch.context() as patch:
        for module, names in {
            "joins": ["FEW", "READERS_AT_ONCE", "LISTED", "NOTED_A_STEP"],
            "departures": ["FEW", "LISTED", "LOOKED_AT"],
            "pending_joins": ["JOINS_A_STEP", "SHARE"],
            "stream_end": ["STEPS_AT_ONCE"],
        }.items():
            for name in names:
                patch.setattr(f"gateway.connections.hub.{module}.{name}", 2)
        patch.setattr("gateway.connections.slices.logger.exception", fail)
        yield


class Scene:
    """Streams that come and go, their publisher, and receivers."""

    def __init__(self, kinds: list[Kind], *, kept: bool) -> None:
        history = None if kept else HistoryLimits(max_messages=0, max_bytes=0)
        self.world = World(history=history, max_connections=1000)
        self.kinds = dict(zip(NAMES, kinds, strict=True))
        self.publisher = self.world.peer("publisher")
        self.aliases: dict[str, int] = {}
        self.receivers: list[Peer] = []
        self.transfers = 0
        self.asked: dict[tuple[Peer, int], str] = {}
        """Patterns of SUBSCRIBEs by their requests."""
        self.subscribes: Counter[tuple[Peer, int]] = Counter()
        """Number of SUBSCRIBEs of each subscription."""
        self.world.settle()
        self.world.take_one_step_a_turn()

    @property
    def streams(self) -> list[Stream]:
        return list(self.world.core.streams)

    def act(self, action: str, which: int, number: int) -> None:
        """Do one thing, if it can be done."""
        name = NAMES[which % len(NAMES)]
        match action:
            case "come":
                self.receivers.append(self.world.peer("twin" if number == 1 else f"receiver-{len(self.receivers)}"))
            case "open":
                self.open(name)
            case "end":
                stream = self.world.core.streams.get(StreamName(name))
                if stream is not None:
                    self.world.core.hub.end(stream, EndReason.DELETED)
            case "publish" if name in self.aliases:
                self.publisher.publish(self.aliases[name], b"a message", ack=True)
            case "large" if name in self.aliases:
                self.transfers += 1
                self.publisher.large(self.aliases[name], bytes(100_000), self.transfers).end()
            case "turn":
                self.world.turns(number)
            case _ if self.receivers:
                self.receive(action, self.receivers[which % len(self.receivers)], which, number)

    def receive(self, action: str, peer: Peer, which: int, number: int) -> None:
        """Have a receiver do one thing."""
        pattern = PATTERNS[which % len(PATTERNS)]
        since = "beginning" if which % 2 else None
        match action:
            case "subscribe" | "observe" | "view":
                view, observe = VIEW if action == "view" else None, action == "observe" or None
                peer.subscribe(pattern, number, since=since, view=view, observe=observe)
                self.asked[peer, peer.last_request] = pattern
                self.subscribes[peer, number] += 1
            case "unsubscribe":
                peer.unsubscribe(number, keep=which % 3 == 0)
            case "stall":
                peer.transport.fill_up()
            case "read":
                peer.transport.read_on()
            case "drop" | "close":
                self.receivers.remove(peer)
                if action == "close":
                    peer.session.connection.close(Code.SLOW_CONSUMER, "read faster")
                    self.world.turns(number)
                peer.drop()

    def open(self, name: str) -> None:
        """Open a stream by a new alias."""
        alias = self.aliases[name] = len(self.publisher.sequences)
        self.publisher.open(alias, name, self.kinds[name])

    def settle(self) -> None:
        """Have everybody read, until nothing is under way."""
        for _ in range(4):
            self.world.clock.advance(1)
            self.world.settle()
            for peer in [*self.receivers, self.publisher]:
                peer.transport.read_on()
                peer.read()

    def wanted(self, peer: Peer) -> set[tuple[str, int]]:
        """Streams that there are, and the subscriptions of a receiver that match them."""
        session, streams = peer.session, self.streams
        plain = [
            (stream, number)
            for number, pattern in session.subscriptions.items()
            for stream in streams
            if pattern.matches(stream.name)
        ]
        viewed = [
            (stream, number)
            for number, view in session.views.items()
            for stream in streams
            if view.pattern.matches(stream.name) and not stream.kind.acknowledged
        ]
        return {(stream.name, number) for stream, number in [*plain, *viewed]}


def check_that_nothing_comes_unasked(scene: Scene, peer: Peer) -> None:
    """Behind UNSUBSCRIBED nothing of a stream comes that no other subscription matches, but the rest of a large one."""
    names: dict[int, str] = {}
    patterns: dict[int, Pattern] = {}
    answered: Counter[int] = Counter()
    for entry in peer.reader.log:
        if isinstance(entry, Subscribed):
            patterns[entry.subscription] = compile_pattern(scene.asked[peer, entry.request])
            answered[entry.subscription] += 1
        elif isinstance(entry, Unsubscribed):
            if patterns.pop(entry.subscription, None) is None:  # given up before it was answered
                answered[entry.subscription] += 1
                assert answered[entry.subscription] <= scene.subscribes[peer, entry.subscription], entry
        elif isinstance(entry, StreamInfo) and entry.id is not None:
            names[entry.id] = entry.stream
        if isinstance(entry, StreamInfo):
            about = entry.stream
        elif isinstance(entry, Gap | Replay) or (isinstance(entry, Arrival) and not entry.large):
            about = names[entry.stream]
        else:
            continue
        assert any(pattern.matches(about) for pattern in patterns.values()), (entry, patterns)


def received(peer: Peer) -> set[tuple[str, int]]:
    """Streams that a receiver is sent, and the subscriptions that they are for."""
    session = peer.session
    accounts = session.connection.accounts
    return {
        (name, number) for number in [*session.subscriptions, *session.views] for name in counts_in(accounts, number)
    }


@given(st.lists(st.sampled_from(KINDS), min_size=len(NAMES), max_size=len(NAMES)), st.booleans(), ACTIONS)
@example([Kind.EVENT] * len(NAMES), False, GIVEN_UP)
@settings(max_examples=150)
def test_each_receives_what_its_subscriptions_match(
    kinds: list[Kind], kept: bool, actions: list[tuple[str, int, int]]
) -> None:
    scene = Scene(kinds, kept=kept)
    for action, which, number in actions:
        scene.act(action, which, number)
    scene.settle()
    core, hub = scene.world.core, scene.world.core.hub
    assert hub.idle
    for peer in scene.receivers:
        check_that_nothing_comes_unasked(scene, peer)
        memberships = peer.session.connection.memberships
        assert received(peer) == scene.wanted(peer)
        assert {source.name for source in memberships} == {name for name, _ in received(peer)}
    for stream in scene.streams:
        scene.open(stream.name)
        scene.publisher.publish(scene.aliases[stream.name], LAST)
    scene.settle()
    for peer in scene.receivers:
        last = [arrival.stream for arrival in peer.reader.arrivals if arrival.payload in (LAST, LAST[1:])]
        tasks = {stream.id for stream in scene.streams if stream.kind.acknowledged}
        ids = {source.id for source in peer.session.connection.memberships}
        assert len(last) == len(set(last))
        assert ids - tasks <= set(last) <= ids, "a task goes to one connection of a client"
        peer.drop()
    scene.settle()
    assert hub.idle
    assert not any(fanout.taps for fanout in hub.fanouts if isinstance(fanout, PubSubFanout))
    assert not len(hub.views)
    assert not list(hub.observations)
    scene.publisher.drop()
    scene.settle()
    assert not len(core.pool)
