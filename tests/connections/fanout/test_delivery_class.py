"""DeliveryClass: one write a turn and member, of the same bytes, and no seam when members come, lag and leave."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connections.fanout.delivery_class import DeliveryClass, Flusher
from gateway.connections.outbound.backfill import LargeForm, PastPart, Taken
from gateway.connections.outbound.connection import Connection
from gateway.connections.outbound.formats import BinaryFormat
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.connections.outbound.inbox_source import InboxSource
from gateway.connections.receiver_profile import ReceiverProfile
from gateway.errors import Code, RequestRefused
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.messages import Kind
from gateway.protocol.signals import Gap
from gateway.protocol.transfers import ChunkPlan
from gateway.protocol.wire import Opcode
from gateway.streams.large import LargeMessage
from gateway.streams.run import Run
from gateway.streams.stream import Stream
from gateway.streams.view import Misfit
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import ManualClock, Peer, World, book_all, counts_in
from tests.connections.versions import Scene, seen

SOURCE = Stream(StreamId(1), StreamName("wf/a"), Kind.EVENT, Epoch(1))


def run(offset: int, size: int = 40) -> Run:
    return Run(SOURCE, offset, 1, (bytes([offset % 256]) * size,), size, 0, 1)


def no_history(first: int, last: int, max_bytes: int, taken: Taken) -> None:
    """There is none."""
    taken(())


class Room:
    """A delivery class and its members."""

    def __init__(self) -> None:
        self.world = World()
        self.world.binary.answers_pings = False  # so that nothing but messages is written
        self.clock = ManualClock()
        form = BinaryFormat("frys.v1", lambda size: b"")
        self.flusher = Flusher(self.clock, self.world.core.lag_changes)
        self.delivery = DeliveryClass(SOURCE, form, ReceiverProfile(frozenset()), self.flusher, no_history)

    def member(self) -> Peer:
        peer = self.world.peer(f"member-{len(self.world.core.pool)}")
        self.delivery.join(peer.session.connection)
        peer.session.connection.enter(SOURCE, self.delivery)
        return peer


def written(peer: Peer) -> bytes:
    return b"".join(peer.transport.writes)


def test_what_one_turn_brings_is_one_write_of_the_same_object() -> None:
    room = Room()
    members = [room.member() for _ in range(3)]
    for offset in range(5):
        room.delivery.add(run(offset))
    assert not any(member.transport.writes for member in members)
    assert room.clock.turn()
    assert [len(member.transport.writes) for member in members] == [1, 1, 1]
    assert len({written(member) for member in members}) == 1
    assert not room.clock.turn()
    assert room.delivery.delivered_messages == 15


@pytest.mark.parametrize("lost", [{0}, {2}, {0, 1, 3}, {0, 1, 2, 3}])
def test_members_that_are_being_lost_cost_the_others_nothing(lost: set[int]) -> None:
    room = Room()
    members = [room.member() for _ in range(4)]
    for index in lost:
        members[index].transport.lost = True
    room.delivery.add(run(0))
    assert room.clock.turn()
    assert [len(member.transport.writes) for member in members] == [index not in lost for index in range(4)]


def test_a_large_run_is_not_joined_with_the_others() -> None:
    room = Room()
    member = room.member()
    sizes = [40, 1 << 20, 40, 40]
    for offset, size in enumerate(sizes):
        room.delivery.add(run(offset, size))
    room.clock.turn()
    assert written(member) == b"".join(bytes([offset]) * size for offset, size in enumerate(sizes))


def test_whoever_joins_gets_what_is_added_from_now_on() -> None:
    room = Room()
    first = room.member()
    room.delivery.add(run(0))
    second = room.member()
    room.delivery.add(run(1))
    room.clock.turn()
    assert written(first) == bytes([0]) * 40 + bytes([1]) * 40
    assert written(second) == bytes([1]) * 40


def test_whoever_leaves_gets_what_was_added_before() -> None:
    room = Room()
    member = room.member()
    room.delivery.add(run(0))
    room.delivery.leave(member.session.connection)
    room.delivery.add(run(1))
    room.clock.turn()
    assert written(member) == bytes([0]) * 40
    assert not len(room.delivery)


def test_a_member_that_falls_behind_and_catches_up_misses_nothing() -> None:
    room = Room()
    slow, fast = room.member(), room.member()
    offset = 0
    for stall in (False, True, True, False, True, False):
        if stall:
            slow.transport.fill_up()
        else:
            slow.transport.read_on()
        for _ in range(3):
            room.delivery.add(run(offset))
            offset += 1
        room.clock.turn()
    slow.transport.read_on()
    assert written(slow) == written(fast)


def test_a_member_that_fills_up_in_the_middle_of_a_flush_misses_nothing() -> None:
    room = Room()
    slow, fast = room.member(), room.member()
    slow.transport.stalled = True
    for offset in range(40):
        room.delivery.add(run(offset, 20_000))
    room.clock.turn()
    assert slow.session.connection.lagging
    assert slow.transport.waiting < 1 << 20
    slow.transport.read_on()
    assert written(slow) == written(fast)
    assert not slow.session.connection.lagging


@given(steps=st.lists(st.tuples(st.sampled_from(["add", "turn", "fill", "read", "join", "leave"]), st.integers(0, 3))))
def test_no_seam(steps: list[tuple[str, int]]) -> None:
    """Each member has exactly the runs that were added while it was one."""
    room = Room()
    members: list[tuple[Peer, int]] = []
    gone: list[tuple[Peer, int, int]] = []
    offset = 0
    for step, number in steps:
        if step == "add":
            room.delivery.add(run(offset, [40, 40, 5000, 300_000][number]))
            offset += 1
        elif step == "turn":
            room.clock.turn()
        elif step == "join":
            members.append((room.member(), offset))
        elif members:
            peer, since = members[number % len(members)]
            if step == "fill":
                peer.transport.fill_up()
            elif step == "read":
                peer.transport.read_on()
            else:
                peer.transport.read_on()
                room.delivery.leave(peer.session.connection)
                members.remove((peer, since))
                gone.append((peer, since, offset))
    room.clock.turn()
    for peer, since in members:
        peer.transport.read_on()
        assert offsets(peer) == list(range(since, offset))
    for peer, since, until in gone:
        assert offsets(peer) == list(range(since, until))


def offsets(peer: Peer) -> list[int]:
    """The runs in what was written; fewer than 256 are added, each of one repeated byte."""
    seen: list[int] = []
    for value in written(peer):
        if not seen or seen[-1] != value:
            seen.append(value)
    return seen


def test_a_class_that_fails_does_not_cost_the_others_their_turn(caplog: pytest.LogCaptureFixture) -> None:
    room = Room()
    member = room.member()
    failing = DeliveryClass(
        SOURCE, BinaryFormat("local", lambda size: b""), ReceiverProfile(frozenset()), room.flusher, no_history
    )
    failing.join(room.world.peer("other").session.connection)
    failing.add(Run(SOURCE, 0, 1, (None,), 8, 0, 1))  # type: ignore[arg-type]
    room.delivery.add(run(0))
    with caplog.at_level(logging.ERROR):
        room.clock.turn()
    assert written(member) == bytes([0]) * 40
    assert [record.getMessage() for record in caplog.records] == [
        "messages of wf/a may not have reached its 1 receivers"
    ]
    assert room.flusher.idle


def test_deliveries_to_outboxes_are_owed_until_the_flush() -> None:
    room = Room()
    members = [room.member() for _ in range(5)]
    owed = []
    for lagging in (0, 2, 5):
        for member in members[:lagging]:
            member.transport.fill_up()
        for offset in (2 * lagging, 2 * lagging + 1):
            room.delivery.add(run(offset))
            owed.append(room.flusher.owed)
        room.clock.turn()
        assert not room.flusher.owed
    # Members of which it is not known yet whether they lag; those that do, for each run.
    assert owed == [5, 5, 2, 2, 3 + 2, 3 + 2 * 2]


def test_members_are_sorted_without_a_call_for_each_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(keyframe_every=2)
    receivers = [scene.receiver, *[scene.join(f"receiver-{number}") for number in range(5)]]
    scene.publish(0)
    asked: list[object] = []
    monkeypatch.setattr(DeliveryClass, "holds_newest", lambda delivery, member: asked.append(member))
    for number in range(1, 5):
        scene.publish(number)
    assert not asked
    for receiver in receivers:
        offsets, deltas = zip(*seen(receiver), strict=True)
        assert offsets == (0, 1, 2, 3, 4)
        assert sorted(deltas) == [False, False, False, True, True]


# Members that lag, and the accounts of all.


def connection_of(peer: Peer) -> Connection:
    return peer.session.connection


def delivered_to(peer: Peer) -> int:
    """The messages that the accounts of the first subscription count as delivered."""
    ((_, counts),) = counts_in(connection_of(peer).accounts, 1).items()
    return counts.delivered


def test_all_members_lag_when_the_last_one_falls_behind() -> None:
    room = Room()
    members = [room.member() for _ in range(2)]
    assert list(room.delivery) == [connection_of(member) for member in members]
    lagging = [room.delivery.all_lagging]
    for member in members:
        member.transport.fill_up()
        lagging.append(room.delivery.all_lagging)
    members[0].transport.read_on()
    lagging.append(room.delivery.all_lagging)
    assert lagging == [False, False, True, False]


def test_a_class_is_full_while_a_member_that_lags_has_no_room_for_messages_that_must_not_be_lost() -> None:
    source = InboxSource("agent:slow", lambda *_: None)
    world = World(delivery=DeliverySettings(outbox_limit_bytes=100))
    flusher = Flusher(world.clock, world.core.lag_changes)
    delivery = DeliveryClass(source, world.binary, ReceiverProfile(frozenset()), flusher, no_history)
    slow, fast = world.peer("slow"), world.peer("fast")
    for peer in (slow, fast):
        delivery.join(connection_of(peer))
        connection_of(peer).enter(source, delivery)
    slow.transport.fill_up()
    full = [delivery.queue_full]
    for offset in range(4):
        delivery.add(Run(source, offset, 1, (bytes(40),), 40, 0, 1))
        world.turn()
        full.append(delivery.queue_full)
    slow.transport.read_on()
    full.append(delivery.queue_full)
    assert full == [False, False, False, False, True, False]
    assert written(fast).endswith(bytes(160))


def test_members_are_booked_for_what_they_were_sent_and_no_later_one_for_what_came_before() -> None:
    """The accounts of a member are brought up to date when it leaves, lags, or asks."""
    world = World()
    publisher = world.publisher("wf/a")
    early = world.subscriber("wf/a", "early")
    for number in range(3):
        publisher.publish(0, bytes([number]))
    world.settle()
    late = world.subscriber("wf/a", "late")
    publisher.publish(0, b"now")
    world.settle()
    for peer, delivered in ((early, 4), (late, 1)):
        book_all(connection_of(peer))
        book_all(connection_of(peer))
        assert delivered_to(peer) == delivered


def test_a_member_that_lags_is_booked_once_for_what_it_gets_through_its_outbox() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    slow, fast = world.subscriber("wf/a", "slow"), world.subscriber("wf/a", "fast")
    for number in range(6):
        if number == 2:
            slow.transport.fill_up()
        if number == 4:
            slow.transport.read_on()
        publisher.publish(0, bytes([number]))
        world.settle()
    for peer in (slow, fast):
        book_all(connection_of(peer))
        assert delivered_to(peer) == 6
        assert peer.read().offsets == list(range(6))


def test_messages_that_went_another_way_are_not_booked_as_those_that_come() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    receiver = world.subscriber("wf/a")
    publisher.publish(0, b"one")
    publisher.large(0, bytes(3 * CHUNK_BYTES)).end()
    publisher.publish(0, b"two")
    world.settle()
    book_all(connection_of(receiver))
    assert receiver.read().offsets == [0, 1, 2]
    assert delivered_to(receiver) == 3
    (delivery,) = connection_of(receiver).memberships.values()
    assert isinstance(delivery, DeliveryClass)
    delivery.advance_to(2)
    publisher.publish(0, b"six")
    world.settle()
    book_all(connection_of(receiver))
    assert delivered_to(receiver) == 4, "a step back changes nothing"


# The past, and members that need a keyframe.


def test_messages_from_history_count_as_delivered_one_by_one_and_gaps_do_not() -> None:
    asked: list[tuple[int, int, int]] = []
    large = LargeMessage(SOURCE, Opcode.MESSAGE, 1, 0, 0, b"", ChunkPlan(1, 4096, 5000), offset=4)
    past: list[PastPart] = [
        Misfit(0, 0, RequestRefused(Code.INVALID_VIEW, "too narrow")),
        Gap(SOURCE.id, Code.HISTORY_LOST, 1, 1),
        Run(SOURCE, 2, 2, (bytes(80),), 80, 40, 1),
        LargeForm(large, []),
    ]

    def history(first: int, last: int, max_bytes: int, taken: Taken) -> None:
        asked.append((first, last, max_bytes))
        taken(past)

    world = World()
    delivery = DeliveryClass(
        SOURCE, world.binary, ReceiverProfile(frozenset()), Flusher(world.clock, world.core.lag_changes), history
    )
    taken: list[PastPart] = []
    delivery.read(0, 4, 1000, taken.extend)
    assert asked == [(0, 4, 1000)]
    assert taken == past
    assert delivery.delivered_messages == 3


def state_class(room: Room) -> DeliveryClass:
    """A delivery class of a state."""
    source = Stream(StreamId(2), StreamName("wf/s"), Kind.STATE, Epoch(1))
    form = BinaryFormat("frys.v1", lambda size: b"")
    return DeliveryClass(source, form, ReceiverProfile(frozenset()), room.flusher, no_history, keyframe_every=64)


def test_a_member_that_is_told_of_a_gap_needs_a_keyframe_of_a_state_and_of_other_kinds_it_does_not() -> None:
    room = Room()
    state = state_class(room)
    peer = room.world.peer()
    connection = connection_of(peer)
    for delivery in (state, room.delivery):
        delivery.join(connection)
    assert state.versions is not None
    state.versions.keyframe_queued(connection)
    assert state.holds_newest(connection)
    for delivery in (state, room.delivery):
        delivery.send_gap(connection, Gap(1, Code.HISTORY_LOST, 0, 0))
    assert not state.holds_newest(connection)
    assert room.delivery.holds_newest(connection)
    state.leave(connection)
    assert state.holds_newest(connection), "the need is forgotten with the member"


def test_a_member_that_cannot_use_a_delta_gets_the_keyframe_of_the_same_version() -> None:
    scene = Scene()
    needing = scene.join("needing")
    scene.publish(0)
    connection = connection_of(needing)
    (delivery,) = connection.memberships.values()
    assert isinstance(delivery, DeliveryClass)
    assert delivery.versions is not None
    delivery.versions.require_keyframe(connection)
    scene.publish(1)
    scene.publish(2)
    assert seen(needing) == [(0, False), (1, False), (2, True)]
    assert seen(scene.receiver) == [(0, False), (1, True), (2, True)]
