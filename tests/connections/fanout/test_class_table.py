"""Class table: receivers come apart by link tier and SDK where the policy says so, and come together again.

Whatever moves, gets each message once, in order, and the newest state; tests/connections/fanout/test_tier_contracts.py
has all that in any order.
"""

from __future__ import annotations

import pytest

from gateway.connections.fanout import class_table
from gateway.connections.fanout.class_table import MOVED_TOGETHER
from gateway.connections.fanout.pubsub_fanout import PubSubFanout
from gateway.connections.link_tier import TIERS
from gateway.connections.outbound.connection import Connection
from gateway.connections.planning.flush_window import WindowedFlusher, flush_by
from gateway.errors import Code
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Gap
from gateway.streams.stream import Stream
from tests.connections.fanout.test_tier_contracts import move_to
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import EVERY_CODEC, FixedPolicy, Peer, World
from tests.connections.text_messages import SUBSCRIBE, person
from tests.connections.versions import BIG, CHUNKED, LZ4, SMALL, XOR, every_size, publish, seen, version

SLOW = TIERS[1]
ZSTD = Chain(codec="zstd")


class Apart:
    """A gateway with one stream that sends lz4 to fast links, and zstd to slow ones when they are told apart."""

    def __init__(self, kind: Kind = Kind.EVENT, delta: Chain = PLAIN, *, apart: bool = True) -> None:
        self.policy = FixedPolicy(LZ4, delta)
        self.policy.by_tier = {SLOW: (ZSTD, delta)}
        self.policy.apart = apart
        self.world = World(self.policy, keyframe_every=1000)
        self.publisher = self.world.publisher("wf/s", kind=kind, codecs=EVERY_CODEC)
        self.count = 0

    def join(self, *names: str, codecs: tuple[str, ...] = EVERY_CODEC) -> list[Peer]:
        return [self.world.subscriber("wf/s", name, codecs) for name in names]

    def publish(self, size: int = SMALL) -> None:
        publish(self.world, self.publisher, self.count, size)
        self.count += 1

    @property
    def stream(self) -> Stream:
        (stream,) = self.world.core.streams
        return stream

    @property
    def fanout(self) -> PubSubFanout:
        return self.world.core.hub.fanouts.pubsub_of(self.stream)

    @property
    def sizes(self) -> list[int]:
        """Members of the classes, the most first."""
        return sorted([len(delivery) for delivery in self.fanout.classes], reverse=True)


def offsets(peer: Peer) -> list[int]:
    return [offset for offset, _ in seen(peer)]


def connection(peer: Peer) -> Connection:
    return peer.session.connection


@every_size
@pytest.mark.parametrize("kind", [Kind.EVENT, Kind.STATE])
def test_a_receiver_whose_tier_changes_moves_before_the_next_large_message(kind: Kind, size: int) -> None:
    scene = Apart(kind)
    fast, slow = scene.join("fast", "slow")
    scene.publish(size)
    assert scene.sizes == [2]
    move_to(scene.world, slow, SLOW)
    assert scene.sizes == [2]
    scene.publish(size)
    assert scene.sizes == [1, 1]
    move_to(scene.world, slow, TIERS[-1])
    scene.publish(size)
    assert scene.sizes == [2]
    assert offsets(fast) == offsets(slow) == [0, 1, 2]
    assert {outcome.chain for outcome in scene.policy.outcomes} == {LZ4, ZSTD}


@every_size
def test_where_receivers_are_not_told_apart_they_are_sent_what_suits_most_of_them(size: int) -> None:
    scene = Apart(apart=False)
    one, two, three = scene.join("one", "two", "three")
    move_to(scene.world, one, SLOW)
    scene.publish(size)
    move_to(scene.world, two, SLOW)
    scene.publish(size)
    assert scene.sizes == [3]
    assert [outcome.chain for outcome in scene.policy.outcomes] == [LZ4, ZSTD]
    (delivery,) = scene.fanout.classes
    assert {profile.tier: count for profile, count in delivery.profiles.counts.items()} == {SLOW: 2, TIERS[-1]: 1}
    assert offsets(one) == offsets(two) == offsets(three) == [0, 1]


def test_messages_that_are_not_encoded_tell_nobody_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Apart()
    _, slow = scene.join("fast", "slow")
    move_to(scene.world, slow, SLOW)
    monkeypatch.setattr(scene.policy, "tells_apart", lambda stream: pytest.fail("it was asked"))
    for _ in range(3):
        scene.publish(2000)
    assert scene.sizes == [2]


