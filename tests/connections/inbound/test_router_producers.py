"""What a producer sends again is not published again, however connections come and go."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import Code
from gateway.protocol.messages import Kind
from gateway.streams.producers import WINDOW_RANGES
from tests.connections.frames import CHUNK_BYTES
from tests.connections.memory import Peer, World

LARGE = bytes(range(256)) * 40
"""Two whole chunks and a part."""


def producer_of(world: World, sequence: int = 1, kind: Kind = Kind.EVENT, client_id: str = "trainer") -> Peer:
    peer = world.peer(client_id)
    peer.produce(0, "wf/a", sequence, kind=kind)
    peer.forget()
    return peer


def acks_of(peer: Peer) -> list[tuple[int, int, int, bool]]:
    return [(ack.sequence, ack.count, ack.offset, ack.repeated) for ack in peer.read().acks]


def test_a_message_that_is_sent_again_gets_its_first_offset_and_is_not_delivered_again() -> None:
    world = World()
    subscriber = world.subscriber("wf/*")
    first = producer_of(world)
    first.publish(0, b"one")
    first.publish(0, b"two")
    first.drop()
    peer = producer_of(world)
    peer.publish(0, b"one", ack=True)
    peer.publish(0, b"two", ack=True)
    peer.publish(0, b"three", ack=True)
    assert acks_of(peer) == [(1, 1, 0, True), (2, 1, 1, True), (3, 1, 2, False)]
    world.settle()
    assert [arrival.payload for arrival in subscriber.read().arrivals] == [b"one", b"two", b"three"]


def test_a_repetition_that_wants_no_acknowledgement_gets_none() -> None:
    world = World()
    producer_of(world).publish(0, b"one")
    peer = producer_of(world)
    peer.publish(0, b"one")
    assert not peer.read().log


def test_a_run_that_was_published_as_one_is_repeated_message_by_message() -> None:
    world = World()
    subscriber = world.subscriber("wf/*")
    first = producer_of(world)
    first.send(*[first.message(0, bytes([number])) for number in range(10)])
    peer = producer_of(world)
    peer.send(*[peer.message(0, bytes([number]), ack=True) for number in range(12)])
    assert acks_of(peer)[:10] == [(number + 1, 1, number, True) for number in range(10)]
    world.settle()
    assert subscriber.read().offsets == list(range(12))


def test_a_batch_that_is_sent_again_is_acknowledged_as_a_whole() -> None:
    world = World()
    subscriber = world.subscriber("wf/*")
    first = producer_of(world)
    first.send(first.batch(0, [b"a", b"b", b"c"], ack=True))
    peer = producer_of(world)
    peer.send(peer.batch(0, [b"a", b"b", b"c"], ack=True))
    assert acks_of(peer) == [(3, 3, 2, True)]
    world.settle()
    assert subscriber.read().offsets == [0, 1, 2]


def test_a_batch_of_which_a_part_was_sent_before_is_refused() -> None:
    world = World()
    first = producer_of(world)
    first.send(first.batch(0, [b"a", b"b"]))
    peer = producer_of(world)
    peer.send(peer.batch(0, [b"a", b"b", b"c"], ack=True))
    (error,) = peer.read().errors
    assert (error.code, error.sequence, error.count) == (Code.BAD_SEQUENCE, 3, 3)


def test_messages_after_repetitions_take_the_short_way_again() -> None:
    """One acknowledgement for several messages is the sign of a run."""
    world = World()
    producer_of(world).publish(0, b"1")
    peer = producer_of(world)
    peer.publish(0, b"1", ack=True)
    peer.publish(0, b"2", ack=True)
    peer.send(*[peer.message(0, b"3", ack=True) for _ in range(5)])
    assert acks_of(peer) == [(1, 1, 0, True), (2, 1, 1, False), (7, 5, 6, False)]


def test_sequences_may_be_left_out_but_not_come_back() -> None:
    world = World()
    peer = producer_of(world, 5)
    peer.publish(0, b"five", ack=True)
    peer.sequences[0] = 9
    peer.publish(0, b"ten", ack=True)
    assert acks_of(peer) == [(5, 1, 0, False), (10, 1, 1, False)]
    peer.sequences[0] = 6
    peer.publish(0, b"seven", ack=True)
    assert peer.read().codes == [Code.BAD_SEQUENCE]
    again = producer_of(world, 7)
    again.publish(0, b"seven", ack=True)
    assert again.read().codes == [Code.OUT_OF_WINDOW]
    again.sequences[0] = 9
    again.publish(0, b"ten", ack=True)
    assert acks_of(again) == [(10, 1, 1, True)]


def test_without_a_producer_the_sequence_has_to_follow() -> None:
    world = World()
    peer = world.publisher("wf/a")
    peer.sequences[0] = 1
    peer.publish(0, b"two")
    assert peer.read().codes == [Code.BAD_SEQUENCE]


def test_a_refused_message_is_refused_again_as_it_was() -> None:
    world = World()
    first = producer_of(world)
    bad = bytearray(b"".join(first.message(0, b"abc")))
    bad[32] = 99  # a dtype that does not exist
    first.send(bad)
    first.publish(0, b"good")
    peer = producer_of(world)
    peer.publish(0, b"abc", ack=True)
    peer.publish(0, b"good", ack=True)
    assert peer.read().codes == [Code.INVALID_TENSOR]
    assert acks_of(peer) == [(2, 1, 0, True)]


def test_what_is_older_than_the_window_is_not_published_again() -> None:
    world = World()
    other = world.publisher("wf/a")
    first = producer_of(world)
    for _ in range(3 * WINDOW_RANGES):
        first.publish(0, b"mine")
        other.publish(0, b"theirs")  # so that each of ours is a range of its own
    peer = producer_of(world)
    peer.publish(0, b"mine", ack=True)
    assert peer.read().codes == [Code.OUT_OF_WINDOW]
    peer.sequences[0] = 2 * WINDOW_RANGES + 1
    peer.publish(0, b"mine", ack=True)
    assert acks_of(peer) == [(2 * WINDOW_RANGES + 2, 1, 4 * WINDOW_RANGES + 2, True)]


def test_two_connections_at_once_never_publish_a_message_twice() -> None:
    world = World()
    subscriber = world.subscriber("wf/*")
    old = producer_of(world, client_id="other")
    old.publish(0, b"one")
    new = producer_of(world)
    new.publish(0, b"one", ack=True)
    old.publish(0, b"two", ack=True)
    new.publish(0, b"two", ack=True)
    assert acks_of(new) == [(1, 1, 0, True), (2, 1, 1, False)]
    assert (acks_of(old), old.read().codes) == ([], [Code.BAD_SEQUENCE])
    world.settle()
    assert subscriber.read().offsets == [0, 1]


def test_producers_do_not_know_of_each_other() -> None:
    world = World()
    one, two = world.peer("one"), world.peer("two")
    one.produce(0, "wf/a", producer=1)
    two.produce(0, "wf/a", producer=2)
    for peer in (one, two):
        peer.forget()
        peer.publish(0, b"x", ack=True)
    assert acks_of(one) == [(1, 1, 0, False)]
    assert acks_of(two) == [(1, 1, 1, False)]


@dataclass
class Sent:
    """A message that a producer has published, and may have to send again."""

    sequence: int
    records: list[bytes]
    """One of a MESSAGE, more of a BATCH."""
    offset: int | None = None


class Resender:
    """A client that sends what was not acknowledged again on its next connection, as ``spec/client.md`` asks for."""

    def __init__(self, world: World, producer: int) -> None:
        self._world = world
        self._producer = producer
        self._next = 1
        self.sent: list[Sent] = []
        self._peer = self._connect()

    def publish(self, records: list[bytes]) -> None:
        message = Sent(self._next, records)
        self._next += len(records)
        self.sent.append(message)
        self._send(message)

    def take_answers(self) -> None:
        """Read what has come so far; what is not read before the connection breaks is lost."""
        reader = self._peer.news()
        assert not reader.errors
        for ack in reader.acks:
            for message in self.sent:
                if ack.sequence - ack.count < message.sequence <= ack.sequence:
                    offset = ack.offset - (ack.sequence - message.sequence)
                    assert message.offset in (None, offset)
                    message.offset = offset

    def break_off(self) -> None:
        """The connection is lost, and the next one stands."""
        self._peer.drop()
        self._peer = self._connect()

    def _connect(self) -> Peer:
        waiting = [message for message in self.sent if message.offset is None]
        peer = self._peer = self._world.peer(f"client-{self._producer}")
        peer.produce(0, "wf/a", waiting[0].sequence if waiting else self._next, self._producer)
        for message in waiting:
            self._send(message)
        return peer

    def _send(self, message: Sent) -> None:
        self._peer.sequences[0] = message.sequence - 1
        if len(message.records) > 1:
            self._peer.send(self._peer.batch(0, message.records, ack=True))
        elif len(message.records[0]) > CHUNK_BYTES:
            resuming = any(message is other for other in self.sent[:-1])
            large = self._peer.large(0, message.records[0], message.sequence, ack=True, resuming=resuming)
            large.end()
        else:
            self._peer.publish(0, message.records[0], ack=True)


STEPS = st.tuples(st.integers(0, 1), st.sampled_from(["small", "batch", "large", "answers", "break"]))


@settings(max_examples=150)
@given(st.lists(STEPS, max_size=40))
def test_every_message_has_one_offset_in_the_order_of_its_producer_whatever_is_lost(
    steps: list[tuple[int, str]],
) -> None:
    world = World()
    subscriber = world.subscriber("wf/*")
    clients = [Resender(world, producer) for producer in (1, 2)]
    for number, (who, what) in enumerate(steps):
        client, mark = clients[who], number.to_bytes(2, "little")
        if what == "small":
            client.publish([mark])
        elif what == "batch":
            client.publish([mark + bytes([record]) for record in range(3)])
        elif what == "large":
            client.publish([mark + LARGE])
        elif what == "answers":
            client.take_answers()
        else:
            client.break_off()
    for client in clients:
        client.break_off()
        client.take_answers()
    world.settle()
    arrived = {arrival.offset: arrival.payload for arrival in subscriber.read().arrivals}
    assert sorted(arrived) == list(range(len(arrived)))
    expected = 0
    for client in clients:
        offsets = [message.offset or 0 for message in client.sent]
        assert offsets == sorted(offsets)
        for message in client.sent:
            assert message.offset is not None
            for nth, record in enumerate(message.records):
                assert arrived[message.offset + nth] == record
                expected += 1
    assert len(arrived) == expected


@pytest.mark.parametrize("kind", list(Kind))
def test_it_holds_for_every_kind(kind: Kind) -> None:
    world = World()
    producer_of(world, kind=kind).publish(0, b"one")
    peer = producer_of(world, kind=kind)
    peer.publish(0, b"one", ack=True)
    assert acks_of(peer) == [(1, 1, 0, True)]
