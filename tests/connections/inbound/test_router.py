"""Router: sequences in, offsets out; runs, record batches and what is refused."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.connections.inbound.router import MAX_KEPT_META_BYTES
from gateway.connections.inbound.run_patching import VECTOR_FRAMES
from gateway.connections.outbound.frame_writer import DeliverySettings
from gateway.errors import Code
from gateway.protocol.durability import Durability
from gateway.protocol.encoding import Chain
from gateway.protocol.limits import Limits
from gateway.protocol.messages import Error, Kind, StreamInfo
from gateway.protocol.meta import write_meta
from gateway.protocol.signals import Cancel
from gateway.protocol.wire import DATA_HEADER, FLAG_ACK, FLAG_ENCODED, MAX_BATCH_RECORDS
from tests.connections.frames import message_frame
from tests.connections.memory import EVERY_CODEC, FixedPolicy, Peer, World
from tests.connections.patches import STREAM, Publisher, Receiver
from tests.connections.step_store import StepStore

PAYLOAD = b"12345678"
LARGER = 40_000
"""Payload bytes of a frame that goes on by itself, with its payload shared."""
NO_META = write_meta([], None)
PATCH_READERS = {"patching": ("lz4", "patch"), "complete": ()}


def patched(frame: list[bytes | bytearray | memoryview], at: int, value: bytes) -> bytes:
    data = bytearray(b"".join(frame))
    data[at : at + len(value)] = value
    return bytes(data)


def pair(kind: Kind = Kind.EVENT, **options: Limits | DeliverySettings) -> tuple[World, Peer, Peer]:
    world = World(**options)  # type: ignore[arg-type]
    return world, world.publisher("wf/a", "wf/b", kind=kind), world.subscriber("wf/*")


def test_a_run_of_small_messages_gets_consecutive_offsets_and_the_publishers_peer() -> None:
    world, publisher, subscriber = pair()
    publisher.send(*[publisher.message(0, bytes([n]) * 8) for n in range(5)])
    publisher.publish(0, b"x" * 8)
    world.settle()
    arrivals = subscriber.read().arrivals
    assert [arrival.offset for arrival in arrivals] == list(range(6))
    assert [arrival.payload[:1] for arrival in arrivals] == [b"\0", b"\1", b"\2", b"\3", b"\4", b"x"]
    assert {arrival.publisher for arrival in arrivals} == {publisher.session.peer.id}


def test_streams_mixed_in_one_websocket_message_keep_their_own_order() -> None:
    world, publisher, subscriber = pair()
    publisher.send(*[publisher.message(n % 2, bytes([n]) * 8) for n in range(10)])
    world.settle()
    for stream in (1, 2):
        arrivals = [arrival for arrival in subscriber.read().arrivals if arrival.stream == stream]
        assert [arrival.offset for arrival in arrivals] == list(range(5))
        assert [arrival.payload[0] for arrival in arrivals] == list(range(stream - 1, 10, 2))


def test_messages_of_every_form_mixed_in_one_websocket_message() -> None:
    world, publisher, subscriber = pair()
    publisher.send(
        publisher.message(0, PAYLOAD),
        publisher.message(0, PAYLOAD),
        publisher.message(0, b"another length"),
        publisher.batch(0, [b"r1", b"r2", b"r3"]),
        publisher.message(0, bytes(40_000)),
        publisher.message(0, bytes(4000), chain=Chain(codec="lz4")),
        publisher.message(0, PAYLOAD),
        publisher.message(1, PAYLOAD),
        publisher.message(0, PAYLOAD, ack=True),
    )
    world.settle()
    arrivals = [arrival for arrival in subscriber.read().arrivals if arrival.stream == 1]
    assert [arrival.offset for arrival in arrivals] == list(range(10))
    assert [arrival.payload for arrival in arrivals] == [
        PAYLOAD,
        PAYLOAD,
        b"another length",
        b"r1",
        b"r2",
        b"r3",
        bytes(40_000),
        bytes(4000),
        PAYLOAD,
        PAYLOAD,
    ]
    (ack,) = publisher.read().acks
    assert (ack.alias, ack.sequence, ack.offset) == (0, 10, 9)


def test_acknowledgements_cover_runs() -> None:
    world, publisher, _ = pair()
    publisher.send(*[publisher.message(0, PAYLOAD, ack=True) for _ in range(3)])
    publisher.send(publisher.batch(0, [b"r1", b"r2"], ack=True))
    publisher.send(*[publisher.message(1, PAYLOAD, ack=True) for _ in range(2)])
    publisher.publish(0, PAYLOAD)
    world.settle()
    covered: dict[int, list[int]] = {0: [], 1: []}
    for ack in publisher.read().acks:
        covered[ack.alias] += range(ack.sequence - ack.count + 1, ack.sequence + 1)
        assert ack.offset == ack.sequence - 1
    assert covered == {0: [1, 2, 3, 4, 5], 1: [1, 2]}


def test_whoever_wants_no_acknowledgement_gets_none() -> None:
    world, publisher, _ = pair()
    publisher.send(*[publisher.message(0, PAYLOAD) for _ in range(3)])
    world.settle()
    assert not publisher.read().log


def test_the_same_bytes_go_to_every_member_of_a_class() -> None:
    world, publisher, subscriber = pair()
    other = world.subscriber("wf/a", "other")
    publisher.publish(0, PAYLOAD)
    world.turn()
    subscriber.transport.writes.clear()
    other.transport.writes.clear()
    publisher.publish(0, PAYLOAD)
    world.turn()
    assert subscriber.transport.writes == other.transport.writes
    assert len(other.transport.writes) == 1


def test_the_frame_as_received_is_not_changed() -> None:
    world, publisher, subscriber = pair()
    frames = [publisher.message(0, PAYLOAD), publisher.message(0, bytes(30_000))]
    data = b"".join(b"".join(frame) for frame in frames)
    copy = bytes(bytearray(data))
    publisher.send(data)
    world.settle()
    assert data == copy
    assert subscriber.read().offsets == [0, 1]


def test_an_open_is_answered_with_the_next_offset() -> None:
    _world, publisher, _ = pair()
    publisher.publish(0, PAYLOAD)
    publisher.publish(0, PAYLOAD)
    publisher.open(8, "wf/a")
    info = publisher.read().log[-1]
    assert isinstance(info, StreamInfo)
    assert (info.alias, info.offset, info.kind) == (8, 2, Kind.EVENT)
    assert not any(isinstance(entry, Error) for entry in publisher.reader.log)


@given(data=st.data())
def test_any_mix_of_messages_in_any_packing_keeps_offsets_exact(data: st.DataObject) -> None:
    """However messages are packed into WebSocket messages, each stream's offsets are 0, 1, 2, … in order of publish."""
    world, publisher, subscriber = pair()
    other = world.peer("other")
    other.open(0, "wf/a")
    other.forget()
    expected: dict[int, list[bytes]] = {1: [], 2: []}
    forms = st.tuples(st.sampled_from(["same", "other", "batch", "encoded", "refused"]), st.booleans(), st.booleans())
    for turn in range(data.draw(st.integers(1, 5))):
        for sender, aliases in ((publisher, (0, 1)), (other, (0,))):
            frames = []
            for number, (form, second, ack) in enumerate(data.draw(st.lists(forms, max_size=8))):
                alias = aliases[second and len(aliases) > 1]
                mark = f"{turn}-{number}".encode()
                if form == "batch":
                    records = [mark, mark]
                    frames.append(sender.batch(alias, records, ack=ack))
                    expected[alias + 1] += records
                    continue
                if form == "refused":
                    sender.sequences[alias] += 1
                    frames.append([patched(message_frame(alias, sender.sequences[alias], mark), 32, b"\x63")])
                    continue
                payload = mark.ljust(9 if form == "same" else 40 + number)
                chain = Chain(codec="zstd") if form == "encoded" and sender is publisher else Chain()
                if chain != Chain():
                    payload = payload.ljust(300)
                frames.append(sender.message(alias, payload, ack=ack, chain=chain))
                expected[alias + 1].append(payload)
            if frames:
                sender.send(*frames)
    world.settle()
    arrivals = subscriber.read().arrivals
    for stream, payloads in expected.items():
        mine = [arrival for arrival in arrivals if arrival.stream == stream]
        assert [arrival.offset for arrival in mine] == list(range(len(payloads)))
        assert [arrival.payload for arrival in mine] == payloads
    assert publisher.close_code() is None
    assert set(publisher.read().codes) <= {Code.INVALID_TENSOR}


