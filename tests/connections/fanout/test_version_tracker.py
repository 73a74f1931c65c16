"""VersionTracker, and the delivery class that it belongs to: members without the newest version get keyframes."""

from __future__ import annotations

from gateway.connections.fanout.delivery_class import DeliveryClass, Flusher
from gateway.connections.fanout.version_tracker import VersionTracker
from gateway.connections.receiver_profile import ReceiverProfile
from gateway.errors import Code
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Gap
from gateway.streams.run import Run
from gateway.streams.stream import Stream
from tests.connections.memory import Peer, World

SOURCE = Stream(StreamId(1), StreamName("wf/s"), Kind.STATE, Epoch(1))


def state_class(world: World, members: int, keyframe_every: int = 1000) -> tuple[DeliveryClass, list[Peer]]:
    """A class whose members hold the newest version."""
    flusher = Flusher(world.clock, world.core.lag_changes)
    delivery = DeliveryClass(
        SOURCE, world.binary, ReceiverProfile(frozenset()), flusher, lambda *_: None, keyframe_every=keyframe_every
    )
    peers = [world.peer(f"peer-{number}") for number in range(members)]
    for peer in peers:
        delivery.join(peer.session.connection)
        tracker_of(delivery).keyframe_queued(peer.session.connection)
        peer.forget()
    return delivery, peers


def tracker_of(delivery: DeliveryClass) -> VersionTracker:
    assert delivery.versions is not None
    return delivery.versions


def version(offset: int, fill: bytes) -> Run:
    return Run(SOURCE, offset, 1, (fill * 8,), 8, 0, 1)


def delta(offset: int) -> Run:
    made = version(offset, b"d")
    made.is_delta = True
    made.keyframe = version(offset, b"w")
    return made


def written(peer: Peer) -> bytes:
    writes, peer.transport.writes = peer.transport.writes, []
    return b"".join(writes)


def test_who_has_just_come_needs_the_next_version_whole() -> None:
    world = World()
    delivery, (old,) = state_class(world, 1)
    new = world.peer("new")
    delivery.join(new.session.connection)
    written(new)
    delivery.add(delta(1))
    delivery.add(delta(2))
    world.turn()
    assert written(old) == b"d" * 16
    assert written(new) == b"w" * 8  # the newer one took the place of the other
    assert delivery.holds_newest(new.session.connection)


def test_who_was_left_out_needs_the_next_version_whole() -> None:
    world = World()
    delivery, peers = state_class(world, 2)
    left = peers[0].session.connection
    delivery.send_gap(left, Gap(1, Code.MESSAGE_TOO_BIG, 0, 0))
    assert [gap.code for gap in peers[0].news().gaps] == [Code.MESSAGE_TOO_BIG]
    assert [delivery.holds_newest(peer.session.connection) for peer in peers] == [False, True]
    delivery.add(delta(1))
    world.turn()
    assert [written(peer) for peer in peers] == [b"w" * 8, b"d" * 8]
    delivery.add(delta(2))
    world.turn()
    assert [written(peer) for peer in peers] == [b"d" * 8, b"d" * 8]


def test_whether_a_member_held_the_version_that_it_gets_whole() -> None:
    delivery, (peer,) = state_class(World(), 1)
    member = peer.session.connection
    assert tracker_of(delivery).keyframe_queued(member)
    tracker_of(delivery).require_keyframe(member)
    assert not tracker_of(delivery).keyframe_queued(member)
    assert tracker_of(delivery).keyframe_queued(member)


def test_whose_turn_it_is_holds_the_version_before_all_the_same() -> None:
    delivery, (peer,) = state_class(World(), 1, keyframe_every=1)
    tracker_of(delivery).count_delta()
    assert not delivery.holds_newest(peer.session.connection)
    assert tracker_of(delivery).keyframe_queued(peer.session.connection)


def test_members_take_turns() -> None:
    delivery, peers = state_class(World(), 6, keyframe_every=3)
    turns = []
    for _ in range(6):
        tracker_of(delivery).count_delta()
        turns.append({peer.client_id for peer in peers if not delivery.holds_newest(peer.session.connection)})
        for peer in peers:
            tracker_of(delivery).keyframe_queued(peer.session.connection)
    assert turns[:3] == turns[3:]
    assert [len(turn) for turn in turns[:3]] == [2, 2, 2]
    assert set.union(*turns[:3]) == {peer.client_id for peer in peers}


def test_who_has_left_needs_nothing() -> None:
    delivery, (peer,) = state_class(World(), 1)
    tracker_of(delivery).require_keyframe(peer.session.connection)
    delivery.leave(peer.session.connection)
    assert delivery.holds_newest(peer.session.connection)
    tracker_of(delivery).require_keyframe(peer.session.connection)
    assert delivery.holds_newest(peer.session.connection)
