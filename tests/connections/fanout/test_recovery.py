"""Recovery: whoever names a position gets exactly what it missed, in order, and then what comes, without a seam."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given, settings

from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.errors import Code
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.messages import BEGINNING, Kind, StreamInfo
from gateway.protocol.signals import Gap
from gateway.streams.history import HistoryLimits
from tests.connections.memory import EVERY_CODEC, FixedPolicy, Peer, World
from tests.connections.reader import Arrival


def announced(peer: Peer) -> list[StreamInfo]:
    return [entry for entry in peer.read().log if isinstance(entry, StreamInfo)]


def told(peer: Peer) -> list[int]:
    """The offsets that arrived or were announced as lost, in order."""
    offsets: list[int] = []
    for entry in peer.read().log:
        if isinstance(entry, Arrival):
            offsets.append(entry.offset)
        elif isinstance(entry, Gap):
            offsets += range(entry.first, entry.last + 1)
    return offsets


def test_a_subscriber_that_comes_back_gets_what_it_missed() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    first = world.subscriber("wf/a")
    for number in range(3):
        publisher.publish(0, bytes([number]))
    world.settle()
    assert told(first) == [0, 1, 2]
    (info,) = announced(first)
    first.drop()
    for number in range(3, 6):
        publisher.publish(0, bytes([number]))
    world.settle()
    assert info.epoch is not None
    again = world.subscriber("wf/a", since={"wf/a": (info.epoch, 3)})
    publisher.publish(0, bytes([6]))
    world.settle()
    (info,) = announced(again)
    assert (info.since, info.recovered) == (3, True)
    assert [arrival.payload[0] for arrival in again.read().arrivals] == [3, 4, 5, 6]
    (replay,) = again.read().replays
    assert (replay.code, replay.first, replay.last) == (0, 3, 5)


def test_what_history_has_lost_is_told() -> None:
    world = World(history=HistoryLimits(max_messages=2))
    publisher = world.publisher("wf/a")
    for number in range(6):
        publisher.publish(0, bytes([number]) * 9000)
    world.settle()
    late = world.subscriber("wf/a", since=1)
    world.settle()
    (info,) = announced(late)
    assert (info.since, info.recovered) == (4, False)
    assert told(late) == [4, 5]


def test_another_incarnation_is_given_from_its_beginning() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    publisher.publish(0, b"new")
    world.settle()
    back = world.subscriber("wf/a", since={"wf/a": (1, 500)})
    world.settle()
    (info,) = announced(back)
    assert (info.since, info.recovered) == (0, False)
    assert told(back) == [0]


def test_streams_that_came_meanwhile_are_given_whole() -> None:
    world = World()
    world.publisher("wf/old").publish(0, b"old")
    world.settle()
    publisher = world.publisher("wf/new")
    publisher.publish(0, b"one")
    publisher.publish(0, b"two")
    world.settle()
    epoch = next(stream.epoch for stream in world.core.streams if stream.name == "wf/old")
    back = world.subscriber("wf/*", since={"wf/old": (epoch, 1)})
    world.settle()
    assert [arrival.payload for arrival in back.read().arrivals] == [b"one", b"two"]


def test_a_second_subscription_that_wants_the_past_does_not_look_like_a_gap() -> None:
    world = World()
    publisher = world.publisher("wf/a")
    publisher.publish(0, b"0")
    subscriber = world.subscriber("wf/a")
    publisher.publish(0, b"1")
    world.settle()
    subscriber.transport.fill_up()
    publisher.publish(0, b"2")
    world.turn()
    subscriber.subscribe("wf/a", since=BEGINNING)
    publisher.publish(0, b"3")
    world.turn()
    subscriber.transport.read_on()
    world.settle()
    offsets = told(subscriber)
    assert offsets[0] == 1
    # What the second subscription sees: from its STREAM on, nothing is jumped over.
    seen = offsets[offsets.index(0) :]
    expected = 0
    for offset in seen:
        assert offset <= expected
        expected = max(expected, offset + 1)
    assert expected == 4


def test_a_state_that_the_receiver_has_is_not_sent_again() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.STATE)
    publisher.publish(0, b"zero")
    world.settle()
    epoch = next(iter(world.core.streams)).epoch
    current = world.subscriber("wf/a", since={"wf/a": (epoch, 1)})
    behind = world.subscriber("wf/a", "behind", since={"wf/a": (epoch, 0)})
    world.settle()
    assert told(current) == []
    assert told(behind) == [0]
    publisher.publish(0, b"one")
    world.settle()
    assert told(current) == [1]


def test_history_that_is_lost_while_it_is_sent_is_a_gap() -> None:
    world = World(history=HistoryLimits(max_messages=40))
    publisher = world.publisher("wf/a")
    for number in range(40):
        publisher.publish(0, bytes([number]) * 9000)
    world.settle()
    slow = world.peer("slow")
    slow.transport.fill_up()
    slow.subscribe("wf/a", since=BEGINNING)
    for number in range(20):
        publisher.publish(0, bytes([number]) * 9000)
    world.settle()
    slow.transport.read_on()
    world.settle()
    assert told(slow) == list(range(60))
    gaps = slow.read().gaps
    assert {gap.code for gap in gaps} == {Code.HISTORY_LOST}
    assert sum(gap.last - gap.first + 1 for gap in gaps) == 20


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    policy=st.sampled_from([PLAIN, Chain(codec="lz4")]),
    kept=st.integers(0, 30),
    limit_bytes=st.sampled_from([2000, 100_000, 1 << 30]),
)
def test_no_seam(data: st.DataObject, policy: Chain, kept: int, limit_bytes: int) -> None:
    """Subscribers come with any position, stall, read and go; each is told of every offset once, in order."""
    delivery = DeliverySettings(outbox_limit_bytes=limit_bytes)
    world = World(FixedPolicy(policy), delivery=delivery, history=HistoryLimits(max_messages=kept))
    publisher = world.publisher("wf/a")
    published = 0
    there: list[tuple[Peer, int]] = []
    for _ in range(data.draw(st.integers(1, 25))):
        step = data.draw(st.sampled_from(["publish", "batch", "large", "join", "stall", "read", "turn", "work"]))
        size = data.draw(st.sampled_from([10, 3000, 20_000, 70_000]))
        if step == "publish":
            publisher.publish(0, bytes(size))
            published += 1
        elif step == "batch":
            publisher.send(publisher.batch(0, [bytes(100)] * 3))
            published += 3
        elif step == "large":
            publisher.large(0, bytes(size)).end()
            published += 1
        elif step == "join":
            wanted = data.draw(st.integers(0, published))
            codecs = data.draw(st.sampled_from([(), EVERY_CODEC]))
            there.append((world.subscriber("wf/a", f"reader-{len(there)}", codecs, since=wanted), wanted))
        elif step == "turn":
            world.turn()
        elif step == "work":
            if len(world.workers):
                world.workers.step(data.draw(st.integers(0, len(world.workers) - 1)))
        elif there:
            peer, _ = there[data.draw(st.integers(0, len(there) - 1))]
            if step == "stall":
                peer.transport.fill_up()
            else:
                peer.transport.read_on()
    for peer, wanted in there:
        world.settle()
        peer.transport.read_on()
        world.settle()
        (info,) = announced(peer)
        assert info.since is not None
        assert info.recovered is (info.since == wanted)
        # A record batch comes whole, so some records before the start, or of the batch before, may come again.
        expected = info.since
        for offset in told(peer):
            assert offset <= expected
            expected = max(expected, offset + 1)
        assert expected == published
        assert not peer.read().transfers