def test_flags_of_the_publisher_are_passed_on_but_not_its_numbers() -> None:
    world, publisher, subscriber = pair()
    publisher.publish(0, PAYLOAD, ack=True)
    publisher.publish(0, bytes(3000), chain=Chain(codec="lz4"))
    world.settle()
    first, second = subscriber.read().arrivals
    assert first.flags == FLAG_ACK
    assert not second.flags & FLAG_ENCODED or second.encoded
    assert {first.stream, second.stream} == {1}


def test_a_long_run_is_followed_by_a_frame_that_is_shorter_than_a_data_header() -> None:
    world, publisher, subscriber = pair()
    publisher.publish(0, PAYLOAD)
    cancel = Cancel(7, 7).write()
    assert len(cancel) < DATA_HEADER.size
    publisher.send(*[publisher.message(0, PAYLOAD) for _ in range(VECTOR_FRAMES)], cancel)
    world.settle()
    assert subscriber.read().offsets == list(range(1 + VECTOR_FRAMES))
    assert publisher.close_code() is None


def one_by_one(peer: Peer, frames: list[bytes]) -> None:
    for frame in frames:
        peer.send(frame)


def together(peer: Peer, frames: list[bytes]) -> None:
    peer.send(*frames)


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 3 * VECTOR_FRAMES), min_size=1, max_size=4),
    changes=st.lists(st.sampled_from(["alias", "ack", "size", "skip"]), min_size=4, max_size=4),
    producer=st.booleans(),
)
def test_many_small_messages_together_become_what_they_become_one_by_one(
    lengths: list[int], changes: list[str], producer: bool
) -> None:
    outcomes = []
    for send in (one_by_one, together):
        world, publisher, subscriber = pair()
        if producer:
            publisher.produce(2, "wf/c")
        alias, size, ack = 2 if producer else 0, 8, False
        frames = []
        for length, change in zip(lengths, changes, strict=False):
            frames += [b"".join(publisher.message(alias, bytes([n % 256]) * size, ack=ack)) for n in range(length)]
            match change:
                case "alias":
                    alias = 1
                case "ack":
                    ack = not ack
                case "size":
                    size = 16
                case _:
                    publisher.sequences[alias] += 1
        send(publisher, frames)
        world.settle()
        arrivals = subscriber.read().arrivals
        arrived = [[(a.offset, a.publisher, a.payload) for a in arrivals if a.stream == stream] for stream in (1, 2, 3)]
        read = publisher.read()
        offsets = {
            (ack.alias, sequence): ack.offset + sequence - ack.sequence
            for ack in read.acks
            for sequence in range(ack.sequence - ack.count + 1, ack.sequence + 1)
        }
        outcomes.append((arrived, [(error.code, error.sequence) for error in read.errors], offsets))
    alone, run = outcomes
    assert run[:2] == alone[:2]
    # One ACK covers a run, of which some messages may not have asked for it.
    assert run[2].items() >= alone[2].items()