def test_receivers_of_text_are_one_class_whatever_their_links() -> None:
    scene = Apart()
    people = [person(scene.world) for _ in range(2)]
    for each in people:
        each.send(SUBSCRIBE.replace("wf-42/", "wf/"))
    scene.world.settle()
    move_to(scene.world, people[0], SLOW)
    scene.publish()
    assert scene.sizes == [2]


@pytest.mark.parametrize("apart", [False, True])
def test_sdks_are_told_apart_with_the_tiers(apart: bool) -> None:
    scene = Apart(apart=apart)
    scene.join("python")
    scene.publish()
    page = scene.world.peer("page", EVERY_CODEC)
    connection(page).profile = connection(page).profile._replace(sdk="frys-js")
    page.subscribe("wf/s")
    scene.publish()
    assert scene.sizes == ([1, 1] if apart else [2])


def test_the_largest_part_stays_where_it_is_both_ways() -> None:
    scene = Apart(apart=False)
    peers = scene.join(*[f"peer-{number}" for number in range(7)])
    for peer in peers[:3]:
        move_to(scene.world, peer, SLOW)
    scene.publish()
    (together,) = scene.fanout.classes
    scene.policy.apart = True
    scene.publish()
    assert scene.sizes == [4, 3]
    assert together in scene.fanout.classes
    assert set(together) == {connection(peer) for peer in peers[3:]}
    scene.policy.apart = False
    scene.publish()
    assert scene.fanout.classes == [together]
    assert all(offsets(peer) == [0, 1, 2] for peer in peers)


@pytest.mark.parametrize(("checked", "moved"), [(128, MOVED_TOGETHER), (20, 0)])
def test_very_many_are_looked_at_and_move_some_at_a_time(
    monkeypatch: pytest.MonkeyPatch, checked: int, moved: int
) -> None:
    monkeypatch.setattr(class_table, "CHECKED_TOGETHER", checked)
    scene = Apart(apart=False)
    peers = scene.join(*[f"peer-{number}" for number in range(90)])
    for peer in peers[:40]:
        move_to(scene.world, peer, SLOW)
    scene.publish()
    scene.policy.apart = True
    scene.publisher.publish(0, version(1))
    assert scene.sizes == ([90 - moved, moved] if moved else [90])
    scene.world.settle()
    assert scene.sizes == [50, 40]
    assert all(offsets(peer) == [0, 1] for peer in peers)


def test_a_receiver_that_holds_the_newest_version_gets_the_next_one_as_a_delta() -> None:
    scene = Apart(Kind.STATE, XOR)
    _, slow = scene.join("fast", "slow")
    scene.publish()
    move_to(scene.world, slow, SLOW)
    scene.publish()
    assert scene.sizes == [1, 1]
    assert seen(slow) == [(0, False), (1, True)]


def test_a_receiver_that_needs_a_keyframe_gets_it_from_its_new_class() -> None:
    scene = Apart(Kind.STATE, XOR)
    _, slow = scene.join("fast", "slow")
    scene.publish()
    (delivery,) = scene.fanout.classes
    delivery.send_gap(connection(slow), Gap(scene.stream.id, Code.CORRUPT_PAYLOAD, 7, 7))
    move_to(scene.world, slow, SLOW)
    scene.publish()
    scene.publish()
    assert seen(slow) == [(0, False), (1, False), (2, True)]


def test_a_receiver_whose_turn_for_a_keyframe_has_come_gets_it_from_its_new_class() -> None:
    scene = Apart(Kind.STATE, XOR)
    _, slow = scene.join("fast", "slow")
    scene.publish()
    (delivery,) = scene.fanout.classes
    assert delivery.versions is not None
    delivery.versions.needing[connection(slow)] = True
    move_to(scene.world, slow, SLOW)
    scene.publish()
    scene.publish()
    assert seen(slow) == [(0, False), (1, False), (2, True)]


def test_a_new_class_is_flushed_when_the_one_before_is() -> None:
    scene = Apart()
    _, slow = scene.join("fast", "slow")
    window = WindowedFlusher(scene.world.core.hub.fanouts.flusher, scene.world.clock, 0.005)
    flush_by(scene.fanout, window)
    move_to(scene.world, slow, SLOW)
    scene.publish()
    assert [delivery.flusher for delivery in scene.fanout.classes] == [window, window]


