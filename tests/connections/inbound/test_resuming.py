"""A receiver that has the first chunks of a large message gets the others, whether it is under way or whole."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol.data import DataFrame, parse_data
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.frames import iter_frames
from gateway.protocol.messages import Kind, Since, Subscribe
from gateway.protocol.signals import Pong
from gateway.protocol.transfers import Assembler, parse_chunk
from gateway.protocol.wire import Opcode
from tests.connections.frames import START_NS
from tests.connections.memory import EVERY_CODEC, LargePublish, Peer, World

PAYLOAD = bytes(range(256)) * 72
"""Four whole chunks and a part."""
CHUNKS = 5
LZ4 = Chain(codec="lz4")


class Receiver:
    """A client that keeps what it has of a large message when its connection breaks."""

    def __init__(self, world: World, codecs: tuple[str, ...] = EVERY_CODEC) -> None:
        self._world = world
        self._codecs = codecs
        self.head: DataFrame | None = None
        self.assembler: Assembler | None = None
        self.received: list[int] = []
        self.ended: list[int] = []
        self.resumed = 0
        self.peer = self._connect(None, None)

    def read(self) -> None:
        """Take what has come."""
        peer = self.peer
        while peer.transport.writes:
            writes, peer.transport.writes = peer.transport.writes, []
            message = memoryview(b"".join(writes))
            for frame in iter_frames(message):
                if frame.opcode == Opcode.MESSAGE:
                    self._begin(parse_data(message, frame))
                elif frame.opcode == Opcode.CHUNK:
                    chunk = parse_chunk(message, frame)
                    assert self.assembler is not None
                    self.assembler.receive(chunk)
                    self.received.append(chunk.index)
                elif frame.opcode == Opcode.END:
                    self.ended.append(len(self.received))
                elif frame.opcode == Opcode.PING:
                    peer.send(Pong(START_NS, START_NS, START_NS).write())

    def come_back(self, since: Since | None) -> None:
        """Lose the connection, and go on on another."""
        self.peer.drop()
        self.peer = self._connect(since, None if self.head is None else len(self.received))

    def _connect(self, since: Since | None, chunks: int | None) -> Peer:
        peer = self._world.peer("reader", self._codecs)
        resume = None
        if chunks and self.head is not None and self.head.plan is not None:
            resume = {"wf/a": (self.head.plan.transfer, chunks)}
        peer.say(Subscribe(1, 1, "wf/*", since, resume=resume))
        return peer

    def _begin(self, head: DataFrame) -> None:
        if head.plan is None:
            return
        if head.resuming:
            assert self.head is not None
            assert (head.plan, head.timestamp_ns, head.publisher) == (
                self.head.plan,
                self.head.timestamp_ns,
                self.head.publisher,
            )
            self.resumed += 1
            return
        self.head, self.assembler, self.received = head, Assembler(head.plan), []


def publishing(world: World, kind: Kind, chain: Chain = PLAIN) -> LargePublish:
    publisher = world.publisher("wf/a", kind=kind)
    return publisher.large(0, PAYLOAD, ack=True, chain=chain)


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.EVENT])
@pytest.mark.parametrize("chain", [PLAIN, LZ4])
@pytest.mark.parametrize("cut", range(1, CHUNKS + 1))
def test_one_under_way_goes_on_at_the_first_missing_chunk(cut: int, chain: Chain, kind: Kind) -> None:
    world = World()
    receiver = Receiver(world)
    large = publishing(world, kind, chain)
    for _ in range(cut):
        large.chunk()
    world.settle()
    receiver.read()
    receiver.come_back({"wf/a": (0, 0)})
    large.end()
    world.settle()
    receiver.read()
    assert receiver.received == list(range(CHUNKS))
    assert receiver.assembler is not None
    assert bytes(receiver.assembler.payload()) == PAYLOAD
    assert (receiver.resumed, receiver.ended) == (1, [CHUNKS])


@given(
    kind=st.sampled_from([Kind.STATE, Kind.EVENT]),
    cuts=st.lists(st.integers(0, CHUNKS), max_size=4),
    away=st.lists(st.integers(0, 2), max_size=4),
)
def test_cut_anywhere_it_arrives_bit_for_bit_and_no_chunk_comes_twice(
    kind: Kind, cuts: list[int], away: list[int]
) -> None:
    """``cuts``: after how many chunks the connection breaks; ``away``: how many the receiver then misses."""
    world = World()
    receiver = Receiver(world)
    large = publishing(world, kind)
    sent = 0
    missed = iter(away)
    for cut in sorted(cuts):
        while sent < cut and large.chunk():
            sent += 1
        world.settle()
        receiver.read()
        receiver.peer.drop()
        for _ in range(next(missed, 0)):
            sent += large.chunk()
        epoch = world.core.streams.get(next(iter(world.core.streams)).name)
        assert epoch is not None
        receiver.come_back({"wf/a": (epoch.epoch, 0)})
    large.end()
    world.settle()
    receiver.read()
    assert receiver.received == list(range(CHUNKS))
    assert receiver.assembler is not None
    assert bytes(receiver.assembler.payload()) == PAYLOAD
    assert receiver.ended == [CHUNKS]


@pytest.mark.parametrize("kind", [Kind.STATE, Kind.EVENT])
def test_one_that_is_whole_by_then_goes_on_as_well(kind: Kind) -> None:
    world = World()
    receiver = Receiver(world)
    large = publishing(world, kind)
    large.chunk()
    large.chunk()
    world.settle()
    receiver.read()
    receiver.peer.drop()
    large.end()
    world.settle()
    stream = next(iter(world.core.streams))
    receiver.come_back({"wf/a": (stream.epoch, 0)})
    world.settle()
    receiver.read()
    assert (receiver.received, receiver.resumed) == (list(range(CHUNKS)), 1)
    assert receiver.assembler is not None
    assert bytes(receiver.assembler.payload()) == PAYLOAD


def test_a_transfer_that_the_gateway_does_not_know_changes_nothing() -> None:
    world = World()
    publishing(world, Kind.STATE).end()
    world.settle()
    peer = world.peer("reader")
    peer.say(Subscribe(1, 1, "wf/*", resume={"wf/a": (77, 2), "wf/none": (1, 1)}))
    world.settle()
    (arrival,) = peer.read().arrivals
    assert arrival.payload == PAYLOAD


def test_one_who_does_not_know_the_codec_gets_it_from_the_start() -> None:
    world = World()
    receiver = Receiver(world, codecs=())
    large = publishing(world, Kind.STATE, LZ4)
    large.chunk()
    large.chunk()
    world.settle()
    receiver.read()
    receiver.come_back(None)
    large.end()
    world.settle()
    receiver.read()
    assert (receiver.received, receiver.resumed) == (list(range(CHUNKS)), 0)


def test_a_second_subscription_that_names_it_too_changes_nothing() -> None:
    world = World()
    receiver = Receiver(world)
    large = publishing(world, Kind.EVENT)
    large.chunk()
    large.chunk()
    receiver.read()
    receiver.come_back(None)
    assert receiver.head is not None
    assert receiver.head.plan is not None
    receiver.peer.say(Subscribe(2, 2, "**", resume={"wf/a": (receiver.head.plan.transfer, 2)}))
    large.end()
    world.settle()
    receiver.read()
    assert (receiver.received, receiver.resumed, receiver.ended) == (list(range(CHUNKS)), 1, [CHUNKS])