def named(peer: Peer) -> list[tuple[int, int | None, int | None, int | None]]:
    """The new refusals: code, alias, sequence and count."""
    return [(error.code, error.alias, error.sequence, error.count) for error in peer.news().errors]


@pytest.mark.parametrize("chain", [Chain(), Chain(codec="lz4")])
def test_larger_frames_alike_the_last_are_published_each_by_itself(chain: Chain) -> None:
    world = World(FixedPolicy(chain))
    publisher = world.publisher("wf/a")
    plain, compressed = world.subscriber("wf/*"), world.subscriber("wf/*", "compressed", EVERY_CODEC)
    payloads = [bytes([number]) * LARGER for number in range(4)]
    publisher.send(*[publisher.message(0, payload, ack=number != 2) for number, payload in enumerate(payloads)])
    world.settle()
    for reader in (plain.read(), compressed.read()):
        assert [(arrival.offset, arrival.payload) for arrival in reader.arrivals] == list(enumerate(payloads))
    assert {arrival.encoded for arrival in compressed.read().arrivals} == {chain != Chain()}
    acks = publisher.read().acks
    assert [(ack.sequence, ack.count, ack.offset) for ack in acks] == [(1, 1, 0), (2, 1, 1), (4, 1, 3)]


def test_a_larger_frame_whose_sequence_or_meta_block_differs_is_checked_by_itself() -> None:
    world, publisher, subscriber = pair()
    publisher.publish(0, bytes(LARGER))
    publisher.send(message_frame(0, 3, bytes(LARGER)), message_frame(0, 2, bytes(LARGER)))
    publisher.sequences[0] = 2
    publisher.publish_array(0, np.zeros(LARGER // 4, np.float32))
    world.settle()
    assert named(publisher) == [(Code.BAD_SEQUENCE, 0, 3, 1)]
    assert subscriber.read().offsets == [0, 1, 2]
    assert [arrival.specs[0].dtype.name for arrival in subscriber.reader.arrivals] == ["uint8", "uint8", "float32"]


def test_each_refusal_names_the_messages_that_it_is_about() -> None:
    _, publisher, subscriber = pair()
    publisher.open(7, "wf/a", Kind.STATE)
    publisher.open(8, "agent:somebody")
    publisher.forget()
    unknown = message_frame(9, 4, PAYLOAD)
    refused = message_frame(7, 2, PAYLOAD)
    address = message_frame(8, 3, PAYLOAD)
    behind = publisher.batch(0, [b"r1", b"r2", b"r3"])
    publisher.send(unknown, refused, address, patched(behind, 16, (5).to_bytes(8, "little")))
    assert named(publisher) == [
        (Code.UNKNOWN_STREAM, 9, 4, 1),
        (Code.KIND_MISMATCH, 7, 2, 1),
        (Code.INVALID_NAME, 8, 3, 1),
        (Code.BAD_SEQUENCE, 0, 7, 3),
    ]
    assert not subscriber.read().arrivals


def test_messages_in_a_run_during_a_transfer_are_each_refused() -> None:
    world, publisher, subscriber = pair()
    publisher.publish(0, PAYLOAD)
    large = publisher.large(0, bytes(9000))
    publisher.send(publisher.message(0, PAYLOAD), publisher.message(0, PAYLOAD), publisher.batch(0, [b"a", b"b"]))
    broken = Code.BROKEN_TRANSFER
    assert named(publisher) == [(broken, 0, 3, 1), (broken, 0, 4, 1), (broken, 0, 6, 2)]
    large.end()
    publisher.publish(0, PAYLOAD)
    world.settle()
    assert subscriber.read().offsets == [0, 1, 2]


def test_a_producer_gets_the_first_offsets_of_what_it_repeats_and_goes_on_behind_them() -> None:
    world = World()
    subscriber = world.subscriber("wf/*")
    for connection in range(2):
        peer = world.peer(f"connection-{connection}")
        peer.produce(0, "wf/a")
        peer.forget()
        frames = [peer.message(0, PAYLOAD), peer.batch(0, [b"r1", b"r2"], ack=True), peer.message(0, PAYLOAD, ack=True)]
        peer.send(*frames)
        acks = peer.read().acks
        assert [(ack.sequence, ack.count, ack.offset, ack.repeated) for ack in acks] == [
            (3, 2, 2, connection == 1),
            (4, 1, 3, connection == 1),
        ]
    peer.publish(0, PAYLOAD, ack=True)
    assert [(ack.sequence, ack.offset, ack.repeated) for ack in peer.news().acks] == [(5, 4, False)]
    world.settle()
    assert subscriber.read().offsets == list(range(5))


def test_a_refused_batch_of_a_producer_is_refused_again_with_its_code() -> None:
    world = World()
    for connection in range(2):
        peer = world.peer(f"connection-{connection}")
        peer.produce(0, "wf/a")
        peer.forget()
        batch = peer.batch(0, [b"r1", b"r2"])
        peer.send(patched(batch, 40, b"\x63") if not connection else batch)
        assert named(peer) == [(Code.INVALID_TENSOR, 0, 2, 2)]


@pytest.mark.parametrize("count", [MAX_BATCH_RECORDS + 1, 2**32 - 1])
def test_a_batch_of_more_records_than_there_may_be_is_refused(count: int) -> None:
    world, peer, subscriber = pair()
    peer.forget()
    peer.send(patched(peer.batch(0, [b""]), 32, struct.pack("<I", count)))
    assert named(peer) == [(Code.INVALID_REQUEST, 0, count, count)]
    peer.publish(1, PAYLOAD)
    world.settle()
    assert [arrival.payload for arrival in subscriber.read().arrivals] == [PAYLOAD]


def test_a_repeat_waits_for_the_store_as_the_first_publish_does() -> None:
    store = StepStore()
    world = World(store=store, durability=Durability.OS)
    first, second = world.peer("first"), world.peer("second")
    first.produce(0, "wf/a")
    first.publish(0, PAYLOAD)
    second.produce(0, "wf/a")
    second.forget()
    second.publish(0, PAYLOAD, ack=True)
    assert not second.news().log
    store.commit()
    world.settle()
    (ack,) = second.news().acks
    assert (ack.sequence, ack.offset, ack.durability, ack.repeated) == (1, 0, Durability.OS, True)


def test_a_run_to_a_durable_stream_is_delivered_when_it_is_stored_and_refused_when_the_store_is_full() -> None:
    store = StepStore()
    world = World(store=store, durability=Durability.OS)
    publisher, subscriber = world.publisher("wf/a"), world.subscriber("wf/a")
    publisher.publish(0, PAYLOAD)
    publisher.send(*[publisher.message(0, PAYLOAD, ack=True) for _ in range(3)])
    world.settle()
    assert not subscriber.read().arrivals
    store.commit(len(store.waiting))
    world.settle()
    assert subscriber.read().offsets == [0, 1, 2, 3]
    (ack,) = publisher.news().acks
    assert (ack.sequence, ack.count, ack.offset) == (4, 3, 3)
    store.extra_bytes = 1 << 40
    publisher.send(publisher.message(0, PAYLOAD), publisher.message(0, PAYLOAD))
    assert named(publisher) == [(Code.QUEUE_FULL, 0, 5, 1), (Code.QUEUE_FULL, 0, 6, 1)]


@pytest.mark.parametrize("chain", [Chain(), Chain(codec="lz4")])
def test_a_patch_is_published_as_a_part_of_the_state(chain: Chain) -> None:
    world = World()
    publisher = Publisher(world)
    receivers = [Receiver(world.subscriber(STREAM, name, codecs)) for name, codecs in PATCH_READERS.items()]
    publisher.whole(np.zeros((40, 50), np.int32))
    world.settle()
    for receiver in receivers:
        receiver.read()
    publisher.patch(np.s_[3:23, 4:44], 5, chain=chain)
    world.settle()
    for receiver in receivers:
        receiver.read()
        assert receiver.offset == 1
        np.testing.assert_array_equal(receiver.versions[1], publisher.versions[1])
    assert [receiver.patches for receiver in receivers] == [1, 0]
    assert [ack.offset for ack in publisher.peer.read().acks] == [0, 1]


def test_a_patch_of_nothing_is_refused_and_uses_its_sequence_up() -> None:
    world = World()
    publisher = Publisher(world)
    publisher.versions.append(np.zeros((4, 5), np.int32))
    publisher.patch(np.s_[0:2, 0:2], 1)
    assert named(publisher.peer) == [(Code.INVALID_REGION, 0, 1, 1)]
    publisher.whole(np.zeros((4, 5), np.int32))
    assert [(ack.sequence, ack.offset) for ack in publisher.peer.read().acks] == [(2, 0)]


def test_a_long_meta_block_is_not_kept_and_its_messages_are_taken_one_by_one() -> None:
    world, publisher, subscriber = pair()
    tensors = [np.zeros(1, np.float32)] * 200
    for _ in range(3):
        publisher.publish_array(0, *tensors)
    world.settle()
    assert len(publisher.session.bindings[0].meta) <= MAX_KEPT_META_BYTES
    assert subscriber.read().offsets == [0, 1, 2]
    assert len(subscriber.reader.arrivals[-1].specs) == len(tensors)
