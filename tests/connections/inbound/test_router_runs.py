"""Runs: messages that come together become what each of them becomes if it comes alone."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Opcode

from gateway.connections.inbound.run_patching import VECTOR_FRAMES
from gateway.connections.sliced_workers import taken_at_once
from gateway.protocol.durability import Durability
from gateway.protocol.encoding import PLAIN, Chain
from gateway.protocol.messages import Kind
from gateway.protocol.wire import DATA_HEADER, FLAG_EXTENDED, FLAGS_AT
from gateway.websocket.alike_frames import ALIKE_FRAMES
from gateway.websocket.frame_reader import Foreign, FrameReader
from gateway.websocket.read_memory import ReadMemory
from tests.connections.memory import Peer, TextPeer, World
from tests.connections.reader import Arrival, Reader
from tests.connections.step_store import StepStore
from tests.connections.text_messages import HELLO, SUBSCRIBE
from tests.websocket.test_frame_reader import Sent

LZ4 = Chain(codec="lz4")
COMPRESSIBLE_BYTES = 600


class Stretch(NamedTuple):
    """Frames of one form."""

    length: int
    packed: int
    """Frames in each WebSocket message."""
    alias: int
    size: int
    ack: bool
    form: str


def frames_of(publisher: Peer, stretch: Stretch) -> list[bytes]:
    """The frames of a stretch, each with its padding."""
    frames = []
    for number in range(stretch.length):
        payload = number.to_bytes(2, "little") * (stretch.size // 2) + b"x" * (stretch.size % 2)
        if stretch.form == "batch":
            parts = publisher.batch(stretch.alias, [payload, payload], ack=stretch.ack)
        else:
            chain = LZ4 if stretch.form == "encoded" and stretch.size >= COMPRESSIBLE_BYTES else PLAIN
            parts = publisher.message(stretch.alias, payload, ack=stretch.ack, chain=chain)
        frame = bytearray(b"".join(parts))
        if stretch.form == "odd" and number == stretch.length // 2:
            publisher.sequences[stretch.alias] += 1
        if stretch.form == "refused" and number == stretch.length // 2:
            frame[DATA_HEADER.size] = 0x63
        if stretch.form == "extended" and number == stretch.length // 2:
            frame[FLAGS_AT] |= FLAG_EXTENDED
        if stretch.form == "timed":
            frame[24] = number
        frames.append(bytes(frame))
    return frames


def alone(session_of: Peer, world: World, stretches: list[tuple[Stretch, list[bytes]]]) -> None:
    for _, frames in stretches:
        for frame in frames:
            world.core.dispatcher.receive(session_of.session, frame)


def as_read(session_of: Peer, world: World, stretches: list[tuple[Stretch, list[bytes]]]) -> None:
    """As a socket brings them, in reads that end anywhere."""
    wire = bytearray()
    for stretch, frames in stretches:
        for at in range(0, len(frames), stretch.packed):
            message = b"".join(frames[at : at + stretch.packed])
            wire += Sent(Opcode.BINARY, message, mask=os.urandom(4)).wire(masked=True)
    reader = FrameReader(1024 * 1024, ReadMemory(), masked=True)
    for at in range(0, len(wire), 100_001):
        piece = wire[at : at + 100_001]
        reader.buffer()[: len(piece)] = piece
        parts = reader.receive(len(piece))
        while True:
            for part in parts:
                assert not isinstance(part, Foreign)
                world.core.dispatcher.receive(session_of.session, part)
            if not reader.more:
                break
            parts = reader.go_on()


def together(session_of: Peer, world: World, stretches: list[tuple[Stretch, list[bytes]]]) -> None:
    """In one message, in memory that can be written."""
    message = memoryview(bytearray(b"".join(b"".join(frames) for _, frames in stretches)))
    world.core.dispatcher.receive(session_of.session, message)


def by_stream(reader: Reader) -> dict[int, list[Arrival]]:
    """The messages of each stream: one stream may overtake another."""
    return {stream: [each for each in reader.arrivals if each.stream == stream] for stream in (1, 2)}


Way = Callable[[Peer, World, list[tuple[Stretch, list[bytes]]]], None]


def outcome(way: Way, plan: list[Stretch], kind: Kind, durability: Durability, *, producer: bool) -> dict[str, Any]:
    """What anybody sees of the messages."""
    store = StepStore()
    world = World(store=store, durability=durability)
    publisher = world.publisher("wf/a", "wf/b", kind=kind)
    if producer:
        publisher.produce(1, "wf/b", kind=kind)
        publisher.forget()
    reader, lagging, text = world.subscriber("wf/*"), world.subscriber("wf/*", "lagging"), TextPeer(world)
    text.send(HELLO)
    text.send(SUBSCRIBE.replace("wf-42", "wf"))
    world.settle()
    text.texts()
    lagging.transport.fill_up()
    for part in range(0, len(plan), 3):
        way(publisher, world, [(stretch, frames_of(publisher, stretch)) for stretch in plan[part : part + 3]])
        store.commit(len(store.waiting))
        world.settle()
    lagging.transport.read_on()
    late = world.subscriber("wf/*", "late", since=1000)
    world.settle()
    read = publisher.read()
    stats = taken_at_once(world.core.hub.stats())
    return {
        "readers": {peer.client_id: by_stream(peer.read()) for peer in (reader, lagging, late)},
        "gaps": lagging.reader.gaps,
        "replays": late.reader.replays,
        "text": [sorted(text.texts(), key=lambda line: json.loads(line).get("stream", ""))],
        "errors": [(error.code, error.alias, error.sequence, error.count) for error in read.errors],
        "acks": {
            (ack.alias, sequence): ack.offset + sequence - ack.sequence
            for ack in read.acks
            for sequence in range(ack.sequence - ack.count + 1, ack.sequence + 1)
        },
        "closed": publisher.close_code(),
        "stats": stats,
    }


stretches = st.builds(
    Stretch,
    st.integers(1, 3 * VECTOR_FRAMES) | st.integers(1, 3),
    st.sampled_from([1, 1, 2, 7, ALIKE_FRAMES, 1000]),
    st.integers(0, 1),
    st.sampled_from([8, 101, 101, COMPRESSIBLE_BYTES]),
    st.booleans(),
    st.sampled_from(["alike", "alike", "alike", "timed", "odd", "refused", "extended", "batch", "encoded"]),
)


@pytest.mark.parametrize("way", [as_read, together])
@pytest.mark.parametrize("kind", [Kind.EVENT, Kind.STATE])
@settings(max_examples=25, deadline=None)
@given(
    plan=st.lists(stretches, min_size=1, max_size=6),
    durability=st.sampled_from([Durability.MEMORY, Durability.OS]),
    producer=st.booleans(),
)
def test_messages_of_a_read_become_what_each_becomes_alone(
    way: Way, kind: Kind, plan: list[Stretch], durability: Durability, *, producer: bool
) -> None:
    expected = outcome(alone, plan, kind, durability, producer=producer)
    found = outcome(way, plan, kind, durability, producer=producer)
    acks, expected_acks = found.pop("acks"), expected.pop("acks")
    assert found == expected
    if expected["closed"] is None:
        # One ACK covers a run, of which some messages may not have asked for it.
        assert acks.items() >= expected_acks.items()
