"""What is read from history is in a form that its receivers take, or a gap."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from gateway.connections.fanout.history_reader import HistoryReader
from gateway.connections.fanout.recode import THREAD_BYTES
from gateway.connections.outbound.backfill import PastPart
from gateway.connections.outbound.formats import Format
from gateway.connections.outbound.inbox_source import InboxSource
from gateway.errors import Code
from gateway.ids import Epoch, StreamId, StreamName
from gateway.protocol.encoding import Chain
from gateway.protocol.messages import BEGINNING, Kind
from gateway.streams.history import EntriesRead
from gateway.streams.run import Run, Source
from gateway.streams.stream import Stream
from tests.connections.memory import EVERY_CODEC, Peer, TextPeer, World

LZ4 = Chain(codec="lz4")
ZSTD = Chain(codec="zstd")
STREAM = Stream(StreamId(1), StreamName("wf/a"), Kind.EVENT, Epoch(1))


def payload(number: int, size: int) -> bytes:
    return bytes([number]) * size


def published(world: World) -> list[bytes]:
    """A stream with plain and encoded messages, small and large, a batch and chunks; what they hold."""
    publisher = world.publisher("wf/a", kind=Kind.EVENT)
    sent: list[bytes] = []
    for number, (size, chain) in enumerate([(40, Chain()), (300, LZ4), (300, ZSTD), (90_000, LZ4), (20, Chain())]):
        publisher.publish(0, payload(number, size), chain=chain)
        sent.append(payload(number, size))
    records = [payload(number, 400) for number in (10, 11, 12)]
    publisher.send(publisher.batch(0, records, chain=LZ4))
    large = payload(20, 20_000)
    publisher.large(0, large, chain=ZSTD).end()
    publisher.publish(0, b"last")
    world.settle()
    return [*sent, *records, large, b"last"]


@pytest.mark.parametrize("codecs", [(), ("lz4",), ("zstd", "shuffle"), EVERY_CODEC])
@pytest.mark.parametrize("first", range(10))
def test_every_receiver_gets_it_in_codecs_that_it_knows(codecs: tuple[str, ...], first: int) -> None:
    world = World()
    sent = published(world)
    subscriber = world.subscriber("wf/a", codecs=codecs, since=first)
    world.settle()
    reader = subscriber.read()
    arrivals = {arrival.offset: arrival.payload for arrival in reader.arrivals}
    # A record batch is given whole, so what lies before the first one wanted may come as well.
    assert [arrivals[offset] for offset in range(first, len(sent))] == sent[first:]
    assert not reader.gaps
    assert [(replay.first, replay.last) for replay in reader.replays] == [(first, len(sent) - 1)]


def test_what_was_published_is_passed_on_as_it_came_to_those_who_know_it() -> None:
    world = World()
    published(world)
    reader = world.subscriber("wf/a", codecs=EVERY_CODEC, since=BEGINNING).read()
    assert not len(world.workers)
    assert any(arrival.encoded for arrival in reader.arrivals)


def test_text_receivers_get_text() -> None:
    world = World()
    published(world)
    peer = TextPeer(world)
    peer.send('{"message_type":"hello","client_type":"agent","payload":{"versions":[1]}}')
    peer.send('{"id":1,"message_type":"subscribe","payload":{"pattern":"wf/a","since":"beginning"}}')
    world.settle()
    offsets = [int(text.split(b'"offset":')[1].split(b",")[0]) for text in peer.texts() if b'"data":' in text]
    assert offsets == list(range(10))


def test_what_does_not_decode_is_a_gap() -> None:
    world = World()
    publisher = world.publisher("wf/a", kind=Kind.EVENT)
    whole = b"".join(publisher.message(0, payload(1, 1000), chain=LZ4))
    publisher.send(whole[:-16] + b"\xff" * 16)
    publisher.publish(0, b"good")
    world.settle()
    subscriber = world.subscriber("wf/a", since=0)
    world.settle()
    reader = subscriber.read()
    assert [(gap.first, gap.last, gap.code) for gap in reader.gaps] == [(0, 0, Code.CORRUPT_PAYLOAD)]
    assert [arrival.payload for arrival in reader.arrivals] == [b"good"]


def test_what_is_larger_than_the_receiver_takes_is_a_gap() -> None:
    world = World()
    sent = published(world)
    subscriber: Peer = world.peer("small")
    subscriber.session.connection.max_message_bytes = 10_000
    subscriber.subscribe("wf/a", since=0)
    world.settle()
    gaps = subscriber.read().gaps
    assert [(gap.first, gap.code) for gap in gaps] == [(len(sent) - 2, Code.MESSAGE_TOO_BIG)]


class BrokenReader:
    """A :class:`~gateway.connections.ports.PastReader` whose disk fails."""

    def read(self, stream: Stream, first: int, last: int, max_bytes: int, done: EntriesRead) -> None:
        done(OSError("disk"))


def taken_by(reader: HistoryReader, source: Source, form: Format) -> list[Sequence[PastPart]]:
    taken: list[Sequence[PastPart]] = []
    reader.read(source, form, frozenset(), 0, 9, 1000, taken.append)
    return taken


def test_what_cannot_be_read_is_lost_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    reader = HistoryReader(BrokenReader(), world.workers)
    with caplog.at_level(logging.ERROR):
        assert taken_by(reader, STREAM, world.binary) == [()]
    assert "offsets 0 to 9 of wf/a cannot be read" in caplog.text


def test_an_inbox_has_no_past() -> None:
    world = World()
    inbox = InboxSource("agent:a", lambda asker, correlation, refusal: None)
    assert taken_by(HistoryReader(BrokenReader(), world.workers), inbox, world.binary) == [()]


class OneRun:
    """A :class:`~gateway.connections.ports.PastReader` with a run that nobody can write."""

    def read(self, stream: Stream, first: int, last: int, max_bytes: int, done: EntriesRead) -> None:
        done([Run(STREAM, 0, 1, (bytes(THREAD_BYTES + 8),), THREAD_BYTES + 8, 0, 1)])


def test_what_fails_in_a_thread_is_lost_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    taken: list[Sequence[PastPart]] = []
    text = TextPeer(world).session.connection.format
    HistoryReader(OneRun(), world.workers).read(STREAM, text, frozenset(), 0, 9, 1000, taken.append)
    assert taken == []
    with caplog.at_level(logging.ERROR):
        world.workers.step()
    assert taken == [()]
    assert "offsets 0 to 9 of wf/a cannot be decoded" in caplog.text
