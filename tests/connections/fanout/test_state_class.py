"""StateClass: who of its members holds the newest version."""

from __future__ import annotations

from gateway.connections.fanout.delivery_class import Flusher
from gateway.connections.fanout.state_class import StateClass
from gateway.errors import Code
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Gap
from gateway.streams.run import Run
from gateway.streams.stream import Stream
from tests.connections.memory import Peer, World

SOURCE = Stream(StreamId(1), StreamName("wf/s"), Kind.STATE, Epoch(1))


def state_class(world: World, members: int, keyframe_every: int = 1000) -> tuple[StateClass, list[Peer]]:
    """A class whose members hold what there is."""
    delivery = StateClass(SOURCE, world.binary, frozenset(), Flusher(world.clock), lambda *_: None, 0, keyframe_every)
    peers = [world.peer(f"peer-{number}") for number in range(members)]
    for peer in peers:
        delivery.join(peer.session.connection)
        delivery.got_whole(peer.session.connection)
        peer.forget()
    return delivery, peers


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
    assert not delivery.needs_whole(new.session.connection)


def test_who_was_left_out_needs_the_next_version_whole() -> None:
    world = World()
    delivery, peers = state_class(world, 2)
    left = peers[0].session.connection
    delivery.leave_out(left, Gap(1, Code.MESSAGE_TOO_BIG, 0, 0))
    assert [gap.code for gap in peers[0].news().gaps] == [Code.MESSAGE_TOO_BIG]
    assert delivery.keeping_up(holding=True) == [peers[1].session.connection]
    assert delivery.keeping_up(holding=False) == [peer.session.connection for peer in peers]
    delivery.add(delta(1))
    world.turn()
    assert [written(peer) for peer in peers] == [b"w" * 8, b"d" * 8]
    delivery.add(delta(2))
    world.turn()
    assert [written(peer) for peer in peers] == [b"d" * 8, b"d" * 8]


def test_whether_a_member_held_the_version_that_it_gets_whole() -> None:
    delivery, (peer,) = state_class(World(), 1)
    member = peer.session.connection
    assert delivery.got_whole(member)
    delivery.need_whole(member)
    assert not delivery.got_whole(member)
    assert delivery.got_whole(member)


def test_whose_turn_it_is_holds_the_version_before_all_the_same() -> None:
    delivery, (peer,) = state_class(World(), 1, keyframe_every=1)
    delivery.count_delta()
    assert delivery.needs_whole(peer.session.connection)
    assert delivery.got_whole(peer.session.connection)


def test_members_take_turns() -> None:
    delivery, peers = state_class(World(), 6, keyframe_every=3)
    turns = []
    for _ in range(6):
        delivery.count_delta()
        turns.append({peer.client_id for peer in peers if delivery.needs_whole(peer.session.connection)})
        for peer in peers:
            delivery.got_whole(peer.session.connection)
    assert turns[:3] == turns[3:]
    assert [len(turn) for turn in turns[:3]] == [2, 2, 2]
    assert set.union(*turns[:3]) == {peer.client_id for peer in peers}


def test_who_has_left_needs_nothing() -> None:
    delivery, (peer,) = state_class(World(), 1)
    delivery.need_whole(peer.session.connection)
    delivery.leave(peer.session.connection)
    assert not delivery.needs_whole(peer.session.connection)
    delivery.need_whole(peer.session.connection)
    assert not delivery.needs_whole(peer.session.connection)