@pytest.mark.parametrize("size", [SMALL, BIG])
def test_what_waits_in_the_outbox_of_a_receiver_comes_first(size: int) -> None:
    scene = Apart()
    fast, slow = scene.join("fast", "slow")
    slow.transport.fill_up()
    for _ in range(3):
        scene.publish(size)
    move_to(scene.world, slow, SLOW)
    for _ in range(2):
        scene.publish(size)
    assert scene.sizes == [1, 1]
    assert not scene.fanout.settled
    slow.transport.read_on()
    scene.world.settle()
    assert offsets(fast) == offsets(slow) == [0, 1, 2, 3, 4]
    assert scene.fanout.settled


def test_a_receiver_that_is_sent_a_large_message_moves_behind_it() -> None:
    scene = Apart()
    other = scene.world.publisher("wf/s", kind=Kind.EVENT, codecs=EVERY_CODEC)
    fast, slow, slower = scene.join("fast", "slow", "slower")
    move_to(scene.world, slower, SLOW)
    scene.publish()
    large = scene.publisher.large(0, version(2, CHUNKED))
    for _ in range(2):
        large.chunk()
        scene.world.settle()
    move_to(scene.world, slow, SLOW)
    other.publish(0, version(1))
    scene.world.settle()
    assert scene.sizes == [2, 1]
    assert connection(slow) in [member for delivery in scene.fanout.classes[:1] for member in delivery]
    # No further one begins to be passed on to it in its old class.
    later = other.large(0, version(3, CHUNKED))
    later.chunk()
    large.end()
    scene.world.settle()
    later.end()
    scene.world.settle()
    assert {member.profile.tier for member in connection(slow).memberships[scene.fanout.source]} == {SLOW}  # type: ignore[attr-defined]
    assert offsets(fast) == offsets(slow) == offsets(slower) == [0, 1, 2, 3]
    assert CHUNKED > CHUNK_BYTES


def test_a_receiver_moves_behind_messages_that_are_being_encoded() -> None:
    scene = Apart()
    fast, slow = scene.join("fast", "slow")
    scene.publisher.publish(0, version(0, BIG))
    move_to(scene.world, slow, SLOW)
    scene.publisher.publish(0, version(1, BIG))
    assert scene.sizes == [2]
    scene.world.settle()
    assert scene.sizes == [1, 1]
    assert offsets(fast) == offsets(slow) == [0, 1]


def test_one_that_leaves_before_it_has_moved_is_gone() -> None:
    scene = Apart()
    fast, slow = scene.join("fast", "slow")
    scene.publisher.publish(0, version(0, BIG))
    move_to(scene.world, slow, SLOW)
    scene.publisher.publish(0, version(1, BIG))
    assert scene.fanout._table.moving
    slow.drop()
    assert not scene.fanout._table.moving
    scene.world.settle()
    assert scene.sizes == [1]
    assert offsets(fast) == [0, 1]


def test_deliveries_of_all_classes_are_counted_whoever_moves() -> None:
    scene = Apart()
    peers = scene.join("one", "two", "three")
    for tier in (SLOW, TIERS[-1], SLOW):
        move_to(scene.world, peers[0], tier)
        scene.publish()
    assert scene.fanout.delivered_messages == 9
    assert scene.fanout.receivers == 3


def test_a_receiver_that_rests_moves_when_it_is_awake() -> None:
    scene = Apart(Kind.STATE)
    fast, slow = scene.join("fast", "slow")
    scene.publish()
    fanout = scene.fanout
    fanout.rest(connection(slow))  # type: ignore[attr-defined]
    move_to(scene.world, slow, SLOW)
    scene.publish()
    assert scene.sizes == [2]
    for _ in fanout.wake():  # type: ignore[attr-defined]
        pass
    scene.publish()
    assert scene.sizes == [1, 1]
    assert offsets(fast) == [0, 1, 2]
    assert offsets(slow) == [0, 1, 2]


def test_a_receiver_that_begins_to_rest_before_it_has_moved_goes_on_resting() -> None:
    scene = Apart(Kind.STATE)
    fast, slow = scene.join("fast", "slow")
    scene.publish()
    scene.publisher.publish(0, version(1, BIG))
    move_to(scene.world, slow, SLOW)
    scene.publisher.publish(0, version(2, BIG))
    scene.count = 3
    fanout = scene.fanout
    assert fanout._table.moving
    fanout.rest(connection(slow))  # type: ignore[attr-defined]
    scene.world.settle()
    assert scene.sizes == [2]
    assert offsets(slow) == [0]
    for _ in fanout.wake():  # type: ignore[attr-defined]
        pass
    scene.publish()
    assert scene.sizes == [1, 1]
    assert offsets(fast) == [0, 1, 2, 3]
    assert offsets(slow) == [0, 2, 3]
